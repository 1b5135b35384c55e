"""What runs on a worker: offer, claim, run, report; reaches the service through the client."""

from iceprod_tasks.pilot.pilot import BlackHole, Pilot
from iceprod_tasks.pilot.plan import Plan

__all__ = ['BlackHole', 'Pilot', 'Plan']
