"""The logs of tasks: what their commands print, as two files. These answers have no envelope."""

from collections.abc import AsyncIterator

from iceprod_tasks.actions.named import find_named
from iceprod_tasks.actions.outputs import Wanted, read_output
from iceprod_tasks.actions.read_text import read_text
from iceprod_tasks.dialects.drove.envelope import Violations
from iceprod_tasks.dialects.drove.handler import APP, READ, TASK, DroveHandler
from iceprod_tasks.dialects.drove.names import external
from iceprod_tasks.domain.errors import NotFound
from iceprod_tasks.domain.tasks import Task
from iceprod_tasks.rest.routing import Route, in_lane

FILES = {'output.log': 'stdout', 'error.log': 'stderr'}
"""The files of a task, and the streams that they are."""

READ_CHARACTERS = 32_768
LONGEST_READ = 1024 * 1024
_FILE = '(?P<file>[A-Za-z0-9_.-]{1,255})'
_PIECE_BYTES = 64 * 1024


class _LogHandler(DroveHandler):
    """What the routes of logs have in common."""

    async def _task(self, app: str, task: str) -> Task:
        found = await find_named(self.service, external(app, task))
        if found is None:
            raise NotFound(f'No such task instance {app}/{task}')
        return found

    async def _stream_of(self, app: str, task: str, file: str) -> tuple[str, str]:
        """The id of the task, and the stream that a file is."""
        found = await self._task(app, task)
        if file not in FILES:
            raise NotFound(f'{app}/{task} has no log {file}: there are {" and ".join(FILES)}')
        return str(found['task_id']), FILES[file]


class LogsHandler(_LogHandler):
    """The logs that a task has."""

    async def get(self, app: str, task: str) -> None:
        """List them.

        Args:
            app (str): the application it is of
            task (str): its id there

        Returns:
            dict: {'files': names}; HTTP 204 and nothing where there is no such task
        """
        try:
            found = await self._task(app, task)
        except NotFound:
            self.set_status(204)
            return
        self.answer({'files': list(FILES) if found['epoch'] else []})


class LogReadHandler(_LogHandler):
    """Some of a log."""

    async def get(self, app: str, task: str, file: str) -> None:
        """Read some of it.

        Params (optional):
            offset: of the first character; the end, where nothing is yet, unless told
            length: characters at the most, 32768 unless told

        Args:
            app (str): the application it is of
            task (str): its id there
            file (str): output.log or error.log

        Returns:
            dict: {'data': text, 'offset': of its first character}; later than asked for, where that is not kept
        """
        task_id, stream = await self._stream_of(app, task, file)
        offset, length = self.integer('offset'), self.integer('length')
        if length is None or length < 0:
            length = READ_CHARACTERS
        if length > LONGEST_READ:
            raise Violations([f'length is at most {LONGEST_READ}'])
        found = await read_text(self.service, task_id, stream, -1 if offset is None else offset, length)
        self.answer({'data': found.text, 'offset': found.offset})


class LogDownloadHandler(_LogHandler):
    """A whole log."""

    async def get(self, app: str, task: str, file: str) -> None:
        """Get all of it that is kept, as bytes.

        Args:
            app (str): the application it is of
            task (str): its id there
            file (str): output.log or error.log

        Returns:
            the bytes
        """
        task_id, stream = await self._stream_of(app, task, file)
        self.set_header('Content-Type', 'application/octet-stream')
        self.set_header('Content-Disposition', f'attachment; filename={file}')
        await self.stream(self._pieces(task_id, stream))

    async def _pieces(self, task_id: str, stream: str) -> AsyncIterator[bytes]:
        found = await read_output(self.service, task_id, Wanted(stream, 0, _PIECE_BYTES))
        while found.piece.data:
            yield found.piece.data
            found = await read_output(
                self.service, task_id, Wanted(stream, found.piece.end, _PIECE_BYTES, epoch=found.epoch)
            )


_LOGS = rf'/apis/v1/logfiles/tasks/{APP}/{TASK}'

ROUTES = (
    Route(rf'{_LOGS}/list', LogsHandler, {'get': READ}),
    Route(rf'{_LOGS}/read/{_FILE}', LogReadHandler, {'get': in_lane('follow', READ)}),
    Route(rf'{_LOGS}/download/{_FILE}', LogDownloadHandler, {'get': in_lane('list', READ)}),
)
