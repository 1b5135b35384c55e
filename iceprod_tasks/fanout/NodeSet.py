"""ClusterShell's node sets with groups off: the module that programs import instead of `ClusterShell.NodeSet`.

Its usual resolver of groups runs shell commands, with what stands in the text, so here it is used only where a program
hands one over itself.
"""

from collections.abc import Iterable
from typing import Any

from ClusterShell.NodeSet import (
    RESOLVER_NOGROUP,
    NodeSetError,
    NodeSetException,
    NodeSetExternalError,
    NodeSetParseError,
    NodeSetParseRangeError,
)
from ClusterShell.NodeSet import NodeSet as Upstream
from ClusterShell.RangeSet import RangeSet, RangeSetException

__all__ = [
    'RESOLVER_NOGROUP', 'NodeSet', 'NodeSetError', 'NodeSetException', 'NodeSetExternalError', 'NodeSetParseError',
    'NodeSetParseRangeError', 'RangeSet', 'RangeSetException', 'expand', 'fold',
]  # fmt: skip


class NodeSet(Upstream):
    """A set of nodes, such as `n[1-5,9]`; see ClusterShell's own class.

    Args:
        nodes: a set as text, or another set.
        autostep: from how many numbers on steps are folded.
        resolver: of groups; none unless it is given.
        fold_axis: which numbers are folded.

    Raises:
        NodeSetParseError: the text is no set.
    """

    def __init__(self, nodes: Any = None, autostep: Any = None, resolver: Any = None, fold_axis: Any = None) -> None:
        super().__init__(nodes, autostep, _none_unless_given(resolver), fold_axis)

    @classmethod
    def fromlist(cls, nodelist: Iterable[Any], autostep: Any = None, resolver: Any = None) -> 'NodeSet':
        """A set of all that stand in a list of sets."""
        made = cls(autostep=autostep, resolver=resolver)
        made.updaten([each if isinstance(each, Upstream) else str(each) for each in nodelist])
        return made

    @classmethod
    def fromall(cls, groupsource: Any = None, autostep: Any = None, resolver: Any = None) -> 'NodeSet':
        """All nodes that a resolver of groups knows; an error without one."""
        found = Upstream.fromall(groupsource, autostep, _none_unless_given(resolver))
        return cls(found, autostep=autostep, resolver=resolver)


def _none_unless_given(resolver: Any) -> Any:
    return RESOLVER_NOGROUP if resolver is None else resolver


def expand(pat: str) -> list[str]:
    """The names in a set.

    Args:
        pat: the set.
    """
    return list(NodeSet(pat))


def fold(pat: str) -> str:
    """A set in its shortest form.

    Args:
        pat: the set.
    """
    return str(NodeSet(pat))
