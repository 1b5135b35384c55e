"""Bringing pilots to where machines are: a supervisor keeps as many as the queue has work for."""

from iceprod_tasks.batch.condor import Condor
from iceprod_tasks.batch.decision import Bounds
from iceprod_tasks.batch.job import Job
from iceprod_tasks.batch.slurm import Slurm
from iceprod_tasks.batch.supervisor import Orders, Supervisor
from iceprod_tasks.batch.system import BatchSystem, BatchTrouble

__all__ = ['BatchSystem', 'BatchTrouble', 'Bounds', 'Condor', 'Job', 'Orders', 'Slurm', 'Supervisor']
