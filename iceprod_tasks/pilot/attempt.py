"""One attempt at a task, from its claim to what is reported: phase by phase, each of which may be the last."""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from iceprod_tasks import fanout
from iceprod_tasks.client import AsyncClient, ClientError, NotFound, Overloaded, ServerError, Unreachable
from iceprod_tasks.pilot.boxed import run_in_container
from iceprod_tasks.pilot.boxes import NoContainers
from iceprod_tasks.pilot.carried import carries_work, command_of_work, put_files
from iceprod_tasks.pilot.command import Command, WrongConfig, command_of
from iceprod_tasks.pilot.containers import Containers
from iceprod_tasks.pilot.files import FileRefused, FileTrouble, Moved, Mover
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.hold import Hold
from iceprod_tasks.pilot.nodes import OnNodes, on_nodes, results_of, sent_out
from iceprod_tasks.pilot.plan import Plan
from iceprod_tasks.pilot.process import MachineTrouble
from iceprod_tasks.pilot.programs import with_programs
from iceprod_tasks.pilot.run import Ending, Outcome, Runner, called_off, ended_with_its_pilot
from iceprod_tasks.pilot.spool import Listening
from iceprod_tasks.pilot.streaming import Streaming
from iceprod_tasks.pilot.waiting import both, within

log = logging.getLogger(__name__)

LAST_OUTPUT_SECONDS = 5.0

Answer = TypeVar('Answer')
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tools:
    """What a pilot makes attempts with.

    Args:
        runner: runs commands.
        mover: moves files.
        containers: runs containers.
    """

    runner: Runner
    mover: Mover
    containers: Containers


