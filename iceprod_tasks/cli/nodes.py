"""`iceprod-tasks nodes`: what sets of nodes are."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.options import InOrder


@click.group(cls=InOrder)
def nodes() -> None:
    """Expand, fold and count sets of nodes, such as `n[1-20,33]`.

    In a set, `,` adds, `!` takes away, `&` keeps what both have, and `^` what one of them has. Several sets are added.
    `-` reads sets from standard input.

    \b
    Examples:
      iceprod-tasks nodes expand 'n[1-3]'
      iceprod-tasks nodes fold n1 n2 n3 -x n2
      iceprod-tasks nodes count 'n[1-1000/2]&n[500-600]'
    """


def _sets(command: Callable[..., Any]) -> Callable[..., Any]:
    """The sets that a command works on, and what is done with others."""
    options = (
        click.argument('sets', nargs=-1, required=True, metavar='NODESET...'),
        click.option('-x', '--exclude', multiple=True, metavar='NODESET', help='Take these away; repeatable.'),
        click.option('-i', '--intersection', multiple=True, metavar='NODESET', help='Keep only these; repeatable.'),
        click.option('-X', '--xor', multiple=True, metavar='NODESET', help='Keep what one of both has; repeatable.'),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _names(sets: Sequence[str], exclude: Sequence[str], intersection: Sequence[str], xor: Sequence[str]) -> list[str]:
    from iceprod_tasks.fanout import expand

    def all_of(texts: Sequence[str]) -> set[str]:
        given = [each for text in texts for each in (sys.stdin.read().split() if text == '-' else [text])]
        return {name for each in given for name in expand(each)}

    with plainly():
        names = all_of(sets) - all_of(exclude)
        for each in intersection:
            names &= all_of([each])
        for each in xor:
            names ^= all_of([each])
        return expand(','.join(names))


@nodes.command('expand')
@_sets
@click.option('-S', '--separator', default='\n', help='Between two names [a new line].')
def expand_(separator: str, **given: Any) -> None:
    """Print all names of a set.

    \b
    Example, all names in one line:
      iceprod-tasks nodes expand -S ' ' 'n[1-20]!n7'
    """
    names = _names(**given)
    if names:
        click.echo(separator.join(names))


@nodes.command('fold')
@_sets
def fold_(**given: Any) -> None:
    """Print a set in its shortest form.

    \b
    Example, what is left of a list of names:
      iceprod-tasks nodes fold - -x 'n[3-4]' < names.txt
    """
    from iceprod_tasks.fanout import fold

    click.echo(fold(_names(**given)))


@nodes.command()
@_sets
def count(**given: Any) -> None:
    """Print how many nodes a set has.

    \b
    Example:
      iceprod-tasks nodes count 'n[1-1000/2]&n[500-600]'
    """
    click.echo(len(_names(**given)))
