"""Datasets and their configs. Source: the IceProd contract, section 4."""

from iceprod_tasks.actions import amend, describe
from iceprod_tasks.actions.delete import delete
from iceprod_tasks.actions.submit import configure, submit
from iceprod_tasks.domain.datasets import is_ours
from iceprod_tasks.rest import bodies
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import (
    DATASET,
    OWNERS_WRITE,
    PEOPLE,
    PEOPLE_DELETE,
    PEOPLE_WRITE,
    READERS,
    SUBMITTERS,
    Route,
    begins_work,
    in_lane,
)
from iceprod_tasks.storage.readable import Choice


class MultiDatasetsHandler(Handler):
    """All datasets that the caller may read."""

    async def get(self) -> None:
        """List them.

        Params (optional):
            status: statuses with | between them
            groups: groups with | between them
            users: names of submitters with | between them
            keys: fields to show beside dataset_id, with | between them

        Returns:
            dict: {dataset_id: dataset}, oldest first
        """
        choice = Choice(self.words('status'), self.words('groups'), self.words('users'))
        found = describe.list_datasets(self.service, self.caller, choice, self.keys())
        await self.stream(self.as_dict(found, 'dataset_id'))

    async def post(self) -> None:
        """Submit a dataset.

        Body args (json):
            description (str): what it is
            jobs_submitted (int): how many jobs it has
            tasks_per_job (int): how many tasks each; more than 0 in a dataset that begins without jobs
            tasks_submitted (int): jobs times tasks, or 0
            group (str): of its owner
            priority (float), debug (bool), jobs_immutable (bool), status (str): (optional)
            retention_days (float), archive (bool): (optional) as for its retention
            config (dict): (optional) what its tasks do, as `PUT /config/ID` takes it

        Returns:
            dict: {'result': '/datasets/ID'}, with status 201 and a Location header
        """
        place = f'/datasets/{await submit(self.service, self.caller, self._submission(), self.origin)}'
        self.set_header('Location', place)
        self.answer({'result': place}, 201)

    def _submission(self) -> dict[str, object]:
        return self.body('dataset', free_keys=('config',))


class DatasetHandler(Handler):
    """A single dataset."""

    async def get(self, dataset_id: str) -> None:
        """Read it.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: the dataset
        """
        self.answer(await describe.read_dataset(self.service, dataset_id))

    async def delete(self, dataset_id: str) -> None:
        """Delete it, and all that belongs to it.

        While its tasks run, or while unfinished datasets depend on it, this is refused with 409. What takes long goes
        on without the request: the answer is 202 then, and the request can be repeated until it is 404.

        Params (optional):
            force: true to stop tasks that run, and not to care for other datasets
            archive: true to write an archive first, false not to; as the dataset says when absent

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {'deleted': {part: number}, 'archive': file name or null}, the numbers of documents that this request
            removed; or {'deleting': true, 'stopping': number of tasks that still run}, with status 202
        """
        force, archive = self.boolean('force') or False, self.boolean('archive')
        gone = await delete(self.service, self.caller, dataset_id, force=force, archive=archive)
        if gone.deleted is None:
            self.answer({'deleting': True, 'stopping': gone.stopping}, 202)
        else:
            self.answer({'deleted': gone.deleted, 'archive': gone.archive})


class DatasetDescriptionHandler(Handler):
    """The description of a dataset."""

    async def put(self, dataset_id: str) -> None:
        """Set the description.

        Args:
            dataset_id (str): the dataset id

        Body args (json):
            description (str): what it is

        Returns:
            dict: empty
        """
        await amend.describe_anew(self.service, dataset_id, self.body('dataset_description')['description'])
        self.answer({})


class DatasetStatusHandler(Handler):
    """The status of a dataset."""

    async def put(self, dataset_id: str) -> None:
        """Set the status of the dataset, and nothing of its jobs and tasks.

        Args:
            dataset_id (str): the dataset id

        Body args (json):
            status (str): the new status

        Returns:
            dict: empty
        """
        await amend.move_dataset(self.service, dataset_id, self.body('dataset_status')['status'])
        self.answer({})


class DatasetPriorityHandler(Handler):
    """The priority of a dataset."""

    async def put(self, dataset_id: str) -> None:
        """Set the priority.

        Args:
            dataset_id (str): the dataset id

        Body args (json):
            priority (float): the new priority

        Returns:
            dict: empty
        """
        await amend.prioritize(self.service, dataset_id, self.body('dataset_priority')['priority'])
        self.answer({})


class DatasetJobsSubmittedHandler(Handler):
    """The number of jobs of a dataset."""

    async def put(self, dataset_id: str) -> None:
        """Give the dataset more jobs; it never gets fewer. One that had ended goes on, unless it was truncated.

        Args:
            dataset_id (str): the dataset id

        Body args (json):
            jobs_submitted (int): how many jobs it has from now on

        Returns:
            dict: empty
        """
        jobs_submitted = int(self.body('dataset_jobs_submitted')['jobs_submitted'])
        await amend.grow(self.service, dataset_id, jobs_submitted)
        self.answer({})


class DatasetSummariesStatusHandler(Handler):
    """Dataset ids a status."""

    async def get(self) -> None:
        """Group the ids of the datasets that the caller may read by status.

        Returns:
            dict: {status: [dataset_id]}, statuses that occur in their order
        """
        await self.stream(self.as_groups(describe.summarize_datasets(self.service, self.caller)))


class ConfigHandler(Handler):
    """The config of a dataset."""

    async def get(self, dataset_id: str) -> None:
        """Read it.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: the config as it was given, without the dataset id
        """
        self.answer(await describe.read_config(self.service, dataset_id))

    async def put(self, dataset_id: str) -> None:
        """Put it in place.

        Body: a config of our version is checked, and becomes tasks; one of another system is kept as it is. The
        caller must be able to read the datasets that it depends on.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: empty
        """
        config = bodies.parse(self.request.body)
        if is_ours(config):
            bodies.check(config, 'dataset_config')
        else:
            bodies.check(config, 'foreign_config')
        await configure(self.service, self.caller, dataset_id, config)
        self.answer({})


ROUTES = (
    Route(
        r'/datasets',
        MultiDatasetsHandler,
        {'get': in_lane('list', PEOPLE), 'post': begins_work(SUBMITTERS)},
        keyed='post',
        bulk=True,
    ),
    Route(
        rf'/datasets/{DATASET}', DatasetHandler, {'get': READERS, 'delete': in_lane('bulk', begins_work(PEOPLE_DELETE))}
    ),
    Route(rf'/datasets/{DATASET}/description', DatasetDescriptionHandler, {'put': OWNERS_WRITE}),
    Route(rf'/datasets/{DATASET}/status', DatasetStatusHandler, {'put': PEOPLE_WRITE}),
    Route(rf'/datasets/{DATASET}/priority', DatasetPriorityHandler, {'put': PEOPLE_WRITE}),
    Route(rf'/datasets/{DATASET}/jobs_submitted', DatasetJobsSubmittedHandler, {'put': OWNERS_WRITE}),
    Route(r'/dataset_summaries/status', DatasetSummariesStatusHandler, {'get': in_lane('list', PEOPLE)}),
    Route(rf'/config/{DATASET}', ConfigHandler, {'get': READERS, 'put': PEOPLE_WRITE}, bulk=True),
)
