"""What runs on a worker: offer, claim, run, report; reaches the service through the client."""
