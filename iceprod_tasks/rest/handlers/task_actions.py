"""What is done to tasks: queue, claim, report, and changes of many at once. Source: seed 004."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from iceprod_tasks.actions import claim, report
from iceprod_tasks.actions.heartbeat import SignOfLife, heartbeat
from iceprod_tasks.actions.move import move_tasks
from iceprod_tasks.actions.queue import queue
from iceprod_tasks.actions.report import Report
from iceprod_tasks.actions.require import require
from iceprod_tasks.domain.errors import IceprodTasksError, InvalidRequest
from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.rest.handler import Handler, status_of
from iceprod_tasks.rest.long_bodies import unique
from iceprod_tasks.rest.query_params import conditions
from iceprod_tasks.rest.routing import (
    CLAIMANTS,
    DATASET,
    NAME,
    OPERATORS,
    PEOPLE_WRITE,
    PILOTS,
    STATUS,
    TASK,
    Route,
    begins_work,
    in_lane,
)
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.openings import Wanted


class TasksActionsQueueHandler(Handler):
    """Waiting to queued."""

    async def post(self) -> None:
        """Queue waiting tasks, those of the highest priority first.

        A task that depends on a known task which is not complete is passed over.

        Body args (json):
            num_tasks (int): (optional) how many at the most, 100 unless told

        Returns:
            dict: {'queued': how many were}
        """
        number = self.body('queue').get('num_tasks', 100)
        self.answer({'queued': await queue(self.service, self.caller, number, self.origin)})


class TasksActionsProcessingHandler(Handler):
    """Queued to processing: the claim of a pilot."""

    async def post(self) -> None:
        """Take the queued task of the highest priority that fits, and return it.

        Body args (json):
            requirements (dict): (optional) what the pilot offers
            query_params (dict): (optional) further conditions on the task
            claim_id (str): (optional) 32 hex digits made by the pilot, the same at each retry
            lease_seconds (float): (optional) how long the claim shall hold without a sign of life
            pilot (str): (optional) the pilot's name
            site (str): (optional) where it runs, unless `requirements` says it
            host (str): (optional) the machine it runs on; a task that failed there is left to others while they ask
            num_tasks (int): (optional) take a batch of up to so many tasks; the k-th has the claim id `<claim_id>.<k>`

        Returns:
            dict: the task, or `tasks`, a list, where `num_tasks` is given; 404 with `left`, the unfinished tasks that
                fit, when none is queued
        """
        # Old pilots list their network interfaces, whose names have dots.
        body = self.body('claim', optional=True, free_keys=('query_params', 'ifaces'))
        offer = body.get('requirements', {})
        asked = claim.ClaimRequest(
            Wanted(offer, conditions(body.get('query_params', {}))),
            claim_id=body.get('claim_id', ''),
            lease_seconds=body.get('lease_seconds'),
            pilot=body.get('pilot', ''),
            site=claim.site_of(offer, body.get('site', '')),
            host=body.get('host', ''),
        )
        if (number := body.get('num_tasks')) is None:
            self.answer(await claim.claim(self.service, self.caller, asked))
        else:
            self.answer({'tasks': await claim.claim_batch(self.service, self.caller, asked, number)})


class TasksActionsHeartbeatHandler(Handler):
    """A pilot is at work on a task: its claim holds on."""

    async def post(self, task_id: str) -> None:
        """Let the lease of a claim begin anew, and tell the pilot whether to go on.

        Args:
            task_id (str): the task id

        Body args (json):
            claim_id (str): of the claim
            epoch (int): (optional) of the claim
            progress (dict): (optional) how far it is: completed and total, kept as `steps` of the task
            phase (str): (optional) provisioning, starting, running, run_completed or deprovisioning
            phases (list): (optional) those gone through since the last heartbeat: of each `phase` and `seconds_ago`
            resources (dict): (optional) used so far: cpu, gpu, memory, disk (GB), time (hours); `resources_used`
            messages (list): (optional) what the task says, each as it is posted, with a `message_id`

        Returns:
            dict: `action` continue or stop, `why` it is to stop, `again_in` and `lease_seconds` in seconds from the
                request on, and `orders`, which is empty; 409 when the claim is over, with `action` stop
        """
        told = await heartbeat(self.service, self.caller, task_id, _sign_of_life(self.body('heartbeat')))
        answer = {'action': told.action, 'why': told.why, 'again_in': told.again_in_seconds, 'orders': []}
        self.answer({**answer, 'lease_seconds': told.lease_seconds})


class TasksActionsErrorHandler(Handler):
    """A try went wrong (any status but complete, to reset)."""

    final_status = 'reset'
    _end: ClassVar[dict[str, Callable[..., Awaitable[None]]]] = {'reset': report.reset, 'failed': report.fail}

    async def post(self, task_id: str) -> None:
        """End a try of a task without success; its status becomes `final_status`.

        Args:
            task_id (str): the task id

        Body args (json):
            time_used (float): (optional) seconds the try took
            resources (dict): (optional) what it used: cpu, gpu, memory, disk (GB), time (hours)
            site (str): (optional) where it ran
            reason (str): (optional) why it failed
            claim_id, epoch: (optional) of the claim it ends
            exit_code (int), stdout, stderr (str): (optional) of the command, the ends of its output
            cause (str): (optional) `run_time` when it ran for too long, `provisioning` when it never came to run

        Returns:
            dict: empty
        """
        given = _report(self.body('report', optional=True))
        await self._end[self.final_status](self.service, self.caller, task_id, given)
        self.answer({})


class TasksActionsFailedHandler(TasksActionsErrorHandler):
    """A task cannot succeed (any status but complete, to failed)."""

    final_status = 'failed'


class TasksActionsCompleteHandler(Handler):
    """Processing to complete."""

    async def post(self, task_id: str) -> None:
        """End a task with success.

        Args:
            task_id (str): the task id

        Body args (json):
            time_used (float): (optional) seconds the task took
            site (str): (optional) where it ran
            claim_id, epoch: (optional) of the claim it ends
            exit_code (int), stdout, stderr, reason (str), resources (dict): (optional) kept with the task's messages

        Returns:
            dict: empty
        """
        await report.complete(self.service, self.caller, task_id, _report(self.body('report', optional=True)))
        self.answer({})


class TasksActionsHandBackHandler(Handler):
    """Processing to queued: a pilot that has to leave gives its task back."""

    async def post(self, task_id: str) -> None:
        """Give a task back unfinished; it counts as an eviction, not as a failure.

        Args:
            task_id (str): the task id

        Body args (json):
            claim_id (str): of the claim
            epoch (int): (optional) of the claim
            reason, site (str): (optional) why, and where

        Returns:
            dict: empty
        """
        await report.hand_back(self.service, self.caller, task_id, _report(self.body('hand_back')))
        self.answer({})


class TasksActionsReportHandler(Handler):
    """Processing to complete, reset, failed or queued, for several tasks at once."""

    async def post(self) -> None:
        """Report how work on several tasks ended; each report is taken or refused by itself.

        Body args (json):
            reports (list): of each task `task_id`, `action` (complete, reset, failed or hand_back), and what a report
                of this task alone would say

        Returns:
            dict: `results`, for each report in its place `task_id`, `code`, and the `error` where the code is not 200
        """
        given = self.body('reports')['reports']
        if any(each['action'] == 'hand_back' and 'claim_id' not in each for each in given):
            raise InvalidRequest('missing key: claim_id')
        reports = [(each['task_id'], each['action'], _report(each)) for each in given]
        # Whose a task is decides about each report: another pilot's is refused, and the rest is taken.
        refused = await report.report_batch(self.service, self.caller, reports)
        self.answer({'results': [_result(task_id, why) for (task_id, *_), why in zip(reports, refused, strict=True)]})


class TaskBulkStatusHandler(Handler):
    """The status of many tasks."""

    async def post(self, status: str) -> None:
        """Set the status of many tasks at once.

        Body: {'tasks': [task_id, ...]}, at most 100 000

        Args:
            status (str): the new status

        Returns:
            dict: empty
        """
        task_ids = await _ids(await self.long_body('bulk_status'), status)
        await move_tasks(self.service, self.caller, task_ids, status, request=self.origin.request)
        self.answer({})


class DatasetTaskBulkStatusHandler(Handler):
    """The status of many tasks of a dataset."""

    async def post(self, dataset_id: str, status: str) -> None:
        """Set the status of many tasks at once; those of other datasets are passed over.

        Body: {'tasks': [task_id, ...]}, at most 100 000

        Args:
            dataset_id (str): the dataset id
            status (str): the new status

        Returns:
            dict: empty
        """
        task_ids = await _ids(await self.long_body('bulk_status'), status)
        await move_tasks(
            self.service, self.caller, task_ids, status, dataset_id=dataset_id, request=self.origin.request
        )
        self.answer({})


class DatasetTaskBulkRequirementsHandler(Handler):
    """The requirements of many tasks of a dataset."""

    async def patch(self, dataset_id: str, name: str) -> None:
        """Set requirements of all tasks with a name, raised or lowered; those not named in the body stay.

        Body: {resource: requirement}

        Args:
            dataset_id (str): the dataset id
            name (str): the task name

        Returns:
            dict: empty
        """
        await require(self.service, dataset_id, name, self.body('bulk_requirements'))
        self.answer({})


def _report(body: dict[str, Any]) -> Report:
    return Report(
        claim_id=body.get('claim_id', ''),
        epoch=body.get('epoch'),
        time_used_seconds=body.get('time_used'),
        resources=body.get('resources', {}),
        site=body.get('site', ''),
        reason=body.get('reason', ''),
        exit_code=body.get('exit_code'),
        stdout=body.get('stdout', ''),
        stderr=body.get('stderr', ''),
        cause=body.get('cause', ''),
        phases=_phases(body),
    )


def _result(task_id: str, refused: IceprodTasksError | None) -> dict[str, Any]:
    if refused is None:
        return {'task_id': task_id, 'code': 200}
    return {'task_id': task_id, 'code': status_of(refused), 'error': str(refused), **refused.details}


def _sign_of_life(body: dict[str, Any]) -> SignOfLife:
    return SignOfLife(
        claim_id=body['claim_id'],
        epoch=body.get('epoch'),
        steps=body.get('progress'),
        phase=body.get('phase'),
        phases=_phases(body),
        resources=body.get('resources', {}),
        messages=body.get('messages', ()),
    )


def _phases(body: dict[str, Any]) -> list[tuple[str, datetime]]:
    now = utc_now()
    return [(each['phase'], now - timedelta(seconds=each['seconds_ago'])) for each in body.get('phases', ())]


async def _ids(body: dict[str, Any], status: str) -> list[str]:
    if status not in STATUSES:
        raise InvalidRequest('Bad status')
    return await unique(body['tasks'])


ROUTES = (
    # The user of the seed calls the actions queue, processing, error and complete.
    Route(
        r'/task_actions/(?:process|processing)',
        TasksActionsProcessingHandler,
        {'post': in_lane('claim', begins_work(PILOTS))},
    ),
    Route(rf'/tasks/{TASK}/task_actions/complete', TasksActionsCompleteHandler, {'post': in_lane('report', CLAIMANTS)}),
    Route(
        rf'/tasks/{TASK}/task_actions/heartbeat', TasksActionsHeartbeatHandler, {'post': in_lane('report', CLAIMANTS)}
    ),
    Route(r'/task_actions/report', TasksActionsReportHandler, {'post': in_lane('report', PILOTS)}, bulk=True),
    Route(r'/task_actions/queue', TasksActionsQueueHandler, {'post': begins_work(OPERATORS)}, keyed='post'),
    Route(
        rf'/task_actions/bulk_status/{STATUS}',
        TaskBulkStatusHandler,
        {'post': in_lane('bulk', begins_work(OPERATORS))},
        keyed='post',
        bulk=True,
    ),
    Route(
        rf'/tasks/{TASK}/task_actions/(?:reset|error)', TasksActionsErrorHandler, {'post': in_lane('report', CLAIMANTS)}
    ),
    Route(rf'/tasks/{TASK}/task_actions/failed', TasksActionsFailedHandler, {'post': in_lane('report', CLAIMANTS)}),
    Route(
        rf'/tasks/{TASK}/task_actions/hand_back', TasksActionsHandBackHandler, {'post': in_lane('report', CLAIMANTS)}
    ),
    Route(
        rf'/datasets/{DATASET}/task_actions/bulk_status/{STATUS}',
        DatasetTaskBulkStatusHandler,
        {'post': in_lane('bulk', begins_work(PEOPLE_WRITE))},
        keyed='post',
        bulk=True,
    ),
    Route(
        rf'/datasets/{DATASET}/task_actions/bulk_requirements/{NAME}',
        DatasetTaskBulkRequirementsHandler,
        {'patch': in_lane('bulk', begins_work(PEOPLE_WRITE))},
        keyed='patch',
    ),
)
