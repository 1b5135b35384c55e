"""Where tasks are kept: the only folder that knows MongoDB and its driver."""

import os

POOL_SIZE = 128
"""Connections to the database, and threads of the driver that use them: more than all places of all lanes, so that
nobody who has a place waits for somebody else's, and some for the chores."""

# Motor reads it once, when it is imported. Its own five threads a core would let slow reads stop claims.
os.environ.setdefault('MOTOR_MAX_WORKERS', str(POOL_SIZE))
