"""How many connections the operating system lets a process have."""

import resource

_OTHERS = 600
"""Descriptors for the database, for connections that are being closed, and for all else."""


def allow_connections(wanted: int) -> int:
    """Raise this process's limit on descriptors as far as needed, and as it may be.

    Args:
        wanted: how many connections there are to be.

    Returns:
        How many there can be, at least 1.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHERS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - _OTHERS))
