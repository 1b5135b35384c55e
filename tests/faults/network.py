"""A network of a run's own, in which each mongod has a namespace and can be cut off; needs root, `ip` and `unshare`.

The program enters a network namespace with a bridge, which joins the namespaces of the mongods. It also enters a mount
namespace, because `ip` keeps names of namespaces in /run. All of it goes with the last process in it: nothing has to be
removed, even when everything is killed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_INSIDE = 'ICEPROD_TASKS_FAULTS_NETWORK'
_BRIDGE = 'faults'
_NEW = ('--net', '--mount')
_OURS = '10.99.0.254'
_PREPARE = f"""
set -e
mount -t tmpfs none /run
ip link set lo up
ip link add {_BRIDGE} type bridge
ip addr add {_OURS}/24 dev {_BRIDGE}
ip link set {_BRIDGE} up
"""
_ADD = f"""
set -e
ip link del "$1" 2>/dev/null || true
ip netns del "$1" 2>/dev/null || true
ip netns add "$1"
ip link add "$1" type veth peer name eth0 netns "$1"
ip link set "$1" master {_BRIDGE} up
ip -n "$1" addr add "$2"/24 dev eth0
ip -n "$1" link set lo up
ip -n "$1" link set eth0 up
"""
_TRY = f'{_PREPARE}\nset -- probe 10.99.0.1\n{_ADD}'


def enter(program: Sequence[str]) -> None:
    """Become the same program inside a network of its own, where that is possible; else go on without.

    Args:
        program: what Python runs: `-m`, the module, its arguments.
    """
    if not is_inside() and is_possible():
        argv = inside(program)
        os.execv(argv[0], argv)


def inside(program: Sequence[str]) -> list[str]:
    """The command that runs a program of Python inside a network of its own."""
    return [str(shutil.which('unshare')), *_NEW, 'env', f'{_INSIDE}=yes', sys.executable, *program]


def is_inside() -> bool:
    """Whether this program is in a network of its own."""
    return _INSIDE in os.environ


def is_possible() -> bool:
    """Whether this machine and user can have one."""
    if os.geteuid() != 0 or not all(map(shutil.which, ('ip', 'unshare', 'mount'))):
        return False
    command = ['unshare', *_NEW, 'sh', '-c', _TRY]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def prepare() -> None:
    """Make the bridge; once, after `enter`."""
    _shell(_PREPARE)


@dataclass(frozen=True, slots=True)
class Host:
    """A place in the network: loopback, or a namespace of its own.

    Args:
        address: where it is reached.
        namespace: its name; empty for loopback.
    """

    address: str = '127.0.0.1'
    namespace: str = ''

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command so that it runs there."""
        return (str(shutil.which('ip')), 'netns', 'exec', self.namespace) if self.namespace else ()

    def cut_off(self) -> None:
        """Lose what goes there and comes from there."""
        _shell('ip link set "$1" down', self.namespace)

    def cut_off_from(self, others: Iterable['Host']) -> None:
        """Lose what goes to some others, so that nothing is ever answered between them."""
        for other in others:
            _shell('ip -n "$1" route replace blackhole "$2"', self.namespace, other.address)

    def join(self) -> None:
        """End every cut."""
        _shell('ip -n "$1" route flush type blackhole; ip link set "$1" up', self.namespace)


def hosts(count: int) -> list[Host]:
    """Places for some programs: new namespaces, in place of those of before; or all on loopback."""
    if not is_inside():
        return [Host()] * count
    made = [Host(f'10.99.0.{number + 1}', f'member{number}') for number in range(count)]
    for host in made:
        _shell(_ADD, host.namespace, host.address)
    return made


def _shell(script: str, *arguments: str) -> None:
    subprocess.run(['/bin/sh', '-c', script, 'sh', *arguments], check=True)
