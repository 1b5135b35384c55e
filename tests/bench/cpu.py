"""Time of the processor, read from /proc: of a process with its children, and of the whole machine."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf('SC_CLK_TCK')
_PROC = Path('/proc')


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc says of a process.

    Args:
        parent: the id of its parent.
        ticks: that it has used, with those of children that have ended.
    """

    parent: int
    ticks: int


def parse_stat(text: str) -> Stat:
    """One line of /proc/PID/stat; the name in it may have blanks and parentheses."""
    fields = text[text.rindex(')') + 2 :].split()
    return Stat(int(fields[1]), sum(int(field) for field in fields[11:15]))


def parse_machine(text: str) -> tuple[int, int]:
    """The first line of /proc/stat: ticks in which the processors were busy, and all ticks."""
    ticks = [int(field) for field in text.split('\n', 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def family(pid: int, parents: Iterable[tuple[int, int]]) -> list[int]:
    """A process and all that come from it.

    Args:
        pid: of the process.
        parents: of each process its id and that of its parent.
    """
    pairs, found = list(parents), [pid]
    for each in found:
        found += [child for child, parent in pairs if parent == each]
    return found


def processes_of(pid: int) -> list[int]:
    """A living process and its children."""
    return family(pid, ((each, stat.parent) for each in _ids() if (stat := _stat(each))))


def seconds_of(pids: Sequence[int]) -> float:
    """What some processes have used so far; those that are gone count nothing."""
    return sum(stat.ticks for pid in pids if (stat := _stat(pid))) * TICK_SECONDS


def machine_seconds() -> tuple[float, float]:
    """How long all processors together were busy, and how long there were any."""
    busy, ticks = parse_machine((_PROC / 'stat').read_text())
    return busy * TICK_SECONDS, ticks * TICK_SECONDS


def _ids() -> list[int]:
    return [int(each.name) for each in _PROC.iterdir() if each.name.isdigit()]


def _stat(pid: int) -> Stat | None:
    try:
        return parse_stat((_PROC / str(pid) / 'stat').read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
