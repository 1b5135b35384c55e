"""A real Slurm on this machine, with keys, ports and folders of its own."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_UP_SECONDS = 60.0
_PATH = f'{os.environ.get("PATH", "")}:/usr/sbin'
_DAEMONS = ('munged', 'slurmctld', 'slurmd')


@dataclass(frozen=True)
class Slurmed:
    """What runs.

    Args:
        folder: of all its files.
        environment: in which Slurm's commands work.
    """

    folder: Path
    environment: Mapping[str, str]

    def run(self, *argv: str) -> str:
        """A command of Slurm; what it prints."""
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f'{argv}: {done.stderr}'
        return done.stdout

    def states(self, name: str) -> list[str]:
        """The states of all jobs of a name, each element of an array by itself."""
        return self.run('squeue', '--noheader', '--array', '--states=all', f'--name={name}', '--format=%T').split()

    def logs(self) -> str:
        """What its daemons have said, for a test that fails."""
        return '\n'.join(
            f'== {log.name}\n{log.read_text(errors="replace")[-3000:]}' for log in self.folder.glob('*.log')
        )


@contextlib.contextmanager
def slurm(nodes: Sequence[str], cpus: int) -> Iterator[Slurmed]:
    """Run one; nothing of it is left behind.

    Args:
        nodes: their names; all are this machine.
        cpus: that each is said to have.
    """
    missing = [each for each in _DAEMONS if shutil.which(each, path=_PATH) is None]
    if missing or os.getuid() != 0:
        raise RuntimeError(f'this test needs root and the Debian package slurm-wlm; missing: {missing or "root"}')
    # The paths of sockets may not be long.
    folder = Path(tempfile.mkdtemp(prefix='slurm-'))
    folder.chmod(0o711)
    (folder / 'state').mkdir()
    (folder / 'munge.key').write_bytes(secrets.token_bytes(128))
    (folder / 'munge.key').chmod(0o600)
    (folder / 'slurm.conf').write_text(_configuration(folder, nodes, cpus))
    kept = {name: os.environ[name] for name in ('HOME', 'LANG') if name in os.environ}
    slurmed = Slurmed(folder, {**kept, 'PATH': _PATH, 'SLURM_CONF': str(folder / 'slurm.conf')})
    files = {'key-file': 'munge.key', 'pid-file': 'munge.pid', 'log-file': 'munge.log', 'seed-file': 'munge.seed'}
    munged = ['munged', '--foreground', f'--socket={folder}/munge.socket']
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(_start(slurmed, [*munged, *(f'--{flag}={folder}/{name}' for flag, name in files.items())]))
        _wait(lambda: (folder / 'munge.socket').exists(), slurmed)
        started.append(_start(slurmed, ['slurmctld', '-D']))
        started += [_start(slurmed, ['slurmd', '-D', '-N', name]) for name in nodes]
        _wait(lambda: _all_idle(slurmed, nodes), slurmed)
        yield slurmed
        slurmed.run('scancel', '--user=root', '--full')
        _wait(lambda: not slurmed.run('squeue', '--noheader'), slurmed)
    finally:
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder)


def _start(slurmed: Slurmed, argv: Sequence[str]) -> subprocess.Popen[bytes]:
    with (slurmed.folder / 'said.log').open('ab') as log:
        return subprocess.Popen(argv, env=slurmed.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _all_idle(slurmed: Slurmed, nodes: Sequence[str]) -> bool:
    done = subprocess.run(
        ['sinfo', '--noheader', '--Node', '--format=%T'], env=slurmed.environment, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    return done.stdout.split() == ['idle'] * len(nodes)


def _wait(condition: Any, slurmed: Slurmed) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f'Slurm does not work: {slurmed.logs()}')
        time.sleep(0.1)


def _configuration(folder: Path, nodes: Sequence[str], cpus: int) -> str:
    host, ports = socket.gethostname(), _free_ports(1 + len(nodes))
    given = {
        'ClusterName': 'test', 'SlurmctldHost': f'{host}(127.0.0.1)', 'SlurmctldPort': ports[0], 'SlurmUser': 'root',
        'SlurmdUser': 'root', 'AuthType': 'auth/munge', 'AuthInfo': f'socket={folder}/munge.socket',
        'CredType': 'cred/munge', 'ProctrackType': 'proctrack/linuxproc', 'TaskPlugin': 'task/none',
        'SwitchType': 'switch/none', 'MpiDefault': 'none', 'JobAcctGatherType': 'jobacct_gather/none',
        'SelectType': 'select/cons_tres', 'SelectTypeParameters': 'CR_CPU_Memory',
        'StateSaveLocation': folder / 'state', 'SlurmdSpoolDir': f'{folder}/spool-%n',
        'SlurmctldPidFile': folder / 'slurmctld.pid', 'SlurmdPidFile': f'{folder}/slurmd-%n.pid',
        'SlurmctldLogFile': folder / 'slurmctld.log', 'SlurmdLogFile': f'{folder}/slurmd-%n.log',
        'ReturnToService': 2, 'SlurmdParameters': 'config_overrides', 'KillWait': 20,
        'SchedulerParameters': 'sched_interval=1,batch_sched_delay=0',
    }  # fmt: skip
    lines = [f'{key}={value}' for key, value in given.items()]
    lines += [
        f'NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=100000'
        for name, port in zip(nodes, ports[1:], strict=True)
    ]
    return '\n'.join([*lines, 'PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP', ''])


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(('127.0.0.1', 0))) for _ in range(number)]
        return [each.getsockname()[1] for each in sockets]
