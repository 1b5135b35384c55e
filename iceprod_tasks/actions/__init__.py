"""What can be done: one verb a module, plain async functions that every surface calls."""
