"""Where tasks are kept: the only folder that knows MongoDB and its driver."""

POOL_SIZE = 128
"""Connections to the database, and threads of a driver that uses them in threads: more than all places of all lanes,
so that nobody who has a place waits for somebody else's, and some for the chores."""
