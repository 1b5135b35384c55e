"""Messages of tasks, and how far they are."""

import uuid
from collections.abc import Sequence
from typing import cast

from iceprod_tasks.client.asking import Asking, in_dataset, part, query_of
from iceprod_tasks.client.documents import Message, Steps


class Messages(Asking):
    """The verbs about messages."""

    async def messages(self, task_id: str, *, after: str = '', mtypes: Sequence[str] = ()) -> list[Message]:
        """What was said of a task, oldest first.

        Args:
            task_id: of the task.
            after: only what is later than this `timestamp`.
            mtypes: only of these types; of all when empty.
        """
        query = _chosen(after, mtypes)
        return cast(list[Message], (await self._get(f'/tasks/{part(task_id)}/messages', query))['messages'])

    async def dataset_messages(
        self, dataset_id: str, *, after: str = '', mtypes: Sequence[str] = (), limit: int = 0
    ) -> list[Message]:
        """What was said of a dataset's tasks, oldest first.

        Args:
            dataset_id: of the dataset.
            after: only what is later than this `timestamp`.
            mtypes: only of these types; of all when empty.
            limit: how many, 0 for all; those of the same time as the last one come with it.
        """
        query = _chosen(after, mtypes) | ({'limit': limit} if limit else {})
        return cast(list[Message], (await self._get(f'{in_dataset(dataset_id)}/messages', query))['messages'])

    async def add_message(self, task_id: str, mtype: str, text: str, *, name: str = '', stacktrace: str = '') -> str:
        """Say something of a task.

        Args:
            task_id: of the task.
            mtype: notification, silent, error or result.
            text: what there is to say; the result itself of a result.
            name: of an error.
            stacktrace: of an error.

        Returns:
            The id of the message.
        """
        words = {'result' if mtype == 'result' else 'text': text}
        error = {'name': name, 'stacktrace': stacktrace} if mtype == 'error' else {}
        # By its id the service knows it again, however often it comes.
        body = {'mtype': mtype, 'message_id': uuid.uuid4().hex, **words, **error}
        answer = await self._post(f'/tasks/{part(task_id)}/messages', body, repeatable=True)
        return str(answer['result'])

    async def set_progress(
        self, task_id: str, completed: int | None = None, total: int | None = None, *, add: int | None = None
    ) -> Steps:
        """Say how far a task is; what is None stays as it is.

        Args:
            task_id: of the task.
            completed: steps done.
            total: steps in all.
            add: steps done since, instead of `completed`.

        Returns:
            The steps after it.
        """
        said = {'completed': completed, 'total': total, 'add': add}
        body = {key: value for key, value in said.items() if value is not None}
        return cast(Steps, await self._once(f'/tasks/{part(task_id)}/progress', body))


def _chosen(after: str, mtypes: Sequence[str]) -> dict[str, str | int]:
    return query_of(after=[after] if after else [], mtype=mtypes)
