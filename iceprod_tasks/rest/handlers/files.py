"""File entries of tasks. Source: seed 004."""

from iceprod_tasks.actions import attach_files
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import DATASET, PEOPLE_WRITE, READERS, TASK, Route


class DatasetMultiFilesHandler(Handler):
    """The file entries of a dataset."""

    async def get(self, dataset_id: str) -> None:
        """List them.

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {'files': [file]}
        """
        self.answer({'files': await attach_files.attached(self.service, dataset_id)})

    async def post(self, dataset_id: str) -> None:
        """Add a file entry to the task with a job_index and a name.

        Body args (json):
            filename (str): the full URL or name
            movement (str): input, output or both
            job_index (int): of the job
            task_name (str): of the task
            local (str): (optional) name in the task's directory
            transfer (bool or str): (optional) whether to move the file: yes, no or maybe
            compression (bool or str): (optional) whether to compress and decompress it
            checksum (str): (optional) of the remote file, for example sha256:...
            max_gb (float): (optional) a file that is larger is not moved

        Args:
            dataset_id (str): the dataset id

        Returns:
            dict: {'result': task_id}, with status 201
        """
        self.answer(
            {'result': await attach_files.attach_by_place(self.service, dataset_id, self.body('dataset_file'))}, 201
        )


class DatasetTaskFilesHandler(Handler):
    """The file entries of a task."""

    async def get(self, dataset_id: str, task_id: str) -> None:
        """List them.

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: {'files': [file]}
        """
        self.answer({'files': await attach_files.attached(self.service, dataset_id, task_id)})

    async def post(self, dataset_id: str, task_id: str) -> None:
        """Add a file entry.

        Body args (json):
            filename (str): the full URL or name
            movement (str): input, output or both
            local, transfer, compression, checksum, max_gb: (optional) as for a dataset

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: empty, with status 201
        """
        await attach_files.attach(self.service, dataset_id, task_id, self.body('file'))
        self.answer({}, 201)

    async def delete(self, dataset_id: str, task_id: str) -> None:
        """Remove all file entries of the task, or those of one file.

        Params (optional):
            filename: the one whose entries are to go

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: empty
        """
        await attach_files.detach(self.service, dataset_id, task_id, self.argument('filename'))
        self.answer({})


ROUTES = (
    Route(
        rf'/datasets/{DATASET}/files', DatasetMultiFilesHandler, {'get': READERS, 'post': PEOPLE_WRITE}, keyed='post'
    ),
    Route(
        rf'/datasets/{DATASET}/files/{TASK}',
        DatasetTaskFilesHandler,
        {'get': READERS, 'post': PEOPLE_WRITE, 'delete': PEOPLE_WRITE},
        keyed='post',
    ),
)
