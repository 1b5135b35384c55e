"""Moves the files of tasks: `file:`, `http:`, `https:` and `s3:`, in before the command and out after it."""

from iceprod_tasks.pilot.files.errors import FileRefused, FileTrouble
from iceprod_tasks.pilot.files.mover import Moved, Mover
from iceprod_tasks.pilot.files.rules import FileRules

__all__ = ['FileRefused', 'FileRules', 'FileTrouble', 'Moved', 'Mover']
