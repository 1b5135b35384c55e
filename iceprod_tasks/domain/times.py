"""Times as text."""

from datetime import UTC, datetime


def wire_time(value: datetime) -> str:
    """A time as clients of the seed read it: UTC with six fraction digits and no zone."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')
