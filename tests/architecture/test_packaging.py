"""The schemas are found wherever the package runs from: a wheel, a plain checkout, an editable install."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from iceprod_tasks.rest import bodies

ROOT = Path(__file__).resolve().parents[2]
IN_REPOSITORY = sorted(path.stem for path in (ROOT / 'schemas').glob('*.json'))
LOOK = """
import json, iceprod_tasks
from iceprod_tasks.rest import bodies
names = [name for name in bodies.schema_names() if bodies.load_schema(name)['title']]
print(json.dumps([iceprod_tasks.__file__, names]))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy = tmp_path / 'checkout'
    for part in ('iceprod_tasks', 'schemas'):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns('__pycache__'))
    for part in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / part, copy)
    return copy


def look(folder: Path, cwd: Path) -> tuple[Path, list[str]]:
    environment = {**os.environ, 'PYTHONPATH': str(folder)}
    done = subprocess.run(
        [sys.executable, '-c', LOOK], env=environment, cwd=cwd, capture_output=True, text=True, check=True
    )
    place, names = json.loads(done.stdout)
    return Path(place), names


def test_a_plain_checkout_has_them(checkout: Path, tmp_path: Path) -> None:
    place, names = look(checkout, tmp_path)

    assert place.is_relative_to(checkout)
    assert names == IN_REPOSITORY


def test_a_wheel_carries_them(checkout: Path, tmp_path: Path) -> None:
    build = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '-q', '-w', str(tmp_path), str(checkout)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob('*.whl')
    installed = tmp_path / 'installed'
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)

    place, names = look(installed, tmp_path)

    assert place.is_relative_to(installed)
    assert names == IN_REPOSITORY
    assert (installed / 'iceprod_tasks' / 'py.typed').exists()
    assert (installed / 'iceprod_tasks' / 'pilot' / 'sh' / 'iceprod-task').exists()
    assert not (installed / 'tests').exists()


def test_an_editable_install_has_them() -> None:
    assert bodies.schema_names() == IN_REPOSITORY
