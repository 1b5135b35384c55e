"""Messages of tasks, and how far they are: what a task, its pilot and the service say of it. Source: seed 000."""

from typing import Any

from iceprod_tasks.actions.messages import Steps, Under, add_message, list_messages, read_messages, set_progress
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.messages import MESSAGE_TYPES
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import CLAIMANTS, DATASET, PEOPLE_READ, TASK, TRACERS, Route, in_lane
from iceprod_tasks.storage.messages import Choice


class _Reading(Handler):
    """What reading of messages has in common."""

    def choice(self) -> Choice:
        """Which messages the query asks for."""
        types = self.words('mtype')
        if unknown := set(types) - set(MESSAGE_TYPES):
            raise InvalidRequest(f'Bad argument "mtype": {min(unknown)[:100]!r} is none of {", ".join(MESSAGE_TYPES)}')
        return Choice(self.time('after'), types or MESSAGE_TYPES, self.number('limit'))


class TasksMessagesHandler(_Reading):
    """The messages of a task."""

    async def get(self, task_id: str) -> None:
        """Read the messages, oldest first. No two have the same time, and none comes later with an earlier one.

        Params (optional):
            after: only those later than this time, that of the last one that is known
            mtype: types with | between them: notification, silent, error, result
            limit: how many

        Args:
            task_id (str): the task id

        Returns:
            dict: {'messages': [message]}, and `dropped`, how many more there were, if any; of each message_id, mtype,
                timestamp, who, epoch; text, or result, or text, name and stacktrace; of a report also action, reason,
                exit_code, site, time_used, resources, stdout, stderr
        """
        messages, dropped = await read_messages(self.service, task_id, self.choice())
        self.answer({'messages': messages, **({'dropped': dropped} if dropped else {})})

    async def post(self, task_id: str) -> None:
        """Leave a message; for pilots on tasks that they hold.

        Args:
            task_id (str): the task id

        Body args (json):
            mtype (str): notification, silent, error or result
            text (str): what it says; with result `result` (str) instead
            name, stacktrace (str): (optional) of an error
            message_id (str): (optional) 32 hex digits; the same message again leaves no other
            claim_id, epoch: (optional) of the claim that must hold the task

        Returns:
            dict: {'result': message_id}, with status 201
        """
        body = self.body('message')
        message_id = await add_message(self.service, self.caller, task_id, body, _under(body))
        self.answer({'result': message_id}, 201)


class TasksProgressHandler(Handler):
    """How far a task is."""

    async def post(self, task_id: str) -> None:
        """Say it; for pilots of tasks that they hold. What is not said stays as it is.

        Args:
            task_id (str): the task id

        Body args (json):
            completed (int): (optional) steps done
            total (int): (optional) steps in all; 0 where nobody knows
            add (int): (optional) steps done since, instead of `completed`
            claim_id, epoch: (optional) of the claim that must hold the task

        Returns:
            dict: the task's steps after it: completed and total
        """
        body = self.body('progress')
        steps = Steps(body.get('completed'), body.get('total'), body.get('add'))
        self.answer(await set_progress(self.service, self.caller, task_id, steps, _under(body)))


class DatasetMessagesHandler(_Reading):
    """The messages of a dataset's tasks."""

    async def get(self, dataset_id: str) -> None:
        """Read the messages of all tasks, oldest first.

        Params (optional):
            after: only those later than this time
            mtype: types with | between them, as for one task
            limit: how many; those of the same time as the last one come with it, so that `after` its time goes on

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {'messages': [message]}, with task_id, as tasks have them: reports without what they brought
        """
        await self.stream(self.as_list('messages', list_messages(self.service, dataset_id, self.choice())))


def _under(body: dict[str, Any]) -> Under:
    return Under(body.get('claim_id', ''), body.get('epoch'))


ROUTES = (
    Route(
        rf'/tasks/{TASK}/messages',
        TasksMessagesHandler,
        {'get': TRACERS, 'post': in_lane('report', CLAIMANTS)},
        keyed='post',
    ),
    Route(rf'/tasks/{TASK}/progress', TasksProgressHandler, {'post': in_lane('report', CLAIMANTS)}, keyed='post'),
    Route(rf'/datasets/{DATASET}/messages', DatasetMessagesHandler, {'get': in_lane('list', PEOPLE_READ)}),
)
