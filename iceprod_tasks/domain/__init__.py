"""What a task is: statuses, requirements, documents, errors. Standard library only."""
