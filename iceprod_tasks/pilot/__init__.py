"""What runs on a worker: offer, claim, run, report; reaches the service through the client."""

from iceprod_tasks.pilot.pilot import Pilot
from iceprod_tasks.pilot.plan import Plan

__all__ = ['Pilot', 'Plan']
