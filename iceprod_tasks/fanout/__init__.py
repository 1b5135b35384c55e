"""Running a command on nodes: an engine on asyncio, and in front of it what programs written for ClusterShell expect.

Programs with an event loop call `run` and `copy`. Programs written for ClusterShell import `iceprod_tasks.fanout.Task`,
`.Worker.Ssh` and so on where they have imported `ClusterShell.Task`. The folder imports nothing else of the package.
"""

from iceprod_tasks.fanout.nodes import InvalidNodes, checked, expand, fold
from iceprod_tasks.fanout.output import Output
from iceprod_tasks.fanout.remote import Ssh
from iceprod_tasks.fanout.running import Limits, Outcome, Outcomes, copy, run

__all__ = ['InvalidNodes', 'Limits', 'Outcome', 'Outcomes', 'Output', 'Ssh', 'checked', 'copy', 'expand', 'fold', 'run']
