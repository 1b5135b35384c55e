"""The real packages that are compared, each in an environment of its own below a cache folder, made on demand."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ICEPROD = 'iceprod==3.2.43'
FIREWORKS = 'FireWorks==2.1.4'
OLDEST_OF_ICEPROD = (3, 12)
NO_ICEPROD = 'no Python 3.12 or newer, see docs/benchmarks.md'
NO_FIREWORKS = 'FireWorks 2.1.4 cannot be installed'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that name environments which are there."""
    parser.add_argument('--iceprod-python', default=os.environ.get('ICEPROD_PYTHON', ''), metavar='COMMAND',
                        help='the command of a Python that has iceprod 3.2.43  [env: ICEPROD_PYTHON]')  # fmt: skip
    parser.add_argument('--fireworks-python', default=os.environ.get('FIREWORKS_PYTHON', ''), metavar='COMMAND',
                        help='the command of a Python that has FireWorks 2.1.4  [env: FIREWORKS_PYTHON]')  # fmt: skip


def iceprod_python(named: str) -> str:
    """The command of a Python that has IceProd; empty when there is none.

    Args:
        named: by the user; it is believed if it works.
    """
    if named:
        return named if _says([*shlex.split(named), '-c', 'import iceprod.rest.server']) is not None else ''
    for python in _newer_pythons():
        if made := _made(python, 'iceprod', ICEPROD):
            return made
    return ''


def fireworks_python(named: str) -> str:
    """The command of a Python that has FireWorks; empty when there is none."""
    if named:
        return named if _says([*shlex.split(named), '-c', 'import fireworks']) is not None else ''
    return _made(sys.executable, 'fireworks', FIREWORKS)


def _newer_pythons() -> Iterator[str]:
    """Pythons that IceProd runs on: those on PATH that work, and those of pyenv, whose shims may not."""
    minors = range(OLDEST_OF_ICEPROD[1], 20)
    found = [path for minor in minors if (path := shutil.which(f'python3.{minor}'))]
    versions = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')) / 'versions'
    found += [str(each) for minor in minors for each in sorted(versions.glob(f'3.{minor}*/bin/python3'))]
    for path in found:
        said = _says([path, '-c', 'import ensurepip, sys; print(*sys.version_info[:2])'])
        if said and tuple(map(int, said.split())) >= OLDEST_OF_ICEPROD:
            yield path


def _says(command: list[str]) -> str | None:
    """What a command prints; None when it fails."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _made(python: str, name: str, package: str) -> str:
    folder = Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 'iceprod-tasks-bench' / name
    own, stamp = folder / 'bin' / 'python', folder / f'.installed-{package}'
    try:
        if not stamp.exists():
            print(f'installing {package} in {folder}', flush=True)
            subprocess.run([python, '-m', 'venv', '--clear', folder], check=True)
            subprocess.run([own, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', package], check=True)
            stamp.touch()
    except (OSError, subprocess.CalledProcessError):
        return ''
    return shlex.quote(str(own))
