"""Ready: can this process do its work now?"""

from iceprod_tasks.actions.service import Service


async def why_not_ready(service: Service) -> list[str]:
    """Words for each thing that keeps this process from its work; none when it can."""
    if service.drain.begun:
        # At once, whatever the database does.
        return ['draining']
    why = await service.store.health.why_not()
    return [why] if why else []
