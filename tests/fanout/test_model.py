"""Fan-out, time-outs and return codes of random commands, against a plain model."""

import asyncio
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iceprod_tasks.fanout import Limits, run
from iceprod_tasks.fanout.Event import EventHandler
from iceprod_tasks.fanout.Task import task_cleanup, task_self

LIMIT_SECONDS = 1.0
"""A command that lasts is far longer, one that does not far shorter."""


@dataclass(frozen=True)
class Behaviour:
    """What a command does, and what a plain model says that comes of it."""

    text: str
    end: int

    @property
    def command(self) -> str:
        ends = {-1: 'exec sleep 600', -9: 'kill -9 $$'}
        return f'printf "{self.text}"; {ends.get(self.end, f"exit {self.end}")}'

    @property
    def code(self) -> int | None:
        return {-1: None, -9: 137}.get(self.end, self.end)


behaviours = st.lists(
    st.builds(Behaviour, st.sampled_from(['', 'a', r'a\n', r'a\nb\n', 'b']), st.sampled_from([-1, -9, 0, 1, 3, 255])),
    min_size=1, max_size=12,
)  # fmt: skip
bounded = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def cases(given: list[Behaviour]) -> str:
    rows = ' '.join(f'{rank}) {each.command};;' for rank, each in enumerate(given))
    return f'case %n in {rows} esac'


def lines_of(each: Behaviour) -> list[bytes]:
    return each.text.replace(r'\n', '\n').removesuffix('\n').encode().split(b'\n') if each.text else []


@bounded
@given(behaviours, st.integers(1, 6))
def test_outcomes_are_those_of_the_model(given: list[Behaviour], fanout: int) -> None:
    limits = Limits(fanout=max(fanout, len(given) // 2), timeout_seconds=LIMIT_SECONDS)

    outcomes = asyncio.run(run(cases(given), f'n[0-{len(given) - 1}]', limits=limits))

    for rank, each in enumerate(given):
        outcome = outcomes.by_node[f'n{rank}']
        assert (outcome.code, outcome.timed_out) == (each.code, each.end == -1)
        assert outcome.stdout.data == b'\n'.join(lines_of(each))
    groups = {frozenset(nodes) for _, nodes in outcomes.by_output()}
    texts = {tuple(lines_of(each)) for each in given if each.text}
    assert groups == {
        frozenset(f'n{rank}' for rank, each in enumerate(given) if tuple(lines_of(each)) == text) for text in texts
    }


class Journal(EventHandler):
    """All events, and how many commands ran at once."""

    def __init__(self) -> None:
        self.events: dict[str, list[object]] = {}
        self.running: set[str] = set()
        self.most = 0
        self.closed: list[bool] = []

    def ev_pickup(self, worker, node) -> None:
        assert not self.closed
        self.events[node] = ['pickup']
        self.running.add(node)
        self.most = max(self.most, len(self.running))

    def ev_read(self, worker, node, sname, msg) -> None:
        self.events[node].append(msg)

    def ev_hup(self, worker, node, rc) -> None:
        self.events[node].append(rc)
        self.running.discard(node)

    def ev_close(self, worker, timedout) -> None:
        self.closed.append(timedout)


@bounded
@given(behaviours, st.integers(1, 6), st.booleans())
def test_events_and_results_of_a_task_are_those_of_the_model(given: list[Behaviour], fanout: int, own: bool) -> None:
    fanout = max(fanout, len(given) // 2)
    task = task_self()
    task.set_info('fanout', 50 if own else fanout)
    journal = Journal()
    try:
        worker = task.shell(
            cases(given), nodes=f'n[0-{len(given) - 1}]', remote=False, handler=journal, timeout=LIMIT_SECONDS
        )
        worker._fanout = fanout if own else None
        task.resume()

        codes = {f'n{rank}': each.code for rank, each in enumerate(given)}
        expected = {
            f'n{rank}': ['pickup', *lines_of(each), *([] if each.code is None else [each.code])]
            for rank, each in enumerate(given)
        }
        assert journal.events == expected
        assert journal.closed == [None in codes.values()]
        assert sorted(task.iter_keys_timeout()) == sorted(node for node, code in codes.items() if code is None)
        assert {node: code for code, nodes in task.iter_retcodes() for node in nodes} == {
            node: code for node, code in codes.items() if code is not None
        }
        assert task.max_retcode() == max((code for code in codes.values() if code is not None), default=None)
        assert None in codes.values() or journal.most <= fanout
    finally:
        task_cleanup()
