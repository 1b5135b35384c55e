"""`vp-describe-task` and `iceprod-tasks describe` as they are typed, in this process."""

import contextlib
import io
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from unittest.mock import patch

from iceprod_tasks.cli.main import main as iceprod_tasks
from iceprod_tasks.cli.vp_describe_task import main as vp_describe_task


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    out: str
    err: str
    code: int


def vp(*words: str, server: str = '', token: str = '', **environment: str) -> Said:
    """`vp-describe-task` with these words."""
    return _run(lambda: vp_describe_task(words), server, token, environment)


def describe(*words: str, server: str = '', token: str = '', **environment: str) -> Said:
    """`iceprod-tasks describe` with these words."""
    return _run(lambda: iceprod_tasks(['describe', *words]), server, token, environment)


def _run(command: Callable[[], object], server: str, token: str, environment: dict[str, str]) -> Said:
    given = {'ICEPROD_TASKS_SERVER': server, 'ICEPROD_TASKS_TOKEN': token, 'no_proxy': '*', **environment}
    out, err = io.TextIOWrapper(io.BytesIO(), 'utf-8'), io.TextIOWrapper(io.BytesIO(), 'utf-8')
    codes: list[object] = []

    def run() -> None:
        try:
            command()
        except SystemExit as end:
            codes.append(end.code)

    with patch.dict(os.environ, given), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        # In a thread of its own, as the tests' loop is in this one.
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    (code,) = codes
    assert isinstance(code, int)
    return Said(_text(out), _text(err), code)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
