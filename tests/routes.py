"""All that the application serves, dialects too, as it tells itself."""

from typing import Any

from iceprod_tasks.dialects.vappio import handlers as vappio
from iceprod_tasks.rest.application import make_application


def rules() -> list[Any]:
    """Every route, in Tornado's form."""
    nothing: Any = None
    found: list[Any] = make_application(nothing, nothing, dialects=vappio.ROUTES).wildcard_router.rules
    return found
