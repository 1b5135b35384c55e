"""All that the application serves, dialects too, as it tells itself."""

from typing import Any

from iceprod_tasks.dialects.drove import handlers as drove
from iceprod_tasks.dialects.vappio import handlers as vappio
from iceprod_tasks.rest.application import make_application


def rules() -> list[Any]:
    """Every route, in Tornado's form."""
    nothing: Any = None
    application = make_application(nothing, nothing, dialects=(*vappio.ROUTES, *drove.ROUTES))
    found: list[Any] = application.wildcard_router.rules
    return found
