"""How a command ends that did not succeed: one line on stderr and an exit code with a meaning."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import NoReturn

import click

from iceprod_tasks.client import (
    BadRequest,
    ClientError,
    Conflict,
    Gone,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Unreachable,
)
from iceprod_tasks.domain import errors
from iceprod_tasks.domain.masking import masked

FAILED = 1
USAGE = 2
NOT_FOUND = 3
NOT_PERMITTED = 4
CONFLICT = 5
PARTIAL = 6
UNREACHABLE = 7

EXIT_CODE: Mapping[type[ClientError], int] = {
    BadRequest: FAILED,
    NotAuthenticated: NOT_PERMITTED,
    NotPermitted: NOT_PERMITTED,
    NotFound: NOT_FOUND,
    Conflict: CONFLICT,
    Gone: CONFLICT,
    Unreachable: UNREACHABLE,
}
"""The exit code of each error of the client; others are `FAILED`."""


EXIT_CODE_HERE: Mapping[type[errors.IceprodTasksError], int] = {
    errors.NotFound: NOT_FOUND,
    errors.Conflict: CONFLICT,
    errors.Unavailable: UNREACHABLE,
}
"""The exit code of errors in commands that work on the database themselves; others are `FAILED`."""


def stop(text: str, exit_code: int = FAILED) -> NoReturn:
    """Say why on stderr, and end."""
    click.echo(f'iceprod-tasks: {masked(text)}', err=True)
    raise SystemExit(exit_code)


def exit_code_of(error: ClientError) -> int:
    """How a command ends that has met an error."""
    return next((EXIT_CODE[base] for base in type(error).__mro__ if base in EXIT_CODE), FAILED)


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Turn errors into a line and an exit code."""
    try:
        yield
    except ClientError as error:
        stop(str(error), exit_code_of(error))
    except errors.IceprodTasksError as error:
        stop(str(error), next((code for base, code in EXIT_CODE_HERE.items() if isinstance(error, base)), FAILED))
    except ValueError as error:
        stop(str(error), USAGE)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
