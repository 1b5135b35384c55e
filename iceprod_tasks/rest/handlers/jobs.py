"""Jobs of datasets. Source: the IceProd contract, section 4."""

from iceprod_tasks.actions import describe
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import DATASET, JOB, PILOTS, READERS, Route


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
    Route(rf'/jobs/{JOB}', JobsHandler, {'get': PILOTS}),
    Route(rf'/datasets/{DATASET}/jobs', DatasetMultiJobsHandler, {'get': READERS}),
    Route(rf'/datasets/{DATASET}/jobs/{JOB}', DatasetJobsHandler, {'get': READERS}),
    Route(rf'/datasets/{DATASET}/job_counts/status', DatasetJobCountsStatusHandler, {'get': READERS}),
)
