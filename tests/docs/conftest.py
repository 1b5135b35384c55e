"""What the tests of pages share whose commands are typed."""

import os
import sys
from pathlib import Path

import pytest


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """As after the installation, with data of its own and any free port."""
    scripts = Path(sys.executable).parent
    path = f'{scripts}{os.pathsep}{os.environ["PATH"]}'
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('MONGODB_', 'TOKEN_SECRET', 'ICEPROD_TASKS_'))
    }
    return {**kept, 'PATH': path, 'XDG_DATA_HOME': str(tmp_path), 'PORT': '0', 'no_proxy': '*'}
