"""How long datasets are kept, and their archives."""

from iceprod_tasks.actions.archive import download
from iceprod_tasks.actions.retain import retain
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import DATASET, PEOPLE_READ, PEOPLE_WRITE, Route, in_lane
from iceprod_tasks.storage.archives import SUFFIX


class DatasetRetentionHandler(Handler):
    """How long a dataset is kept."""

    async def put(self, dataset_id: str) -> None:
        """Set it.

        Body args (json):
            days (float): after the dataset's end, 0 or more; null for the service's own
            archive (bool): (optional) whether an archive is written before the dataset is deleted

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: empty
        """
        await retain(self.service, dataset_id, self.body('retention'))
        self.answer({})


class DatasetArchiveHandler(Handler):
    """A dataset as an archive."""

    async def get(self, dataset_id: str) -> None:
        """Download all that is kept of it: lines of JSON, compressed by gzip.

        Args:
            dataset_id (str): the dataset id

        Returns:
            file: the archive as of now; without a last line that has `end` it is cut off
        """
        pieces = await download(self.service, dataset_id)
        self.set_header('Content-Type', 'application/gzip')
        self.set_header('Content-Disposition', f'attachment; filename="{dataset_id}{SUFFIX}"')
        await self.stream(pieces)


ROUTES = (
    Route(rf'/datasets/{DATASET}/retention', DatasetRetentionHandler, {'put': PEOPLE_WRITE}),
    Route(rf'/datasets/{DATASET}/archive', DatasetArchiveHandler, {'get': in_lane('list', PEOPLE_READ)}),
)
