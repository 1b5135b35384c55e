"""No entry makes anything outside of the task's folder, whatever its names are and whatever the task has left there."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from iceprod_tasks.pilot.files import FileRefused, FileRules, FileTrouble, Mover
from tests.pilot.files.conftest import QUICK, entry, names_in

PARTS = st.sampled_from(['..', '.', '', 'a', 'link', 'up', 'deep', 'x.gz', '-rf', '~', '%2e%2e', '%2F', '\0', ' ', 'é'])
NAMES = st.one_of(st.lists(PARTS, max_size=5).map('/'.join), st.text(max_size=10))


@settings(max_examples=150, deadline=None)
@example(local='../x', tail='data', compression=False)
@example(local='up/x', tail='data', compression=False)
@given(local=NAMES, tail=NAMES, compression=st.sampled_from([False, 'gzip']))
def test_nothing_outside_is_made_on_the_way_in(local: str, tail: str, compression: bool | str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        work, root = place / 'attempt' / 'work', place / 'root'
        _furnish(work, root, place)
        before = _seen_outside(place, work)

        _move(Mover.bring_in, entry(f'file://{root}/{tail}', 'input', local=local, compression=compression), root, work)
        _move(Mover.bring_in, entry(f'file://{root}/data', 'input', local=local, compression=compression), root, work)

        assert _seen_outside(place, work) == before


@settings(max_examples=150, deadline=None)
@example(local='../secret', tail='x')
@example(local='link', tail='x')
@example(local='a', tail='up/x')
@given(local=NAMES, tail=NAMES)
def test_nothing_outside_is_read_or_written_on_the_way_out(local: str, tail: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        work, root = place / 'attempt' / 'work', place / 'root'
        _furnish(work, root, place)
        before = _seen_outside(place, root)

        _move(Mover.bring_out, entry(f'file://{root}/{tail}', 'output', local=local), root, work)
        _move(Mover.bring_out, entry(f'file://{root}/out', 'output', local=local), root, work)

        assert _seen_outside(place, root) == before
        assert not any(b'secret' in path.read_bytes() for path in root.rglob('*') if path.is_file())


def _furnish(work: Path, root: Path, place: Path) -> None:
    (work / 'deep' / 'a').mkdir(parents=True)
    (work / 'a').write_text('own')
    (work / 'up').symlink_to('..')
    (work / 'link').symlink_to(place / 'secret')
    (work / 'deep' / 'link').symlink_to(place)
    (work.parent / 'secret').write_text('secret')
    (place / 'secret').write_text('secret')
    root.mkdir()
    (root / 'data').write_text('data')
    (root / 'up').symlink_to('..')
    (root / 'link').symlink_to(place / 'attempt')


def _seen_outside(place: Path, inside: Path) -> dict[str, Any]:
    paths = (path for path in place.rglob('*') if not path.is_relative_to(inside))
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}


def _move(way: Any, given: dict[str, Any], root: Path, work: Path) -> None:
    rules = FileRules(file_roots=(root,), retry=QUICK, tries=2)
    try:
        asyncio.run(way(Mover(rules), [given], work))
    except (FileRefused, FileTrouble):
        assert not any('.part' in name for name in names_in(work))
