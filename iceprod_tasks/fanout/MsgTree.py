"""Messages of many sources, the equal ones together: the module that programs import instead of `ClusterShell.MsgTree`.

The results of tasks look like its elements, but are kept otherwise (`gathering`).
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

MODE_DEFER = 0
MODE_SHIFT = 1
MODE_TRACE = 2

Match = Callable[[Any], object]
Mapper = Callable[[Any], Any]


class Message:
    """The lines that somebody has said; as bytes, as text, or line by line."""

    def message(self) -> bytes:
        """All of it, the lines with a newline between them."""
        raise NotImplementedError

    def lines(self) -> Iterator[bytes]:
        """The lines."""
        return iter(self.message().split(b'\n'))

    splitlines = lines

    def __iter__(self) -> Iterator[bytes]:
        return self.lines()

    def __bytes__(self) -> bytes:
        return self.message()

    def __str__(self) -> str:
        return self.message().decode(errors='replace')

    def __len__(self) -> int:
        return len(self.message())

    def __getitem__(self, place: Any) -> Any:
        return list(self.lines())[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message | bytes) and self.message() == bytes(other)

    def __hash__(self) -> int:
        return hash(self.message())


class MsgTreeElem(Message):
    """One line in a tree, which stands for all lines from the root to it.

    Args:
        msgline: the line; None for the root.
        parent: the line before.
    """

    __slots__ = ('children', 'keys', 'msgline', 'parent')

    def __init__(self, msgline: bytes | None = None, parent: 'MsgTreeElem | None' = None) -> None:
        self.msgline = msgline
        self.parent = parent
        self.children: dict[bytes, MsgTreeElem] = {}
        self.keys: dict[Hashable, None] = {}

    def message(self) -> bytes:
        """All lines up to this one."""
        return b'\n'.join(self.lines())

    def lines(self) -> Iterator[bytes]:
        """All lines up to this one."""
        upwards = []
        place: MsgTreeElem | None = self
        while place is not None and place.msgline is not None:
            upwards.append(place.msgline)
            place = place.parent
        return reversed(upwards)

    splitlines = lines

    def append(self, msgline: bytes) -> 'MsgTreeElem':
        """The element of a line that comes behind this one."""
        found = self.children.get(msgline)
        if found is None:
            found = self.children[msgline] = MsgTreeElem(msgline, self)
        return found


class MsgTree:
    """Keys with messages of lines, of which equal beginnings are kept once.

    Args:
        mode: with `MODE_TRACE`, each line knows all keys that have passed it, for `walk_trace`. The two others, which
            ClusterShell tells apart, are one here.
    """

    def __init__(self, mode: int = MODE_DEFER) -> None:
        self.mode = mode
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._root = MsgTreeElem()
        self._elements: dict[Hashable, MsgTreeElem] = {}

    def __len__(self) -> int:
        return len(self._elements)

    def __getitem__(self, key: Hashable) -> MsgTreeElem:
        return self._elements[key]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._elements)

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The message of a key, or a default."""
        return self._elements.get(key, default)

    def keys(self) -> Iterator[Hashable]:
        """All keys."""
        return iter(self._elements)

    def add(self, key: Hashable, msgline: bytes) -> None:
        """A key has said one more line."""
        before = self._elements.get(key, self._root)
        after = before.append(msgline)
        if self.mode != MODE_TRACE:
            before.keys.pop(key, None)
        after.keys[key] = None
        self._elements[key] = after

    def messages(self, match: Match | None = None) -> Iterator[MsgTreeElem]:
        """The different messages of all keys, or of those that match."""
        return (element for element, _ in self.walk(match))

    def items(self, match: Match | None = None, mapper: Mapper | None = None) -> Iterator[tuple[Any, MsgTreeElem]]:
        """Each key with its message.

        Args:
            match: only the keys for which this is true.
            mapper: makes of a key what is given out.
        """
        for key, element in self._elements.items():
            if match is None or match(key):
                yield (mapper(key) if mapper else key), element

    def walk(self, match: Match | None = None, mapper: Mapper | None = None) -> Iterator[tuple[MsgTreeElem, list[Any]]]:
        """Each different message with its keys; the arguments are those of `items`."""
        groups: dict[int, tuple[MsgTreeElem, list[Any]]] = {}
        for key, element in self.items(match, mapper):
            groups.setdefault(id(element), (element, []))[1].append(key)
        yield from groups.values()

    def walk_trace(
        self, match: Match | None = None, mapper: Mapper | None = None
    ) -> Iterator[tuple[bytes | None, list[Any], int, int]]:
        """Each line with its keys, its depth, and how many different lines come behind it, from the root downwards.

        Raises:
            AssertionError: the mode is another one.
        """
        if self.mode != MODE_TRACE:
            raise AssertionError('walk_trace() is only callable in trace mode')
        stack = [(self._root, 0)]
        while stack:
            element, depth = stack.pop()
            stack += ((child, depth + 1) for child in reversed(element.children.values()))
            keys = [mapper(key) if mapper else key for key in element.keys if match is None or match(key)]
            if keys:
                yield element.msgline, keys, depth, len(element.children)

    def remove(self, match: Match | None = None) -> None:
        """Forget the keys that match, or all of them."""
        for key in [key for key in self._elements if match is None or match(key)]:
            _forget(key, self._elements.pop(key))


def _forget(key: Hashable, element: MsgTreeElem | None) -> None:
    while element is not None:
        element.keys.pop(key, None)
        element = element.parent
