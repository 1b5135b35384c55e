"""What pilots and the service say to each other about a claim, as JSON and as Python sees it."""

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, Required, TypedDict

from iceprod_tasks.client.documents import Phase, Resources, TaskDocument


class PastPhase(TypedDict):
    """A phase that an attempt has gone through, and how long ago it began."""

    phase: Phase
    seconds_ago: float


class Report(TypedDict, total=False):
    """What a pilot tells about an attempt; `time_used` in seconds, the streams' ends at most 64 KiB each."""

    time_used: float
    resources: Resources
    site: str
    reason: str
    exit_code: int
    stdout: str
    stderr: str
    phases: list[PastPhase]
    cause: str


class Note(TypedDict, total=False):
    """A message that a running task posts.

    Its id is 32 hex digits: the same one again is the same message. A result has `result` in place of `text`; an error
    may have the `name` of its kind and a `stacktrace`. Texts have at most 16 384 characters, a name 255.
    """

    message_id: Required[str]
    mtype: Required[Literal['notification', 'silent', 'error', 'result']]
    text: str
    result: str
    name: str
    stacktrace: str


class Heartbeat(TypedDict):
    """The answer to a heartbeat.

    Whether to go on with the task; why not, where it is to stop; after how many seconds to come again; and how many
    seconds the claim holds from now on.
    """

    action: Literal['continue', 'stop']
    why: str
    again_in: float
    orders: list[Any]
    lease_seconds: float


ReportAction = Literal['complete', 'reset', 'failed', 'hand_back']
"""How work on a task ended."""


class ReportResult(TypedDict):
    """What became of one report of several: 200, or why it was not taken."""

    task_id: str
    code: int
    error: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Claim:
    """A pilot's hold on a task.

    Args:
        task: the document the claim was answered with.
        claim_id: the id the claim was asked for with.
        epoch: which claim of this task it is; fences off late reports.
    """

    task: TaskDocument
    claim_id: str
    epoch: int

    @property
    def task_id(self) -> str:
        """The id of the task held."""
        return self.task['task_id']

    @property
    def dataset_id(self) -> str:
        """The id of the task's dataset."""
        return self.task['dataset_id']

    @property
    def name(self) -> str:
        """The task's name, for people."""
        return self.task.get('name', '')
