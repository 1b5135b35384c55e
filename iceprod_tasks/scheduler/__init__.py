"""What runs on a timer inside the service; every chore is safe in all processes at once."""