class Attempt:
    """One attempt at a task.

    Args:
        client: the way to the service; repeats what it asks for some time.
        plan: the pilot's orders.
        environment: what the slot's tasks find in theirs.
        tools: what it is made with.
        hold: on the task.
    """

    def __init__(
        self,
        client: AsyncClient,
        plan: Plan,
        environment: Mapping[str, str],
        tools: Tools,
        hold: Hold,
    ) -> None:
        self._client = client
        self._plan = plan
        self._environment = environment
        self._tools = tools
        self._hold = hold
        self._claim = hold.claim

    async def make(self) -> Ending:
        """Make it, and leave nothing behind.

        Raises:
            MachineTrouble: this machine cannot run it.
        """
        ending = await self._made()
        if self._hold.phase == 'provisioning' and ending.outcome in (Outcome.RESET, Outcome.FAILED):
            return replace(ending, report={**ending.report, 'cause': 'provisioning'})
        return ending

    async def _made(self) -> Ending:
        self._hold.enter('provisioning')
        try:
            await self._unless_over(self._hold.sure.wait())
            command, files = await self._unless_over(self._described())
            nodes = on_nodes(command.nodes, self._plan.nodes)
        except TimeoutError:
            return Ending(*called_off(self._hold))
        except (Unreachable, ServerError, Overloaded) as error:
            return Ending(Outcome.RESET, f'the config did not come: {error}')
        except ClientError as error:
            return Ending(Outcome.FAILED, f'the config cannot be read: {error}')
        except WrongConfig as error:
            return Ending(Outcome.FAILED, str(error))
        try:
            folder = Folder.make(self._plan.workdir)
        except OSError as error:
            raise MachineTrouble(str(error)) from error
        try:
            command = self._fitted_out(command, nodes, folder)
            return await self._in(folder, command, files)
        except WrongConfig as error:
            return Ending(Outcome.FAILED, str(error))
        except TimeoutError:
            return Ending(*called_off(self._hold))
        finally:
            await asyncio.to_thread(folder.close if self._plan.keep_workdirs else folder.remove)

    async def _described(self) -> tuple[Command, Sequence[Document]]:
        """The command, and the entries of its files.

        Raises:
            ClientError: the service does not give them.
            WrongConfig: they cannot be used.
        """
        if carries_work(self._claim):
            return command_of_work(self._claim, self._environment, self._plan.host), await self._files()
        # Most tasks have no files, and none should wait for that answer alone.
        config, files = await both(self._client.config(self._claim.dataset_id), self._files())
        return command_of(config, self._claim, self._environment), files

    async def _in(self, folder: Folder, command: Command, files: Sequence[Document]) -> Ending:
        """The command in its folder, with its files.

        Raises:
            TimeoutError: the hold has ended while files were moved.
        """
        try:
            await self._moved(self._tools.mover.bring_in(files, folder.work) if files else None)
        except FileTrouble as error:
            return Ending(Outcome.RESET, str(error))
        except FileRefused as error:
            return Ending(Outcome.FAILED, str(error))
        streaming = Streaming(self._client, self._claim, folder.stdout, folder.stderr)
        async with _beside(streaming), Listening(folder.spool, self._hold.hear):
            ending = await self._run(command, folder)
        self._hold.enter('deprovisioning')
        if self._hold.lost:
            return ending
        await asyncio.gather(streaming.finish(LAST_OUTPUT_SECONDS), self._hold.pass_on(LAST_OUTPUT_SECONDS))
        if command.nodes is not None:
            ending = await self._with_nodes(folder, ending)
        if ending.outcome is Outcome.COMPLETE and files:
            try:
                await self._moved(self._tools.mover.bring_out(files, folder.work))
            except (FileTrouble, FileRefused) as error:
                # The command may not have written what it should have: another try may do.
                return replace(ending, outcome=Outcome.RESET, reason=str(error))
        return ending

    def _fitted_out(self, command: Command, nodes: OnNodes | None, folder: Folder) -> Command:
        """The command with what it needs in its folder.

        Raises:
            MachineTrouble: the disk would not have that.
            WrongConfig: no disk would.
        """
        try:
            put_files(command, folder.work)
            if nodes is not None:
                return sent_out(command, nodes, self._plan.nodes, folder)
            return with_programs(command, folder)
        except OSError as error:
            raise MachineTrouble(str(error)) from error

    async def _run(self, command: Command, folder: Folder) -> Ending:
        if not command.image:
            return await self._tools.runner.run(command, folder, self._hold)
        if command.carried is not None:
            try:
                await self._unless_over(self._tools.containers.bring(command))
            except NoContainers as error:
                return Ending(Outcome.RESET, str(error), {'cause': 'provisioning'})
        limits = self._tools.runner.limits(self._hold)
        name = f'{self._claim.task_id}-{self._claim.epoch}'
        ending = await run_in_container(
            self._tools.containers,
            command,
            folder,
            name,
            limits,
            lambda boxed: self._tools.runner.run(boxed, folder, self._hold),
        )
        if ending.outcome is Outcome.RESET and ended_with_its_pilot(ending.report.get('exit_code', 0), self._hold):
            outcome, reason = called_off(self._hold)
            return replace(ending, outcome=outcome, reason=reason)
        return ending

    async def _files(self) -> list[Document]:
        try:
            return await self._client.files(self._claim.dataset_id, self._claim.task_id)
        except NotFound:
            return []

    async def _unless_over(self, asked: Awaitable[Answer]) -> Answer:
        """What is waited for, as long as the hold lasts.

        Raises:
            TimeoutError: it has ended.
        """
        return await within(asked, self._hold.ended, 0)

    async def _moved(self, moving: Coroutine[Any, Any, Moved] | None) -> None:
        """Wait until files are moved, no longer than the task may take.

        Raises:
            FileRefused, FileTrouble: they cannot be, or they were not in time.
            TimeoutError: the hold has ended.
        """
        if moving is None:
            return
        seconds = self._tools.runner.limits(self._hold).time_seconds
        try:
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await self._unless_over(moving)
        except TimeoutError:
            if self._hold.ended.is_set():
                raise
            raise FileTrouble(f'download or upload of files: not done in {seconds / 3600:.3g} h') from None

    async def _with_nodes(self, folder: Folder, ending: Ending) -> Ending:
        """The same, once the service knows how it went on each node."""
        bad: dict[str, list[str]] = {}
        for portion in results_of(folder):
            for group in portion:
                if group.get('why') or group.get('exit_code'):
                    why = group['why'] or f'exit code {group["exit_code"]}'
                    bad.setdefault(why, []).extend(group['nodes'])
            try:
                await within(self._client.retrying(60).add_node_results(self._claim, portion), self._hold.ended, 5)
            except (ClientError, TimeoutError) as error:
                log.warning('%s: results of nodes: %s', self._claim.task_id, error, extra={'action': 'nodes'})
        if ending.outcome is Outcome.RESET and bad:
            told = '; '.join(f'{fanout.fold(names)}: {why}' for why, names in bad.items())
            return replace(ending, reason=f'{ending.reason}: {told}')
        return ending


@contextlib.asynccontextmanager
async def _beside(streaming: Streaming) -> AsyncIterator[None]:
    """Have the output sent while a block runs."""
    sending = asyncio.create_task(streaming.run())
    try:
        yield
    finally:
        sending.cancel()
        [result] = await asyncio.gather(sending, return_exceptions=True)
        if isinstance(result, Exception):
            log.error('the output broke off', exc_info=result)
