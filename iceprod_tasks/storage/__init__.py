"""Where tasks are kept: the only folder that knows MongoDB and its driver."""
