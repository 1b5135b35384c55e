"""Terminals, as the pages of the documentation need them: one for a service, one to type commands into."""

import codecs
import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE_SECONDS = 180
_COLUMNS = 100
_QUESTION = '[y/N]: '
_MARK = 'the end of what was typed'


@contextlib.contextmanager
def first_terminal(command: str, environment: dict[str, str]) -> Iterator[str]:
    """Run a service until the pages have been followed; its URL."""
    service = subprocess.Popen(command.split(), env=environment, stderr=subprocess.PIPE, text=True)
    with service:
        try:
            # Lines of the log may come first.
            said = (re.search(r'serves (http://\S+),', line) for line in service.stderr or ())
            yield next(found[1] for found in said if found)
        finally:
            service.send_signal(signal.SIGINT)
            # What is left in the pipe must not keep it from ending.
            service.communicate(timeout=PATIENCE_SECONDS)
    assert service.returncode == 0


class SecondTerminal:
    """A shell session on a terminal of 100 columns; a command that fails ends it.

    Questions are answered with yes.

    Args:
        folder: where it begins.
        environment: of the shell.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._screen, its_end = pty.openpty()
        script, self._keyboard = os.pipe()
        self._decoder = codecs.getincrementaldecoder('utf-8')()
        # A dumb terminal gets neither colours nor moving bars; its size must be told.
        size = {'TERM': 'dumb', 'COLUMNS': str(_COLUMNS), 'LINES': '50'}
        self._shell = subprocess.Popen(
            ['bash', '-euo', 'pipefail', f'/dev/fd/{script}'],
            cwd=folder, env=environment | size, stdin=its_end, stdout=its_end, stderr=its_end,
            pass_fds=[script], start_new_session=True,
        )  # fmt: skip
        os.close(its_end)
        os.close(script)

    def type(self, text: str) -> str:
        """Type some commands; what they print."""
        os.write(self._keyboard, f"{text}\nprintf '%s\\n' '{_MARK}'\n".encode())
        printed, until = '', time.monotonic() + PATIENCE_SECONDS
        while not printed.endswith(f'{_MARK}\n'):
            news = self._read()
            printed += news
            if not news:
                assert self._shell.poll() is None, f'{text}\nended with {self._shell.returncode}:\n{printed}'
                assert time.monotonic() < until, f'{text}\ndoes not end:\n{printed}'
            if news and printed.endswith(_QUESTION):
                os.write(self._screen, b'y\n')
        return printed.removesuffix(f'{_MARK}\n')

    def _read(self) -> str:
        """What is new on the screen; '' when nothing comes for a while, or never will."""
        if not select.select([self._screen], [], [], 0.5)[0]:
            return ''
        try:
            return self._decoder.decode(os.read(self._screen, 65536)).replace('\r', '')
        except OSError:
            # Nobody has the terminal open any more.
            return ''

    def close(self) -> None:
        """End the session, with all that was started in it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        os.close(self._keyboard)
        os.close(self._screen)
