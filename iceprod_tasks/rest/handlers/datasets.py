"""Datasets and their configs. Source: the IceProd contract, section 4."""

from iceprod_tasks.actions import describe
from iceprod_tasks.actions.submit import configure, submit
from iceprod_tasks.domain.datasets import is_ours
from iceprod_tasks.rest import bodies
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import DATASET, EVERYONE, PEOPLE_WRITE, READERS, SUBMITTERS, Route


class MultiDatasetsHandler(Handler):
    """All datasets that the caller may read."""

    async def get(self) -> None:
        """List them.

        Params (optional):
            status: statuses with | between them
            keys: fields to show beside dataset_id, with | between them

        Returns:
            dict: {dataset_id: dataset}
        """
        found = describe.list_datasets(self.service, self.caller, statuses=self.words('status'), keys=self.keys())
        self.answer({dataset['dataset_id']: dataset async for dataset in found})

    async def post(self) -> None:
        """Submit a dataset.

        Body args (json):
            description (str): what it is
            jobs_submitted (int): how many jobs it has
            tasks_per_job (int): how many tasks each
            tasks_submitted (int): jobs times tasks, or 0
            group (str): of its owner
            priority (float), debug (bool), jobs_immutable (bool), status (str): (optional)
            config (dict): (optional) what its tasks do, as `PUT /config/ID` takes it

        Returns:
            dict: {'result': '/datasets/ID'}, with status 201 and a Location header
        """
        place = f'/datasets/{await submit(self.service, self.caller, self._submission())}'
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


class ConfigHandler(Handler):
    """The config of a dataset."""

    async def get(self, dataset_id: str) -> None:
        """Read it.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: the config as it was given
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
        await configure(self.service, self.caller, dataset_id, config)
        self.answer({})


ROUTES = (
    Route(r'/datasets', MultiDatasetsHandler, {'get': EVERYONE, 'post': SUBMITTERS}),
    Route(rf'/datasets/{DATASET}', DatasetHandler, {'get': READERS}),
    Route(rf'/config/{DATASET}', ConfigHandler, {'get': READERS, 'put': PEOPLE_WRITE}),
)
