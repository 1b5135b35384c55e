"""A tally: numbers of tasks that were counted at a moment, and go on by the record of what has changed since."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from iceprod_tasks.storage.changes import Moment
from iceprod_tasks.storage.client import Document
from iceprod_tasks.storage.transitions import was


@dataclass(frozen=True, slots=True)
class Step:
    """A task that came to a status, from another one unless it is new."""

    moment: Moment
    dataset_id: str
    name: str
    source: str | None
    target: str
    task_index: int = 0


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that changed numbers, and does not tell how."""

    moment: Moment


@dataclass(slots=True)
class Tally:
    """A tally, and what has happened while it is being made."""

    numbers: Counter[tuple[str, str]] = field(default_factory=Counter)
    places: dict[str, int] = field(default_factory=dict)
    pending: list[Step | Unknown] | None = field(default_factory=list)
    moment: Moment = None

    def add(self, step: Step | Unknown) -> bool:
        """Go on by a change, in the order of the record; whether the numbers can be told after it."""
        if self.pending is not None:
            self.pending.append(step)
            return True
        if step.moment <= self.moment:
            # The record may be behind what was counted.
            return True
        if isinstance(step, Unknown):
            return False
        self.numbers[step.name, step.target] += 1
        if step.source is not None:
            self.numbers[step.name, step.source] -= 1
        else:
            self.places[step.name] = min(self.places.get(step.name, step.task_index), step.task_index)
        return True

    def begin(self, rows: Sequence[Document], moment: Moment) -> bool:
        """Go on from what was counted at a moment, as far as numbers can be told; whether that is all the way."""
        for row in rows:
            name = row['_id'].get('name', '')
            self.numbers[name, row['_id']['status']] = row['count']
            self.places[name] = min(self.places.get(name, row['place']), row['place'])
        pending, self.pending, self.moment = self.pending or [], None, moment
        return all(self.add(step) for step in pending)


def step_of(change: Document) -> Step | None:
    """What a change does to numbers; None when that cannot be told."""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        if change['operationType'] == 'insert':
            return Step(
                change['clusterTime'], change['dataset_id'], change['name'], None, change['status'],
                change['task_index'],
            )  # fmt: skip
        # Nothing where the task had no name or dataset.
        source, dataset_id, name = was(change['was'] or '')
        return Step(change['clusterTime'], dataset_id, name, source, change['to'])
    return None


def nameless(step: Step) -> Step:
    """A change as it is for tallies that do not tell names apart."""
    return Step(step.moment, step.dataset_id, '', step.source, step.target)
