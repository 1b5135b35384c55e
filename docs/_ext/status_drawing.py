"""The directives `status-drawing` and `status-table`: the table of transitions as a picture and as a table."""

import math
from collections.abc import Iterator
from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from iceprod_tasks.domain.statuses import STATUSES, TRANSITIONS, Change, ClaimEffect, Outcome, Transition

# Where each status stands. A status without a place is an error of the build.
_PLACES = {
    'idle': (90, 130), 'waiting': (290, 130), 'queued': (490, 130), 'processing': (710, 130), 'complete': (930, 130),
    'suspended': (170, 330), 'reset': (560, 330), 'failed': (800, 330),
}  # fmt: skip
_BENDS = {('processing', 'queued'): 90, ('failed', 'waiting'): -330, ('reset', 'waiting'): -25}
"""How far an arrow leaves the straight line, in pixels to its right; the way back of a pair must not lie on it."""
_ENTRANCES = {'waiting': (0, -1), 'suspended': (0, 1), 'reset': (0, -1), 'failed': (1, 0)}
"""The side at which transitions from several statuses come in."""
_WIDTH, _HEIGHT = 1130, 440
_HALF_WIDTH, _HALF_HEIGHT = 62, 22
_ENTRANCE_LENGTH = 34
_LINE_HEIGHT = 16

Point = tuple[float, float]

_STYLE = """
.status-drawing { width: 100%; height: auto; font-family: inherit; font-size: 13px; }
.status-drawing rect { fill: var(--color-background-secondary, #f8f9fb); stroke: currentColor; }
.status-drawing path { fill: none; stroke: currentColor; }
.status-drawing marker path { fill: currentColor; stroke: none; }
.status-drawing text { fill: currentColor; dominant-baseline: central;
  paint-order: stroke; stroke: var(--color-background-primary, white); stroke-width: 5px; stroke-linejoin: round; }
.status-drawing rect + text { font-weight: 600; stroke: none; }
"""


def drawing() -> str:
    """The picture, as SVG. A transition from one status is an arrow, one from several is an arrow into its target."""
    parts = [*_arrows(), *_entrances(), *(_box(status) for status in STATUSES)]
    head = '<marker id="status-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    title = '<title>The statuses of a task and the transitions between them</title>'
    return (
        f'<svg class="status-drawing" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" xmlns="http://www.w3.org/2000/svg">'
        f'{title}<style>{_STYLE}</style><defs>{head}<path d="M0 0L8 4L0 8z"/></marker></defs>{"".join(parts)}</svg>'
    )


def _box(status: str) -> str:
    x, y = _PLACES[status]
    corner = f'x="{x - _HALF_WIDTH}" y="{y - _HALF_HEIGHT}"'
    box = f'<rect {corner} width="{2 * _HALF_WIDTH}" height="{2 * _HALF_HEIGHT}" rx="8"/>'
    return f'<g>{box}<text x="{x}" y="{y}" text-anchor="middle">{status}</text></g>'


def _arrows() -> Iterator[str]:
    names: dict[tuple[str, str], list[str]] = {}
    for row in TRANSITIONS.values():
        if len(row.sources) == 1:
            names.setdefault((*row.sources, row.target), []).append(_label(row))
    for (source, target), labels in names.items():
        yield _loop(source, labels) if source == target else _arrow(source, target, labels)


def _arrow(source: str, target: str, labels: list[str]) -> str:
    start, end = _PLACES[source], _PLACES[target]
    bend = _BENDS.get((source, target), 0)
    length = math.dist(start, end)
    right = (-(end[1] - start[1]) / length, (end[0] - start[0]) / length)
    middle = tuple((start[i] + end[i]) / 2 + bend * right[i] for i in (0, 1))
    first, last = _edge(start, middle), _edge(end, middle)
    # A quadratic curve passes half way between its control point and its chord.
    top = tuple((first[i] + last[i]) / 4 + middle[i] / 2 for i in (0, 1))
    return _path(f'M{_at(first)}Q{_at(middle)} {_at(last)}') + _text(top, ', '.join(labels))


