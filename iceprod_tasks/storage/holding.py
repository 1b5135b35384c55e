"""What holds tasks back that depend on others, looked up in portions of a bounded size."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any

from iceprod_tasks.storage.client import Collection, Document
from iceprod_tasks.storage.tasks import named

# Some tasks collect the results of thousands.
_NAMES_AT_ONCE = 50_000


async def blocked(tasks: Collection, waiting: Sequence[Mapping[str, Any]]) -> set[str]:
    """Which tasks something that they depend on holds back.

    A dependency that is not complete does. So does one that no task has as its id, but only where the task is the
    scheduler's own: what it depends on may be made later. Old clients name tasks that never were here.

    Args:
        tasks: the collection `tasks`.
        waiting: tasks with task_id, depends and managed.

    Returns:
        Their ids.
    """
    depends = {task['task_id']: task['depends'] for task in waiting if task.get('depends')}
    known = await named(tasks, (name for names in depends.values() for name in names), ('status',))
    status = {task_id: task['status'] for task_id, task in known.items()}
    unknown = {task['task_id']: None if task.get('managed') else 'complete' for task in waiting}
    return {
        task_id
        for task_id, names in depends.items()
        if any(status.get(name, unknown[task_id]) != 'complete' for name in names)
    }


def full_at(tasks: Sequence[Mapping[str, Any]], at_most: int) -> int | None:
    """How many of some tasks make a portion, None when they are too few for one."""
    names = 0
    for number, task in enumerate(tasks, 1):
        names += len(task['depends'])
        if number == at_most or names >= _NAMES_AT_ONCE:
            return number
    return None


async def portions(tasks: AsyncIterator[Document], at_most: int) -> AsyncGenerator[list[Document], None]:
    """Tasks in portions: of at most so many tasks, and so many dependencies that they can be looked up at once."""
    portion: list[Document] = []
    names = 0
    async for task in tasks:
        portion.append(task)
        names += len(task['depends'])
        if len(portion) == at_most or names >= _NAMES_AT_ONCE:
            yield portion
            portion, names = [], 0
    if portion:
        yield portion
