"""The stage of the attacks: one live service for each test process."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.attacks.stage import Stage
from tests.journeys.commands import Commands


@pytest.fixture(scope='session')
def stage(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Commands(tmp_path_factory.mktemp('attacks')) as commands:
        if path := os.environ.get('PYTHONPATH'):
            # The service is that of the tree under test, wherever it is.
            commands.environment['PYTHONPATH'] = path
        stage = Stage(commands, mongodb_url, f'test_{uuid4().hex}')
        yield stage
        stage.close()
