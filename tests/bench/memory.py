"""Memory of processes, read from /proc: the most that they have had since somebody began to look."""

import re
from collections.abc import Sequence
from pathlib import Path

_PROC = Path('/proc')
_PEAK = re.compile(r'VmHWM:\s+(\d+) kB')
_PEAKS = '5'
"""What has the kernel forget the peaks; see proc(5), clear_refs."""


def forget_peaks(pids: Sequence[int]) -> None:
    """Begin to look."""
    for pid in pids:
        (_PROC / str(pid) / 'clear_refs').write_text(_PEAKS)


def peak_bytes(pids: Sequence[int]) -> int:
    """The most that some processes have had in memory since then, added up."""
    return sum(parse_peak((_PROC / str(pid) / 'status').read_text()) for pid in pids)


def parse_peak(text: str) -> int:
    """The peak in /proc/PID/status, in bytes."""
    match = _PEAK.search(text)
    return 0 if match is None else 1024 * int(match[1])
