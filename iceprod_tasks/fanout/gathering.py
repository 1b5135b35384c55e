"""Equal outputs together: by their digests, and kept once."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from iceprod_tasks.fanout.output import Output

Key = TypeVar('Key')


class Gathering:
    """Makes equal outputs share what is kept of them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, int], bytes] = {}

    def take(self, output: Output) -> None:
        """Look at an output to which nothing more is added."""
        output.share(self._kept.setdefault((output.digest, output.limit), output.kept))


def grouped(outputs: Iterable[tuple[Key, Output]]) -> Iterator[tuple[Output, list[Key]]]:
    """Equal outputs, each with the keys of all who have said it, in the order in which they were said first.

    Args:
        outputs: each with its key; of those where nothing was said nothing comes out.
    """
    groups: dict[bytes, tuple[Output, list[Key]]] = {}
    for key, output in outputs:
        if output.said:
            groups.setdefault(output.digest, (output, []))[1].append(key)
    yield from groups.values()
