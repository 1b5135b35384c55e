"""Creating and killing tasks: the operations that the leader accepts. Source: seed 003."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from iceprod_tasks.actions.create_work import NewWork
from iceprod_tasks.actions.maintain import refuse_in_maintenance
from iceprod_tasks.actions.operate import create, kill
from iceprod_tasks.dialects.drove import specs
from iceprod_tasks.dialects.drove.envelope import UNREADABLE, Violations
from iceprod_tasks.dialects.drove.handler import READ, WRITE, DroveHandler
from iceprod_tasks.domain.errors import AlreadyNamed, BeingDeleted, InvalidRequest, NothingToKill, OperationActive
from iceprod_tasks.rest.routing import Route, begins_work


class OperationsHandler(DroveHandler):
    """Operations on tasks."""

    async def post(self) -> None:
        """Have an operation begun; that it is accepted does not say that it is done.

        Params (optional, ours):
            dryRun: true only checks it

        Body args (json):
            type (str): CREATE or KILL
            spec (dict): of the task, for CREATE
            sourceAppName, taskId (str): of the task, for KILL
            opSpec (dict): timeout (duration), parallelism (1 to 32), failureStrategy (STOP)
            reason (str): (optional, ours) why it is killed

        Returns:
            dict: `data` is {'taskId': APP-ID} of a task that is created, {'taskId': ID} of one that is killed
        """
        body = self.given()
        kind = body.get('type')
        if not isinstance(kind, str) or kind not in _KINDS:
            raise Violations([f'type must be one of {", ".join(_KINDS)}'], UNREADABLE)
        await _KINDS[kind](self, body)

    async def create(self, body: Mapping[str, Any]) -> None:
        """Make a task."""
        wanted, spec = specs.create_request(body)
        await refuse_in_maintenance(self.service)
        app, task = wanted.external.app, wanted.external.id
        with _refusals(f'{app}/{task}', f'{app}-{task}'):
            if not self.boolean('dryRun'):
                await create(self.service, self.caller, self._complete(wanted), spec, self.origin)
        self.succeed({'taskId': f'{app}-{task}'})

    async def kill(self, body: Mapping[str, Any]) -> None:
        """End a task."""
        wish = specs.kill_request(body)
        await refuse_in_maintenance(self.service)
        app, task = wish.external.app, wish.external.id
        with _refusals(f'{app}/{task}', f'{app}-{task}'):
            if not self.boolean('dryRun'):
                await kill(self.service, self.caller, wish, self.origin)
        self.succeed({'taskId': task})

    def _complete(self, wanted: NewWork) -> NewWork:
        """A task with what the service says of all."""
        return replace(wanted, max_lease_seconds=self.service.limits.operations.lost_after_seconds)


class ValidateHandler(DroveHandler):
    """A look at the specification of a task."""

    only_reads = True

    async def post(self) -> None:
        """Check it as a creation would, and do nothing.

        Body: the specification of a task.

        Returns:
            dict: no data; or what is wrong with it
        """
        specs.task_spec(self.given())
        self.succeed()


_KINDS: Mapping[str, Callable[[OperationsHandler, Mapping[str, Any]], Any]] = {
    'CREATE': OperationsHandler.create,
    'KILL': OperationsHandler.kill,
}


@contextmanager
def _refusals(name: str, joined: str) -> Iterator[None]:
    """Refusals of the core in words that clients of Drove know.

    Args:
        name: of the task, APP/ID.
        joined: the same, APP-ID.
    """
    try:
        yield
    except AlreadyNamed as error:
        raise Violations([f'Task already exists for {name} with taskID: {joined}']) from error
    except NothingToKill as error:
        raise Violations([f'Either task does not exist or has already finished for {name}']) from error
    except OperationActive as error:
        raise Violations([f'Another operation is active on {name}: {error}']) from error
    except (BeingDeleted, InvalidRequest) as error:
        raise Violations([str(error)]) from error


ROUTES = (
    Route(r'/apis/v1/tasks/operations', OperationsHandler, {'post': begins_work(WRITE)}, keyed='post', bulk=True),
    Route(r'/apis/v1/tasks/validate/spec', ValidateHandler, {'post': READ}, bulk=True),
)
