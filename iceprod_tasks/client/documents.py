"""The JSON documents of the wire, as types; fields a service adds later are no error."""

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, Required, TypedDict

ActionName = Literal['suspend', 'resume', 'reset', 'rerun', 'hard_reset', 'cancel']
"""What can be done to many tasks, jobs or a dataset at once."""

Phase = Literal['provisioning', 'starting', 'running', 'run_completed', 'deprovisioning']
"""What a pilot is doing with a task."""


class Requirements(TypedDict, total=False):
    """What a task needs or a slot offers: cores, GPUs, GB, GB, hours, names; containers, tags."""

    cpu: float
    gpu: int
    memory: float
    disk: float
    time: float
    os: str | list[str]
    site: str
    container: bool
    work: bool
    tagged: list[str]


class Resources(TypedDict, total=False):
    """What an attempt used: average cores, GPUs, peak GB, peak GB, hours."""

    cpu: float
    gpu: int
    memory: float
    disk: float
    time: float


class Steps(TypedDict):
    """How far an attempt is: steps done, of how many."""

    completed: int
    total: int


class Stop(TypedDict):
    """A request to stop, on a task that runs: what becomes of it, why, who asks, and until when it is to be done."""

    then: str
    why: str
    who: str
    deadline: str


class Outcome(TypedDict, total=False):
    """How a task has ended; before its end, how its last try did, without a result."""

    result: str
    exit_code: int | None
    message: str
    cause: str


class TaskDocument(TypedDict, total=False):
    """A task as the service keeps it; listings with `keys` carry those fields only."""

    task_id: str
    dataset_id: str
    job_id: str
    job_index: int
    task_index: int
    name: str
    status: str
    status_changed: str
    priority: float
    requirements: Requirements
    depends: list[str]
    failures: int
    evictions: int
    epoch: int
    claim_id: str
    lease_seconds: float
    stop: Stop | None
    outcome: Outcome | None
    site: str
    walltime: float
    phase: Phase | Literal['']
    steps: Steps
    heartbeat_at: str | None
    resources_used: Resources
    max_evictions: int | None
    max_failures: int | None
    work: dict[str, Any] | None
    external: dict[str, str] | None


class RankedTask(TypedDict, total=False):
    """A task among those that come next; the factors add up to the priority, None for a priority of its own."""

    task_id: str
    dataset_id: str
    name: str
    job_index: int
    task_index: int
    status: str
    priority: float
    factors: dict[str, float] | None


class Demand(TypedDict):
    """Tasks of one kind that are to be run; what they need is None where that differs among them."""

    requirements: Requirements | None
    waiting: int
    queued: int
    unmade: int


class Message(TypedDict, total=False):
    """What was said of a task; beside that, what the report brought that said it."""

    task_id: str
    message_id: str
    mtype: Literal['notification', 'silent', 'error', 'result']
    timestamp: str
    who: str
    epoch: int
    text: str
    result: str
    name: str
    stacktrace: str
    action: str
    when: str
    reason: str
    exit_code: int
    site: str
    stdout: str
    stderr: str


Change = TypedDict(
    'Change',
    {
        'when': str, 'from': str | None, 'to': str | None, 'transition': str, 'why': str, 'who': str, 'epoch': int,
        'claim': NotRequired[str],
    },
)  # fmt: skip
"""A change of a task's status; the first one of a task is its creation, from None. Operators see the claim."""


class PhaseEntry(TypedDict):
    """A phase of an attempt: when it began, and the epoch of the attempt."""

    phase: Phase
    when: str
    epoch: int


class TaskHistory(TypedDict):
    """How a task came to be where it is, oldest change first; `truncated` when only the newest changes are known."""

    task_id: str
    status: str
    epoch: int
    failures: int
    evictions: int
    truncated: bool
    phases: list[PhaseEntry]
    history: list[Change]


class NodeGroup(TypedDict):
    """Nodes on which the command of a task ended alike: how, and the ends of what it printed there."""

    nodes: list[str]
    exit_code: int | None
    timed_out: bool
    why: str
    stdout: str
    stderr: str
    stdout_bytes: int
    stderr_bytes: int


class NodeResults(TypedDict):
    """How the command of a task ended on nodes, in the attempt with this epoch; 0 when none has been on nodes."""

    task_id: str
    epoch: int
    groups: list[NodeGroup]


@dataclass(frozen=True, slots=True)
class OutputPiece:
    """Some bytes of a stream of an attempt.

    Args:
        epoch: of the attempt.
        offset: of the first byte; later than asked for, where that is not kept any more.
        data: the bytes.
        size: how many were printed, as far as the service has them.
        ended: whether the attempt is over; then nothing comes behind `size`.
    """

    epoch: int
    offset: int
    data: bytes
    size: int
    ended: bool

    @property
    def next_offset(self) -> int:
        """The offset of the first byte behind it."""
        return self.offset + len(self.data)


class TaskConfig(TypedDict, total=False):
    """One task of a dataset's config; `timeout` in seconds."""

    name: str
    command: list[str] | str
    env: dict[str, str]
    timeout: float
    max_evictions: int
    requirements: Requirements
    depends: list[str]
    files: list[dict[str, Any]]


class Config(TypedDict, total=False):
    """What the tasks of a dataset run."""

    version: float
    description: str
    tasks: list[TaskConfig]


class NewDataset(TypedDict, total=False):
    """A dataset to submit."""

    description: Required[str]
    jobs_submitted: Required[int]
    tasks_submitted: Required[int]
    tasks_per_job: Required[int]
    group: Required[str]
    priority: float
    retention_days: float | None
    archive: bool
    config: Config


class Examples(TypedDict):
    """A few of the tasks or jobs that an action was about: ids of what was changed, and of the others also why."""

    changed: list[str]
    unchanged: list[dict[str, Any]]
    refused: list[dict[str, Any]]


class Done(TypedDict):
    """What became of tasks or jobs that an action was about; in a dry run, what would.

    `stopping` counts those changed that a pilot works on and was asked to stop; jobs have none.
    """

    changed: int
    unchanged: int
    refused: int
    stopping: NotRequired[int]
    examples: Examples


class ActionDone(Done):
    """The answer to an action on tasks."""

    action: ActionName
    dry_run: bool


class JobActionDone(ActionDone):
    """The answer to an action on jobs: the numbers of jobs, and those of their tasks."""

    tasks: Done


class Verdict(TypedDict):
    """What an action meant for a dataset itself: changed, unchanged or refused, and its status afterwards."""

    result: Literal['changed', 'unchanged', 'refused']
    status: str


class DatasetActionDone(ActionDone):
    """The answer to an action on a dataset: the numbers of datasets, one in all, and those of jobs and tasks."""

    dataset: Verdict
    jobs: Done
    tasks: Done


class Deletion(TypedDict, total=False):
    """How far the deletion of a dataset is.

    Once it is gone: how many documents of each part this request removed, and where the archive is. Before: that it is
    being deleted, and how many tasks still run.
    """

    deleted: dict[str, int]
    archive: str | None
    deleting: bool
    stopping: int
