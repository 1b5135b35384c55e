"""Jobs of datasets. Source: the IceProd contract, section 4."""

from iceprod_tasks.actions import describe
from iceprod_tasks.actions.create import create_job
from iceprod_tasks.actions.move_jobs import move_job, move_jobs, patch_job
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.jobs import JOB_STATUSES
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.long_bodies import unique
from iceprod_tasks.rest.routing import (
    DATASET,
    JOB,
    JOB_HOLDERS,
    OPERATORS,
    PEOPLE_READ,
    PEOPLE_WRITE,
    STATUS,
    Route,
    begins_work,
    in_lane,
)


class MultiJobsHandler(Handler):
    """All jobs of the service."""

    async def post(self) -> None:
        """Create a job; its status is processing.

        The scheduler makes the jobs of a dataset with a config of ours. This is for clients that make them for
        themselves. A dataset has one job for each job_index: 409 for a second one.

        Body args (json):
            dataset_id (str): of its dataset
            job_index (int): its place in the dataset
            job_id (str): (optional) a UUID; when absent, the id that the scheduler would give it

        Returns:
            dict: {'result': job_id}, with status 201
        """
        job_id = await create_job(self.service, self.body('job'), self.origin)
        self.set_header('Location', f'/jobs/{job_id}')
        self.answer({'result': job_id}, 201)


class JobsHandler(Handler):
    """A single job."""

    async def get(self, job_id: str) -> None:
        """Read it.

        Args:
            job_id (str): the job id

        Returns:
            dict: the job
        """
        self.answer(await describe.read_job(self.service, job_id))

    async def patch(self, job_id: str) -> None:
        """Merge data into a job.

        Body: fields to set. What identifies the job and what only the service sets cannot be changed. Its tasks stay
        as they are.

        Args:
            job_id (str): the job id

        Returns:
            dict: the job after it
        """
        self.answer(await patch_job(self.service, job_id, self.body('job_patch')))


class DatasetMultiJobsHandler(Handler):
    """The jobs of a dataset."""

    async def get(self, dataset_id: str) -> None:
        """List them.

        Params (optional):
            status: statuses with | between them
            job_index: of the job with this index
            keys: fields to show beside job_id, with | between them

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {job_id: job}
        """
        found = describe.list_jobs(
            self.service,
            dataset_id,
            statuses=self.words('status') or None,
            job_index=self.integer('job_index'),
            keys=self.keys(),
        )
        await self.stream(self.as_dict(found, 'job_id'))


class DatasetJobsHandler(Handler):
    """A single job of a dataset."""

    async def get(self, dataset_id: str, job_id: str) -> None:
        """Read it.

        Args:
            dataset_id (str): the dataset id
            job_id (str): the job id

        Returns:
            dict: the job
        """
        self.answer(await describe.read_job(self.service, job_id, dataset_id=dataset_id))


class DatasetJobsStatusHandler(Handler):
    """The status of a job of a dataset."""

    async def put(self, dataset_id: str, job_id: str) -> None:
        """Set the status of the job; its tasks stay as they are.

        Body: {'status': new status}

        Args:
            dataset_id (str): the dataset id
            job_id (str): the job id

        Returns:
            dict: empty
        """
        await move_job(self.service, dataset_id, job_id, self.body('job_status')['status'])
        self.answer({})


class DatasetJobBulkStatusHandler(Handler):
    """The status of many jobs of a dataset."""

    async def post(self, dataset_id: str, status: str) -> None:
        """Set the status of many jobs at once; their tasks stay as they are. Jobs of other datasets are passed over.

        Body: {'jobs': [job_id, ...]}, at most 100 000

        Args:
            dataset_id (str): the dataset id
            status (str): the new status

        Returns:
            dict: empty
        """
        job_ids = (await self.long_body('job_bulk_status'))['jobs']
        if status not in JOB_STATUSES:
            raise InvalidRequest('Bad status')
        await move_jobs(self.service, dataset_id, await unique(job_ids), status)
        self.answer({})


class DatasetJobSummariesStatusHandler(Handler):
    """Job ids a status."""

    async def get(self, dataset_id: str) -> None:
        """Group the ids of a dataset's jobs by status.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {status: [job_id]}, statuses that occur in their order
        """
        await self.stream(self.as_groups(describe.summarize_jobs(self.service, dataset_id)))


class DatasetJobCountsStatusHandler(Handler):
    """Jobs a status, of a dataset."""

    async def get(self, dataset_id: str) -> None:
        """Count a dataset's jobs by status.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {status: number}, statuses that occur in their order
        """
        self.answer(await describe.count_jobs(self.service, dataset_id))


ROUTES = (
    Route(r'/jobs', MultiJobsHandler, {'post': begins_work(OPERATORS)}, keyed='post'),
    Route(rf'/jobs/{JOB}', JobsHandler, {'get': JOB_HOLDERS, 'patch': OPERATORS}),
    Route(rf'/datasets/{DATASET}/jobs', DatasetMultiJobsHandler, {'get': in_lane('list', PEOPLE_READ)}),
    Route(rf'/datasets/{DATASET}/jobs/{JOB}', DatasetJobsHandler, {'get': PEOPLE_READ}),
    Route(rf'/datasets/{DATASET}/jobs/{JOB}/status', DatasetJobsStatusHandler, {'put': PEOPLE_WRITE}),
    Route(
        rf'/datasets/{DATASET}/job_actions/bulk_status/{STATUS}',
        DatasetJobBulkStatusHandler,
        {'post': in_lane('bulk', begins_work(PEOPLE_WRITE))},
        keyed='post',
        bulk=True,
    ),
    Route(
        rf'/datasets/{DATASET}/job_summaries/status',
        DatasetJobSummariesStatusHandler,
        {'get': in_lane('list', PEOPLE_READ)},
    ),
    Route(rf'/datasets/{DATASET}/job_counts/status', DatasetJobCountsStatusHandler, {'get': PEOPLE_READ}),
)
