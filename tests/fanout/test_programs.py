"""Programs written for ClusterShell, which do the same when nothing but their imports are changed."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parent / 'programs').glob('*.py'))


def printed(program: str, folder: Path, name: str) -> str:
    file = folder / name
    file.write_text(program)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda each: each.stem)
def test_a_program_does_the_same_with_its_imports_changed(program: Path, tmp_path: Path) -> None:
    original = program.read_text()

    theirs = printed(original, tmp_path, 'theirs.py')
    ours = printed(original.replace('from ClusterShell.', 'from iceprod_tasks.fanout.'), tmp_path, 'ours.py')

    assert ours == theirs
    assert len(ours.splitlines()) > 20
