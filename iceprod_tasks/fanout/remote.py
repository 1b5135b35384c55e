"""What is run on this machine so that something is run on a node: the argument lists of sh, ssh and scp.

All of them are lists, never a line for a shell of ours, and names of nodes stand behind `--`.
"""

import math
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

_WATCH = (
    'if [ -e /proc/self/stat ]; then look() { parent=; read -r x x x parent group x < /proc/$PPID/stat; }; '
    'else look() { set -- $(ps -o ppid= -o pgid= -p $PPID); parent=$1 group=$2; }; fi; '
    'trap "" TERM; look; first=$parent; left=$1; '
    'while sleep 1; do look; [ "$parent" ] || exit; [ $parent = $first ] || break; '
    'left=$((left - 1)); if [ $left = 0 ]; then break; fi; done; '
    'kill -s TERM -- -$group; sleep $2; kill -s KILL -- -$group'
)
"""Looks each second after the login shell that runs the command: leaves when that is over, and ends its process group
when it has another parent, which means that the connection is gone, or after $1 seconds. There are $2 seconds between
SIGTERM and SIGKILL. There is nothing in it that any shell might see in text between single quotes."""


@dataclass(frozen=True, slots=True)
class Ssh:
    """How nodes are reached by the system's own ssh and scp, with whatever their configuration says.

    Args:
        ssh: the command, with arguments if need be.
        scp: the same for copies.
        options: further arguments of ssh. Who gives them may run anything here; they never come from strangers.
        scp_options: those of scp.
        user: the name there; None for what ssh takes.
        scp_user: the same for copies.
        connect_timeout_seconds: until a connection stands; 0 for what ssh takes.
        guarded: whether commands run beside a watch that ends them when the connection goes or their time is over.
            It needs nothing but a POSIX shell there. Without it a command there may outlive its timeout here.
    """

    ssh: str = 'ssh'
    scp: str = 'scp'
    options: str = ''
    scp_options: str = ''
    user: str | None = None
    scp_user: str | None = None
    connect_timeout_seconds: float = 10.0
    guarded: bool = True

    def command(self, node: str, command: str, timeout_seconds: float | None, grace_seconds: float) -> list[str]:
        """The arguments that run a command on a node.

        Args:
            node: its name, which was checked.
            command: for the login shell there.
            timeout_seconds: after which it is ended there, should nobody here be able to.
            grace_seconds: between SIGTERM and SIGKILL there.
        """
        user = ['-l', self.user] if self.user else []
        line = guarded(command, timeout_seconds, grace_seconds) if self.guarded else command
        return [
            *_words(self.ssh), *_words(self.options), '-oBatchMode=yes', *self._connecting(), '-oForwardAgent=no',
            '-oForwardX11=no', '-oServerAliveInterval=15', *user, '--', node, line,
        ]  # fmt: skip

    def copy(self, node: str, source: str, dest: str, *, preserve: bool = False, reverse: bool = False) -> list[str]:
        """The arguments that copy a file or a folder to a node, or from it.

        Args:
            node: its name, which was checked.
            source: here, or there if reverse.
            dest: there; if reverse, a folder here, in which the copy is named after source and node.
            preserve: whether times and modes are kept.
            reverse: whether the copy goes from the node to here.
        """
        user = self.scp_user or self.user
        there = f'{user}@[{node}]:' if user else f'[{node}]:'
        recursive = ['-r'] if reverse or os.path.isdir(source) else []  # noqa: PTH112 - it is a text to us
        if reverse:
            name = os.path.basename(source.rstrip('/'))  # noqa: PTH119
            ends = [f'{there}{source}', _here(os.path.join(dest, f'{name}.{node}'))]  # noqa: PTH118
        else:
            ends = [_here(source), f'{there}{dest}']
        return [
            *_words(self.scp), *_words(self.scp_options or self.options), '-oBatchMode=yes', *self._connecting(),
            '-oForwardAgent=no', '-oServerAliveInterval=15', *recursive, *(['-p'] if preserve else []), '--', *ends,
        ]  # fmt: skip

    def _connecting(self) -> list[str]:
        seconds = math.ceil(self.connect_timeout_seconds)
        return [f'-oConnectTimeout={seconds}'] if seconds > 0 else []


def guarded(command: str, timeout_seconds: float | None, grace_seconds: float) -> str:
    """A line for any login shell that runs a command as it stands, with a watch in the background.

    Args:
        command: for the login shell there.
        timeout_seconds: see `Ssh.command`.
        grace_seconds: the same.
    """
    seconds = 0 if timeout_seconds is None else max(1, math.ceil(timeout_seconds))
    words = f'watch {seconds} {math.ceil(grace_seconds)}'
    return f"/bin/sh -c '( {_WATCH} ) </dev/null >/dev/null 2>&1 &' {words}; {command}"


def local(command: str) -> list[str]:
    """The arguments that run a command in a shell on this machine."""
    return ['/bin/sh', '-c', command]


def local_copy(source: str, dest: str, *, preserve: bool = False, reverse: bool = False) -> list[str]:
    """The arguments that copy a file or a folder on this machine."""
    source, dest = (dest, source) if reverse else (source, dest)
    recursive = ['-r'] if os.path.isdir(source) else []  # noqa: PTH112
    return ['cp', *recursive, *(['-p'] if preserve else []), '--', source, dest]


_PLACEHOLDER = re.compile(r'%(?:%|\{(hosts?|h|rank|n)\}|(hosts?|h|rank|n)(?![A-Za-z0-9_]))')


def filled(text: str, node: str, rank: int) -> str:
    """A local command with `%h`, `%host`, `%hosts` as the node's name, `%n`, `%rank` as its place, `%%` as `%`.

    Whatever else stands behind a `%` is left as it is.
    """
    values: Mapping[str, str] = {'h': node, 'host': node, 'hosts': node, 'n': str(rank), 'rank': str(rank)}
    return _PLACEHOLDER.sub(lambda match: values.get(match[1] or match[2] or '', '%'), text)


def names_all_hosts(text: str) -> bool:
    """Whether a local command wants all nodes at once, as `%hosts` or `%{hosts}`."""
    return '%hosts' in text or '%{hosts}' in text


def _words(text: str) -> list[str]:
    return [os.path.expanduser(word) for word in shlex.split(text)]  # noqa: PTH111


def _here(path: str) -> str:
    """A path that scp does not take for one on a node."""
    return path if path.startswith('/') or ':' not in path else f'./{path}'
