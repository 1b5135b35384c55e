"""The names that clients of Drove give: of tasks, within applications."""

from iceprod_tasks.actions.create_work import External

SYSTEM = 'drove'
"""The system of those names."""

NAME = '[a-zA-Z0-9_-]{1,128}'
"""An application, or a task of one."""


def external(app: str, task: str) -> External:
    """The name of a task."""
    return External(SYSTEM, app, task)
