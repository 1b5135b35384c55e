"""What people do to many tasks, jobs or datasets at once: suspend, resume, reset, rerun, hard reset, cancel.

Each is a row of the status table, with word of where it has nothing to do. Wherever it neither leads on nor has
nothing to do, it is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.domain.statuses import ACTIVE, STATUSES, TRANSITIONS, Change, Transition

Verdict = Literal['changed', 'unchanged', 'refused']
VERDICTS: tuple[Verdict, ...] = ('changed', 'unchanged', 'refused')


@dataclass(frozen=True, slots=True)
class Action:
    """Something done to tasks.

    Args:
        name: as it stands in a path.
        transition: the row that carries it out.
        satisfied: statuses in which it has nothing to do.
        forgives: whether it has something to do all the same where a task has failures counted.
        stops: whether work that a pilot holds is asked to stop before it is carried out.
        withdraws: the action whose request to stop it takes back.
    """

    name: str
    transition: Transition
    satisfied: frozenset[str]
    forgives: bool = False
    stops: bool = False
    withdraws: str | None = None

    @property
    def sources(self) -> frozenset[str]:
        """Statuses that it leads out of, whatever else is so of the task."""
        return self.transition.sources - self.satisfied

    @property
    def refused(self) -> frozenset[str]:
        """Statuses in which it is not possible."""
        return frozenset(STATUSES) - self.transition.sources - self.satisfied

    @property
    def runs_again(self) -> bool:
        """Whether the tasks have something to do afterwards, so that their jobs and dataset go on."""
        return self.transition.target in ACTIVE

    def verdict(self, status: str, *, failures: int = 0) -> Verdict:
        """What it means for a task that no pilot holds."""
        if status in self.refused:
            return 'refused'
        forgiving = self.forgives and failures > 0 and status in self.transition.sources
        return 'changed' if status in self.sources or forgiving else 'unchanged'


ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        Action('suspend', TRANSITIONS['suspend'], frozenset({'suspended'}), stops=True),
        Action('resume', TRANSITIONS['resume'], ACTIVE, withdraws='suspend'),
        # Only a pilot's report is a failure; whoever resets by hand wants a new beginning.
        Action('reset', replace(TRANSITIONS['reset'], failures=Change.ZERO), frozenset({'reset'}), forgives=True),
        Action('rerun', TRANSITIONS['rerun'], ACTIVE),
        Action('hard_reset', TRANSITIONS['hard reset'], frozenset({'idle', 'waiting'}), forgives=True),
        Action('cancel', TRANSITIONS['cancel'], frozenset({'failed'}), stops=True),
    )
}
"""All actions by name."""

AS_NEW = {'walltime': 0.0, 'walltime_err': 0.0, 'walltime_err_n': 0, 'site': ''}
"""What a hard reset puts back beside what its transition says."""


@dataclass(frozen=True, slots=True)
class GroupStep:
    """What an action does to the status of a job or a dataset.

    Args:
        sources: statuses it leads out of.
        target: the status it leads to.
        satisfied: statuses in which it has nothing to do.
    """

    sources: frozenset[str]
    target: str
    satisfied: frozenset[str]

    def verdict(self, status: str) -> Verdict:
        """What it means for a job or a dataset in this status."""
        if status in self.sources:
            return 'changed'
        return 'unchanged' if status in self.satisfied else 'refused'


_GOES_ON = frozenset({'processing', 'truncated'})

_TO_PROCESSING = {
    'resume': GroupStep(frozenset({'suspended'}), 'processing', _GOES_ON),
    'reset': GroupStep(frozenset({'suspended', 'errors'}), 'processing', _GOES_ON),
    'rerun': GroupStep(frozenset({'errors'}), 'processing', _GOES_ON),
    'hard_reset': GroupStep(frozenset({'suspended', 'errors', 'complete'}), 'processing', _GOES_ON),
}

JOB_STEPS: Mapping[str, GroupStep] = {
    'suspend': GroupStep(frozenset({'processing'}), 'suspended', frozenset({'suspended'})),
    **_TO_PROCESSING,
    # The job's tasks may have to stop first; then it ends by itself.
    'cancel': GroupStep(frozenset({'processing', 'suspended'}), 'processing', frozenset({'errors'})),
}
"""What each action does to a job."""

DATASET_STEPS: Mapping[str, GroupStep] = {
    'suspend': GroupStep(_GOES_ON, 'suspended', frozenset({'suspended'})),
    **_TO_PROCESSING,
    # Only a new beginning forgets that a dataset was cut short.
    'hard_reset': GroupStep(frozenset(DATASET_STATUSES) - {'processing'}, 'processing', frozenset({'processing'})),
    # No more jobs are made, and it ends by itself once those that are there have ended.
    'cancel': GroupStep(frozenset({'processing', 'suspended'}), 'truncated', frozenset({'truncated', 'errors'})),
}
"""What each action does to a dataset; a truncated one that goes on is truncated again, but for a hard reset."""
