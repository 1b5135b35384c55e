"""The replica set of the harness does what is done to it."""

import time
from pathlib import Path

import psutil
import pymongo
import pytest

from tests.faults.processes import Processes
from tests.faults.replica_set import ReplicaSet


async def test_it_elects_another_primary_whatever_happens_to_the_one(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        members = ReplicaSet(processes, tmp_path, election_timeout_seconds=2)
        await members.start()

        first = await members.primary()
        first.kill()
        second = await members.primary()
        first.restart()
        await members.until_healthy()
        second.pause()
        third = await members.primary()
        second.resume()
        await members.until_healthy()
        await members.step_down()
        fourth = await members.primary()

        assert first is not second
        assert second is not third
        assert third is not fourth
        with pymongo.MongoClient(members.url, w='majority') as client:
            client.test.things.insert_one({'kept': True})


def test_nothing_outlives_the_block_not_even_what_is_paused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Processes(tmp_path) as processes:
        shell = processes.start('shell', ['/bin/sh', '-c', 'setsid sleep 1000 & sleep 1000'])
        paused = processes.start('paused', ['/bin/sleep', '1000'])
        paused.pause()
        while not list(processes.strays()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    assert not list(processes.strays())
    assert not any(psutil.pid_exists(each.pid) for each in (shell, paused))
