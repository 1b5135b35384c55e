"""Times as text."""

from datetime import UTC, datetime

from iceprod_tasks.domain.errors import InvalidRequest

_WIRE_LENGTH = len('2026-11-21T06:14:15.985000')


def read_time(text: str, place: str) -> datetime:
    """The time that a text in ISO 8601 says; UTC unless it names a zone.

    Args:
        text: as `2026-11-21T06:14:15.985000`; a date alone is its midnight.
        place: where the text stands, for the error.

    Raises:
        InvalidRequest: it is no time.
    """
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f'"{place}" is not a time, like 2026-11-21T06:14:15.985000') from None


def wire_time(value: datetime) -> str:
    """A time as clients of the seed read it: UTC with six fraction digits and no zone."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    # What comes after them is the zone.
    return value.isoformat(timespec='microseconds')[:_WIRE_LENGTH]
