"""What a report says of cores and time."""

from types import SimpleNamespace

import pytest

from iceprod_tasks.domain.requirements import DEFAULT_CEILING, grow
from iceprod_tasks.pilot import measure
from iceprod_tasks.pilot.measure import Meter, ProcessTable


@pytest.mark.parametrize(('wall_seconds', 'cpu_seconds', 'cores'), [(0.02, 0.05, 0.05), (0.5, 2.0, 2.0), (10, 25, 2.5)])
def test_cores_are_averaged_over_a_second_at_least(
    monkeypatch: pytest.MonkeyPatch, wall_seconds: float, cpu_seconds: float, cores: float
) -> None:
    clock = iter([100.0, 100.0 + wall_seconds])
    monkeypatch.setattr(measure, 'time', SimpleNamespace(monotonic=lambda: next(clock)))
    meter = Meter(0, int, ProcessTable())

    meter.finish(cpu_seconds, 0)

    assert meter.resources()['cpu'] == cores
    assert meter.resources()['time'] * 3600 == pytest.approx(wall_seconds)


def test_a_command_that_fails_at_once_asks_for_no_second_core(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.03])
    monkeypatch.setattr(measure, 'time', SimpleNamespace(monotonic=lambda: next(clock)))
    meter = Meter(0, int, ProcessTable())
    meter.finish(0.06, 0)

    grown = grow({'cpu': 1}, meter.resources(), DEFAULT_CEILING)

    assert grown == {'cpu': 1}
