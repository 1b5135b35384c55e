"""What a site allows, and how patient it is."""

from dataclasses import dataclass, field
from pathlib import Path

from iceprod_tasks.client import Retry
from iceprod_tasks.pilot.machine import BYTES_IN_GB

_BOUNDLESS_GB = 1e9


@dataclass(frozen=True, slots=True)
class FileRules:
    """Settings of a pilot for the files of its tasks.

    S3 has its endpoint and credentials from the pilot's environment, as boto3 reads them, or `S3_ENDPOINT`.

    Raises:
        ValueError: the base is no URL that would be allowed.

    Args:
        schemes: of remote names, besides `file`.
        file_roots: existing folders; `file:` names lead below one of them, and nowhere without any.
        base: the URL before remote names that are no URL; empty refuses them.
        limit_gb: the largest file, on either side of a compression.
        at_once: how many files of a task are moved at once.
        tries: how often a transfer is begun or taken up again, in all.
        retry: the delays between them.
        connect_seconds: the longest wait for a connection.
        silence_seconds: the longest silence of the other side.
        part_bytes: files larger than this go to S3 in parts of this size, or more where they would be too many.
    """

    schemes: frozenset[str] = frozenset({'http', 'https', 's3'})
    file_roots: tuple[Path, ...] = ()
    base: str = ''
    limit_gb: float = 100.0
    at_once: int = 4
    tries: int = 8
    retry: Retry = field(default_factory=lambda: Retry(seconds=None, first_seconds=1.0, longest_seconds=60.0))
    connect_seconds: float = 15.0
    silence_seconds: float = 60.0
    part_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        scheme = self.base.partition(':')[0].lower()
        if self.base and not (scheme in self.schemes or (scheme == 'file' and self.file_roots)):
            raise ValueError(f'not a URL that files of this pilot may have: {self.base!r}')

    @property
    def limit_bytes(self) -> int:
        """`limit_gb` in bytes."""
        return int(min(self.limit_gb, _BOUNDLESS_GB) * BYTES_IN_GB)
