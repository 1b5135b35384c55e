"""What can be wrong with a file: the entry itself, or the way to it."""

import contextlib
import errno
from collections.abc import Iterator

_LATER = frozenset({errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT})
_WRONG = frozenset({
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ,
})  # fmt: skip


class FileRefused(Exception):
    """The entry is wrong: another try would end the same way. Begins with `download` or `upload` and the name."""


class FileTrouble(Exception):
    """Network, disk or server had trouble: worth another try. Begins with `download` or `upload` and the name."""


class WrongEntry(Exception):
    """What a `FileRefused` is made from, without the words about which file it is."""


class NotThere(WrongEntry):
    """There is no such file; where it may be missing, that is no error."""

    def __init__(self, words: str = 'it is not there') -> None:
        super().__init__(words)


class Trouble(Exception):
    """What a `FileTrouble` is made from, without the words about which file it is.

    Args:
        words: what happened.
        again: whether the same transfer may be taken up again here and now.
        wait_seconds: what the other side asked us to wait.
    """

    def __init__(self, words: str, *, again: bool = True, wait_seconds: float = 0.0) -> None:
        super().__init__(words)
        self.again = again
        self.wait_seconds = wait_seconds


@contextlib.contextmanager
def disk() -> Iterator[None]:
    """Says what an error of the disk means.

    Raises:
        NotThere: there is no such file.
        WrongEntry: the name cannot be used, or not by us.
        Trouble: anything else, such as a full disk.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise NotThere from error
    except OSError as error:
        words = error.strerror or str(error)
        if error.errno in _WRONG:
            raise WrongEntry(words) from error
        raise Trouble(words, again=error.errno in _LATER) from error
