"""A real sshd on 127.0.0.1, with keys of its own, and a configuration of ssh that knows many names for it."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SSHD = shutil.which('sshd', path=f'{os.environ.get("PATH", "")}:/usr/sbin') or 'sshd'
_UP_SECONDS = 20.0


@dataclass(frozen=True)
class Sshd:
    """What runs.

    Args:
        config: of ssh. In it `n1`, `n2` and so on are this machine, nobody listens on `dead1` and so on, and `silent1`
            and so on take connections and say nothing.
        port: where it listens.
    """

    config: Path
    port: int

    @property
    def options(self) -> str:
        """For ssh and scp."""
        return f'-F {self.config}'


@contextlib.contextmanager
def sshd(folder: Path, port: int = 0) -> Iterator[Sshd]:
    """Run one.

    Args:
        folder: for keys and configuration; only its owner can read it.
        port: where it listens; 0 for any that is free.
    """
    folder.chmod(0o700)
    for name in ('host', 'user'):
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', folder / name], check=True)
    if os.getuid() == 0:
        Path('/run/sshd').mkdir(exist_ok=True)  # a bare Debian makes it when the service starts
    port = port or _free_port()
    silent = socket.create_server(('127.0.0.1', 0), backlog=100)
    (folder / 'sshd_config').write_text(
        f'ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nPidFile none\n'
        'UsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nMaxStartups 500\nMaxSessions 500\n'
        'PasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\nUseDNS no\n'
    )
    everywhere = (
        f'HostName 127.0.0.1\nIdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\n'
    )
    public = ' '.join((folder / 'host.pub').read_text().split()[:2])
    (folder / 'known').write_text(f'*,[127.0.0.1]:{port} {public}\n')
    config = folder / 'ssh_config'
    config.write_text(
        f'Host n*\nPort {port}\nHost dead*\nPort {_free_port()}\nHost silent*\nPort {silent.getsockname()[1]}\n'
        f'Host *\n{everywhere}HostKeyAlias [127.0.0.1]:{port}\n'
    )
    log = folder / 'sshd.log'
    process = subprocess.Popen([_SSHD, '-D', '-f', folder / 'sshd_config', '-E', log])
    try:
        _wait_for(port, process, log)
        yield Sshd(config, port)
    finally:
        silent.close()
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _UP_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f'sshd does not start: {log.read_text()}')


def _free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as found:
        return int(found.getsockname()[1])
