"""What slots offer, and what the machine has."""

import os
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.pilot.machine import Machine, _cgroup_limits, gpu_ids, os_name, this_machine
from iceprod_tasks.pilot.offer import Offer, default_disk_gb, default_memory_gb, gpu_share


def machine(cpu: int = 4, memory_gb: float = 32.0, gpus: tuple[str, ...] = ()) -> Machine:
    """A machine."""
    return Machine(cpu=cpu, memory_gb=memory_gb, disk_gb=100.0, gpus=gpus, os='test_1')


def test_a_default_slot_has_two_gigabytes() -> None:
    assert default_memory_gb(machine(cpu=4, memory_gb=32.0), 1) == 2.0


def test_a_slot_of_a_small_machine_has_its_cores_share() -> None:
    assert default_memory_gb(machine(cpu=4, memory_gb=6.0), 2) == 3.0


@given(
    cpu=st.integers(min_value=1, max_value=256),
    memory_gb=st.floats(min_value=0.1, max_value=4096),
    slots=st.integers(min_value=1, max_value=256),
)
def test_default_slots_never_promise_more_than_there_is(cpu: int, memory_gb: float, slots: int) -> None:
    there = machine(cpu, memory_gb)

    assert cpu * default_memory_gb(there, 1) <= memory_gb
    assert slots * default_disk_gb(there, slots) <= there.disk_gb


@given(gpus=st.integers(min_value=1, max_value=16), gpu=st.integers(min_value=1, max_value=4))
def test_no_two_slots_share_a_gpu(gpus: int, gpu: int) -> None:
    there = machine(gpus=tuple(str(number) for number in range(gpus)))

    shares = [(gpu_share(there, slot, gpu) or '').split(',') for slot in range(gpus // gpu)]

    given_out = [number for share in shares for number in share]
    assert len(given_out) == len(set(given_out)) == gpus // gpu * gpu


def test_a_slot_without_gpus_sees_none() -> None:
    assert gpu_share(machine(gpus=('0', '1')), 0, 0) == ''


def test_an_offer_without_a_time_takes_tasks_of_any_length() -> None:
    offer = Offer(cpu=1, gpu=0, memory_gb=2.0, disk_gb=10.0, time_hours=None, os='test_1', site='here')

    assert offer.requirements() == {
        'cpu': 1, 'gpu': 0, 'memory': 2.0, 'disk': 10.0, 'os': 'test_1', 'site': 'here', 'container': False,
        'work': True, 'tagged': [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ('environment', 'expected'),
    [
        ({}, ('0', '2', '10')),
        ({'CUDA_VISIBLE_DEVICES': ''}, ()),
        ({'CUDA_VISIBLE_DEVICES': '3, GPU-a'}, ('3', 'GPU-a')),
    ],
)
def test_gpus_are_those_given_else_those_there(
    tmp_path: Path, environment: dict[str, str], expected: tuple[str, ...]
) -> None:
    for name in ('nvidia0', 'nvidia10', 'nvidia2', 'nvidiactl', 'nvidia-uvm', 'null'):
        (tmp_path / name).touch()

    assert gpu_ids(environment, tmp_path) == expected


def test_this_machine_offers_no_more_than_it_has(tmp_path: Path) -> None:
    here = this_machine(tmp_path)

    assert here.cpu == len(os.sched_getaffinity(0))
    assert 0 < here.memory_gb <= psutil.virtual_memory().total / 1e9
    assert here.disk_gb > 0
    assert here.os == os_name() != ''


def test_the_narrowest_memory_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    inner = tmp_path / 'batch' / 'job'
    inner.mkdir(parents=True)
    (inner / 'memory.max').write_text('max\n')
    (inner.parent / 'memory.max').write_text('1000\n')

    assert list(_cgroup_limits(['0::/batch/job'], tmp_path)) == [1000]


def test_a_container_that_cannot_see_its_group_has_the_roots_limit(tmp_path: Path) -> None:
    (tmp_path / 'memory').mkdir()
    (tmp_path / 'memory' / 'memory.limit_in_bytes').write_text('2000\n')

    assert list(_cgroup_limits(['4:memory:/docker/hidden', '3:cpuset:/'], tmp_path)) == [2000]
