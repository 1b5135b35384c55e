"""Reading tasks, and forgetting them."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

from iceprod_tasks.actions.named import active_named, find_named, wait_named
from iceprod_tasks.actions.operate import forget, history
from iceprod_tasks.dialects.drove.envelope import UNREADABLE, Violations
from iceprod_tasks.dialects.drove.handler import APP, READ, TASK, WRITE, DroveHandler
from iceprod_tasks.dialects.drove.names import SYSTEM, external
from iceprod_tasks.dialects.drove.states import STATES, TERMINAL, state_of
from iceprod_tasks.dialects.drove.translate import operation_in_words, states_in_words, task_info
from iceprod_tasks.domain.errors import InvalidRequest, NotEnded, NotFound
from iceprod_tasks.domain.tasks import Task
from iceprod_tasks.rest import bodies
from iceprod_tasks.rest.content_type import FORM
from iceprod_tasks.rest.routing import Route, in_lane

LONGEST_WAIT_SECONDS = 60
_FIELDS_AT_MOST = 100


class TasksHandler(DroveHandler):
    """All tasks that have not ended."""

    async def get(self) -> None:
        """List them, oldest first.

        Params (optional, ours):
            app: only those of this application
            state: only those in this state
            tag: KEY:VALUE, only those with this tag; repeatable

        Returns:
            dict: `data` is a list of what is known of each task
        """
        app, state = self.argument('app'), self.argument('state')
        tags = [each.partition(':')[::2] for each in self.get_query_arguments('tag')]
        _check_state(state)

        def is_wanted(info: dict[str, Any]) -> bool:
            has = all(info['tags'].get(key) == value for key, value in tags)
            return has and state in (None, info['state'])

        async def pieces() -> AsyncIterator[bytes]:
            separator = b'{"status":"SUCCESS","data":['
            async for task in active_named(self.service, SYSTEM, app):
                info = task_info(task, secrets=self.sees_secrets)
                if is_wanted(info):
                    yield separator + bodies.render(info)
                    separator = b','
            yield (b'' if separator == b',' else separator) + b'],"message":"success"}'

        await self.stream(pieces())


class InstanceHandler(DroveHandler):
    """A single task."""

    async def get(self, app: str, task: str) -> None:
        """Read it, in whatever state it is.

        Params (optional, ours):
            wait: seconds to wait, at most 60, until it is in a state
            state: the state to wait for; it has ended, unless told

        Args:
            app (str): the application it is of
            task (str): its id there

        Returns:
            dict: `data` is what is known of it; FAILED with HTTP 200 where there is none
        """
        wait, state = self.integer('wait') or 0, self.argument('state')
        if not 0 <= wait <= LONGEST_WAIT_SECONDS:
            raise Violations([f'wait must be from 0 to {LONGEST_WAIT_SECONDS} seconds'])
        _check_state(state)

        def is_it(found: Task) -> bool:
            return state_of(found) in (*TERMINAL, state)

        found = await wait_named(self.service, external(app, task), is_it, wait)
        if found is None:
            self.fail(f'No such task instance {app}/{task}')
            return
        self.succeed({**task_info(found, secrets=self.sees_secrets), 'states': states_in_words(found)})

    async def delete(self, app: str, task: str) -> None:
        """Forget it, once it has ended; its name is free again.

        Args:
            app (str): the application it is of
            task (str): its id there

        Returns:
            dict: `data` is {'deleted': true}; FAILED with HTTP 200 where there is none
        """
        try:
            await forget(self.service, self.caller, external(app, task), self.origin)
        except NotFound:
            self.fail(f'No such task instance {app}/{task}', {'deleted': False})
        except NotEnded:
            raise Violations([f'Task {app}/{task} has not ended: kill it first']) from None
        else:
            self.succeed({'deleted': True})


class HistoryHandler(DroveHandler):
    """What was done with a task."""

    async def get(self, app: str, task: str) -> None:
        """Read its operations, and those of earlier tasks of the same name, the newest first.

        Args:
            app (str): the application it is of
            task (str): its id there

        Returns:
            dict: `data` is a list, of each operation type, user, when it was accepted, its deadline, when it ended and
                how: ACTIVE, DONE, SUPERSEDED or TIMED_OUT
        """
        try:
            found = await history(self.service, external(app, task))
        except NotFound:
            self.fail(f'No such task instance {app}/{task}')
        else:
            self.succeed([operation_in_words(each) for each in found])


class SearchHandler(DroveHandler):
    """The way from a form of a page to a task."""

    body_type = FORM
    only_reads = True

    async def post(self) -> None:
        """Go to a task.

        Body: a form with `taskSearchAppName` and `taskSearchTaskID`.

        Returns:
            a redirection (303) to the task, or to / where there is none
        """
        fields = _form(self.request.body)
        names = [fields.get(name, '').strip() for name in ('taskSearchAppName', 'taskSearchTaskID')]
        found = await find_named(self.service, external(*names))
        place = '/apis/v1/tasks/{app}/instances/{id}'.format(**found['external']) if found else '/'
        self.clear_header('Content-Type')
        self.redirect(place, status=303)


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form: forms are not read before handlers are asked."""
    try:
        return dict(parse_qsl(body.decode(), errors='strict', max_num_fields=_FIELDS_AT_MOST))
    except ValueError as error:
        raise InvalidRequest('the body is no form, or has too many fields') from error


def _check_state(state: str | None) -> None:
    if state is not None and state not in STATES:
        raise Violations([f'state must be one of {", ".join(STATES)}'], UNREADABLE)


_INSTANCE = rf'/apis/v1/tasks/{APP}/instances/{TASK}'

ROUTES = (
    Route(r'/apis/v1/tasks', TasksHandler, {'get': in_lane('list', READ)}),
    Route(_INSTANCE, InstanceHandler, {'get': in_lane('follow', READ), 'delete': WRITE}),
    Route(rf'{_INSTANCE}/operations', HistoryHandler, {'get': READ}),
    Route(r'/apis/v1/tasks/search', SearchHandler, {'post': in_lane('read', READ)}),
)
