"""Before something is changed: how much it is, and whether to go on."""

import functools
import sys
from dataclasses import dataclass
from typing import Any

import click

from iceprod_tasks.cli.endings import USAGE, stop
from iceprod_tasks.cli.options import Command, json_option


@dataclass(frozen=True, slots=True)
class Consent:
    """How the user wants to be asked.

    Args:
        yes: not at all.
        dry_run: only tell what would be done.
        as_json: tell it as JSON.
    """

    yes: bool
    dry_run: bool
    as_json: bool

    def ask(self, question: str) -> None:
        """Go on only when the user says yes; without a terminal only when it was said before.

        Args:
            question: what is going to be done, and to how many.
        """
        if self.yes:
            return
        if not on_terminal():
            stop(f'{question}? There is no terminal to answer on: use --yes', USAGE)
        if not click.confirm(f'{question}? [y/N]', show_default=False, prompt_suffix=': ', err=True):
            stop('nothing has been changed')


def on_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


def asks_first(command: Command) -> Command:
    """`--yes`, `--dry-run` and `--json` of every command that changes many things at once, as `consent`."""

    @functools.wraps(command)
    def wrapped(*, yes: bool, dry_run: bool, as_json: bool, **given: Any) -> Any:
        return command(consent=Consent(yes, dry_run, as_json), **given)

    yes = click.option('--yes', is_flag=True, help='Do not ask.')
    dry_run = click.option('--dry-run', is_flag=True, help='Only say what would be done.')
    return yes(dry_run(json_option(wrapped)))