def _loop(status: str, labels: list[str]) -> str:
    x, y = _PLACES[status]
    top = y - _HALF_HEIGHT
    return _path(f'M{x + 10} {top}C{x + 10} {top - 60} {x + 60} {top - 60} {x + 50} {top}') + _text(
        (x + 35, top - 50), ', '.join(labels)
    )


def _entrances() -> Iterator[str]:
    rows: dict[str, list[str]] = {}
    for row in TRANSITIONS.values():
        if len(row.sources) > 1:
            rows.setdefault(row.target, []).append(f'{_label(row)}: {sources(row)}')
    for target, labels in rows.items():
        (x, y), (dx, dy) = _PLACES[target], _ENTRANCES[target]
        inner = (x + dx * _HALF_WIDTH, y + dy * _HALF_HEIGHT)
        outer = (inner[0] + dx * _ENTRANCE_LENGTH, inner[1] + dy * _ENTRANCE_LENGTH)
        yield _path(f'M{_at(outer)}L{_at(inner)}')
        for number, label in enumerate(labels):
            down = _LINE_HEIGHT * (number - (len(labels) - 1) / 2)
            yield _text((outer[0] + dx * 8, outer[1] + dy * 10 + down), label, anchor='start' if dx else 'middle')


def sources(row: Transition) -> str:
    """From where a transition may start, in words."""
    missing = [status for status in STATUSES if status not in row.sources]
    if len(missing) > 2:
        return ', '.join(status for status in STATUSES if status in row.sources)
    return f'any but {", ".join(missing)}' if missing else 'any'


def _label(row: Transition) -> str:
    return row.name + ('*' if row.blocked_target else '')


def _edge(place: Point, towards: Point) -> Point:
    """Where the line from the middle of a box to a point leaves the box."""
    dx, dy = towards[0] - place[0], towards[1] - place[1]
    share = min(_HALF_WIDTH / abs(dx) if dx else math.inf, _HALF_HEIGHT / abs(dy) if dy else math.inf)
    return place[0] + dx * share, place[1] + dy * share


def _path(data: str) -> str:
    return f'<path d="{data}" marker-end="url(#status-tip)"/>'


def _text(place: Point, text: str, anchor: str = 'middle') -> str:
    return f'<text x="{place[0]:.0f}" y="{place[1]:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


def _at(point: Point) -> str:
    return f'{point[0]:.0f} {point[1]:.0f}'


def table() -> list[str]:
    """The lines of a Markdown table of all transitions."""
    lines = ['| transition | from | to | asked by | what else changes |', '|---|---|---|---|---|']
    for row in TRANSITIONS.values():
        target = f'{row.target}, or {row.blocked_target} with dependencies' if row.blocked_target else row.target
        lines.append(f'| {row.name} | {sources(row)} | {target} | {row.asked_by} | {", ".join(_effects(row))} |')
    return lines


def _effects(row: Transition) -> Iterator[str]:
    words = {Change.ZERO: 'to 0', Change.INCREMENT: '+1'}
    for name, change in (('failures', row.failures), ('evictions', row.evictions)):
        if change in words:
            yield f'{name} {words[change]}'
    if row.claim is not ClaimEffect.KEEP:
        yield 'claim opened, epoch +1' if row.claim is ClaimEffect.OPEN else 'claim closed'
    if row.outcome is not Outcome.KEEP:
        yield f'outcome {row.outcome.value or "cleared"}'
    if row.tells:
        yield f'leaves {"an error" if row.tells == "error" else f"a {row.tells}"}'


class StatusDrawing(SphinxDirective):
    """`status-drawing`: the picture."""

    def run(self) -> list[nodes.Node]:
        """The picture."""
        return [nodes.raw('', drawing(), format='html')]


class StatusTable(SphinxDirective):
    """`status-table`: every transition, a row each."""

    def run(self) -> list[nodes.Node]:
        """The table."""
        return self.parse_text_to_nodes('\n'.join(table()))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directives."""
    app.add_directive('status-drawing', StatusDrawing)
    app.add_directive('status-table', StatusTable)
    return {'parallel_read_safe': True}
