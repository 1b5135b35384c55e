"""A primary that is cut off, inside a network of its own; run by `test_network`."""

from pathlib import Path

import pytest
from pymongo.errors import PyMongoError

from tests.faults import network
from tests.faults.processes import Processes
from tests.faults.replica_set import ReplicaSet


async def test_a_primary_that_is_cut_off_is_followed_by_another(tmp_path: Path) -> None:
    network.prepare()
    with Processes(tmp_path) as processes:
        members = ReplicaSet(processes, tmp_path, election_timeout_seconds=2)
        await members.start()

        first, others = await members.primary(), await members.secondaries()
        first.place.cut_off_from([other.place for other in others])
        while (second := await members.primary()) is first:
            pass
        assert await first.ask('ping')
        first.place.join()
        await members.until_healthy()
        second.place.cut_off()
        while (third := await members.primary()) is second:
            pass
        with pytest.raises(PyMongoError):
            await second.ask('ping')
        second.place.join()
        await members.until_healthy()

        assert members.can_be_cut
        assert len({first, second}) == len({second, third}) == 2
