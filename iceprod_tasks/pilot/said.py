"""What a running task has said of itself and the service has not heard: bounded, and in portions for heartbeats."""

from dataclasses import dataclass

from iceprod_tasks.client import Note, Steps
from iceprod_tasks.pilot.spool import MOST_STEPS, Progress, Saying

MOST_MESSAGES = 1000
MOST_CHARACTERS = 4_000_000
MESSAGES_A_PORTION = 100
CHARACTERS_A_PORTION = 40_000
"""A single message has less. In JSON a character takes up to six bytes, and a request may have a MiB."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What goes with one heartbeat.

    Args:
        messages: in the order in which they were written.
        steps: how far the task is; None where the service knows.
    """

    messages: tuple[Note, ...] = ()
    steps: Steps | None = None


class Said:
    """The messages and the steps of an attempt.

    Of more than 1000 messages, or very long ones, the oldest go, and silent ones before all others.

    Args:
        total: so many steps there are, until the task says otherwise.

    Attributes:
        left_out: how many messages were too many.
    """

    def __init__(self, total: int) -> None:
        self.left_out = 0
        self._notes: dict[str, Note] = {}
        self._silent: dict[str, None] = {}
        self._characters = 0
        self._steps: Steps = {'completed': 0, 'total': total}
        self._untold_steps: Steps | None = None

    def __bool__(self) -> bool:
        return bool(self._notes) or self._untold_steps is not None

    def add(self, saying: Saying) -> None:
        """Take something up.

        Args:
            saying: a message; or progress, which counts from what was said before.
        """
        if isinstance(saying, Progress):
            completed = self._steps['completed'] if saying.completed is None else saying.completed
            total = self._steps['total'] if saying.total is None else saying.total
            self._steps = {'completed': min(completed + saying.added, MOST_STEPS), 'total': total}
            self._untold_steps = self._steps
            return
        self._notes[saying['message_id']] = saying
        if saying['mtype'] == 'silent':
            self._silent[saying['message_id']] = None
        self._characters += _characters(saying)
        while len(self._notes) > MOST_MESSAGES or self._characters > MOST_CHARACTERS:
            self.left_out += 1
            self._remove(next(iter(self._silent or self._notes)))

    def portion(self) -> Portion:
        """What the next heartbeat is to tell, the oldest first."""
        notes: list[Note] = []
        left = CHARACTERS_A_PORTION
        for note in self._notes.values():
            left -= _characters(note)
            if len(notes) == MESSAGES_A_PORTION or (left < 0 and notes):
                break
            notes.append(note)
        return Portion(tuple(notes), self._untold_steps)

    def settle(self, portion: Portion) -> None:
        """Forget what the service has heard, or will not hear.

        Args:
            portion: as it was sent.
        """
        for note in portion.messages:
            if note['message_id'] in self._notes:  # it may have become too old meanwhile
                self._remove(note['message_id'])
        if self._untold_steps is portion.steps:
            self._untold_steps = None

    def _remove(self, message_id: str) -> None:
        self._characters -= _characters(self._notes.pop(message_id))
        self._silent.pop(message_id, None)


def _characters(note: Note) -> int:
    return sum(len(str(value)) for value in note.values())
