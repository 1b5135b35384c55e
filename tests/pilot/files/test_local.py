"""`file:` names: what the site allows, links, devices, and what is seen while a file is written."""

import asyncio
import bz2
import gzip
import lzma
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from iceprod_tasks.pilot.files import FileRefused, FileRules, FileTrouble, Mover, contents
from tests.pilot.files.conftest import Move, entry, names_in

DATA = random.Random(2).randbytes(3_000_000)
NOT_ALLOWED = 'not below a folder that this pilot allows'


@pytest.mark.parametrize('form', ['file://', 'file:', 'file://localhost', 'FILE://'])
async def test_a_file_comes_from_below_a_root(root: Path, fetch: Move, work: Path, form: str) -> None:
    (root / 'a#b %.bin').write_bytes(DATA)

    await fetch(f'{form}{root}/a#b%20%25.bin')

    assert names_in(work) == ['a#b %.bin']
    assert (work / 'a#b %.bin').read_bytes() == DATA


async def test_a_file_is_sent_below_a_root_into_new_folders(root: Path, send: Move, work: Path) -> None:
    (work / 'out').write_bytes(DATA)

    await send(f'file://{root}/new/deep/out')

    assert (root / 'new' / 'deep' / 'out').read_bytes() == DATA
    assert names_in(root) == ['new', 'new/deep', 'new/deep/out']


async def test_a_file_that_is_there_is_replaced(root: Path, send: Move, work: Path) -> None:
    (root / 'out').write_bytes(b'old')
    (work / 'out').write_bytes(b'new')

    await send(f'file://{root}/out')

    assert (root / 'out').read_bytes() == b'new'


@pytest.mark.parametrize('name', ['/etc/passwd', '{root}/../secret', '{root}/%2e%2e/secret', '{root}x', '{root}', '/'])
@pytest.mark.parametrize('outwards', [False, True])
async def test_a_name_outside_of_the_roots_is_refused(
    root: Path, fetch: Move, send: Move, work: Path, name: str, outwards: bool
) -> None:
    (root.parent / 'secret').write_text('secret')
    (work / 'x').write_text('new')

    with pytest.raises(FileRefused, match=NOT_ALLOWED):
        await (send if outwards else fetch)(f'file://{name.format(root=root)}', local='x')

    assert (root.parent / 'secret').read_text() == 'secret'
    assert (work / 'x').read_text() == 'new'


@pytest.mark.parametrize('name', ['file://otherhost/data/x', 'file:x', 'file:./x', 'file://', 'file:///a%00b'])
async def test_a_name_of_another_machine_or_without_a_path_is_refused(fetch: Move, name: str) -> None:
    with pytest.raises(FileRefused, match='file: name'):
        await fetch(name, local='x')


async def test_without_roots_no_file_name_is_allowed(rules: FileRules, root: Path, work: Path) -> None:
    (root / 'x').write_bytes(DATA)

    with pytest.raises(FileRefused, match=r'this pilot allows no file: names'):
        await Mover(replace(rules, file_roots=())).bring_in([entry(f'file://{root}/x', 'input')], work)


async def test_links_lead_to_what_is_allowed_and_not_out(root: Path, fetch: Move, work: Path) -> None:
    (root / 'real').mkdir()
    (root / 'real' / 'x').write_bytes(b'yes')
    (root / 'link').symlink_to('real')
    (root / 'out').symlink_to(root.parent)
    (root.parent / 'secret').write_text('secret')

    await fetch(f'file://{root}/link/x')
    with pytest.raises(FileRefused, match=NOT_ALLOWED):
        await fetch(f'file://{root}/out/secret')

    assert names_in(work) == ['x']


async def test_an_upload_goes_through_no_link_that_leads_out(root: Path, send: Move, work: Path) -> None:
    (root.parent / 'secret').write_text('secret')
    (root / 'out').symlink_to(root.parent)
    (root / 'link').symlink_to(root.parent / 'secret')
    (work / 'x').write_text('new')

    with pytest.raises(FileRefused, match=NOT_ALLOWED):
        await send(f'file://{root}/out/secret', local='x')
    with pytest.raises(FileRefused, match='no plain file'):
        await send(f'file://{root}/link', local='x')

    assert (root.parent / 'secret').read_text() == 'secret'


async def test_a_root_may_be_a_link_itself(rules: FileRules, root: Path, work: Path) -> None:
    (root / 'x').write_bytes(b'yes')
    link = root.parent / 'link'
    link.symlink_to(root)

    await Mover(replace(rules, file_roots=(link,))).bring_in([entry(f'file://{link}/x', 'input')], work)

    assert (work / 'x').read_bytes() == b'yes'


@pytest.mark.parametrize('kind', ['fifo', 'folder'])
async def test_what_is_no_plain_file_is_neither_read_nor_written(
    root: Path, fetch: Move, send: Move, work: Path, kind: str
) -> None:
    make = os.mkfifo if kind == 'fifo' else os.mkdir
    make(root / 'x')
    make(work / 'y')
    (work / 'z').write_text('new')

    async with asyncio.timeout(10):
        for moving in (fetch(f'file://{root}/x'), send(f'file://{root}/y'), send(f'file://{root}/x', local='z')):
            with pytest.raises(FileRefused, match='no plain file'):
                await moving

    assert names_in(root) == ['x']
    assert names_in(work) == ['y', 'z']


async def test_a_device_is_not_read(rules: FileRules, work: Path) -> None:
    with pytest.raises(FileRefused, match='no plain file'):
        await Mover(replace(rules, file_roots=(Path('/dev'),))).bring_in([entry('file:///dev/zero', 'input')], work)


async def test_a_link_of_the_task_is_not_followed_on_the_way_out(root: Path, send: Move, work: Path) -> None:
    (work.parent / 'secret').write_text('secret')
    (work / 'x').symlink_to('../secret')
    (work / 'up').symlink_to('..')

    for local in ('x', 'up/secret'):
        with pytest.raises(FileRefused, match='link'):
            await send(f'file://{root}/out', local=local)

    assert names_in(root) == []


async def test_a_task_that_has_put_a_link_in_place_of_its_folder_sends_nothing(
    root: Path, send: Move, work: Path
) -> None:
    (work.parent / 'secret').write_text('secret')
    work.rmdir()
    work.symlink_to('.')

    with pytest.raises((FileRefused, FileTrouble)):
        await send(f'file://{root}/out', local='secret')

    assert names_in(root) == []


async def test_a_file_that_cannot_be_read_is_refused(root: Path, fetch: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / 'x').write_bytes(b'no')

    def refuse(*_: object) -> bytes:
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(os, 'pread', refuse)

    with pytest.raises(FileRefused, match=f'^download file://{root}/x: Permission denied'):
        await fetch(f'file://{root}/x')


async def test_a_disk_that_fails_for_a_moment_is_read_on_where_it_failed(
    root: Path, fetch: Move, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / 'x').write_bytes(DATA)
    places: list[int] = []
    real = os.pread

    def fail_once(number: int, size: int, place: int) -> bytes:
        places.append(place)
        if len(places) == 2:
            raise OSError(5, 'Input/output error')
        return real(number, size, place)

    monkeypatch.setattr(os, 'pread', fail_once)

    await fetch(f'file://{root}/x')

    assert (work / 'x').read_bytes() == DATA
    assert places[1] == places[2] > 0


async def test_a_file_that_changes_while_it_is_read_is_read_anew(
    root: Path, fetch: Move, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / 'x').write_bytes(DATA)
    other, real = DATA[::-1], os.pread

    def change(number: int, size: int, place: int) -> bytes:
        data = real(number, size, place)
        if place:
            (root / 'x').write_bytes(other)
        return data

    monkeypatch.setattr(os, 'pread', change)
    moving = asyncio.create_task(fetch(f'file://{root}/x'))
    while (root / 'x').read_bytes() != other and not moving.done():
        await asyncio.sleep(0)
    monkeypatch.setattr(os, 'pread', real)

    await moving

    assert (work / 'x').read_bytes() == other


async def test_a_full_disk_is_trouble_and_leaves_nothing(
    root: Path, send: Move, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / 'out').write_bytes(DATA)
    (root / 'out').write_text('old')

    calls = []

    def full(number: int) -> None:
        calls.append(number)
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)

    with pytest.raises(FileTrouble, match=f'^upload file://{root}/out: No space left on device'):
        await send(f'file://{root}/out')

    assert names_in(root) == ['out']
    assert (root / 'out').read_text() == 'old'
    assert len(calls) == 1


async def test_a_root_that_is_gone_is_trouble_and_no_missing_file(root: Path, fetch: Move) -> None:
    root.rmdir()

    with pytest.raises(FileTrouble, match=r'file-root .* is not there'):
        await fetch(f'file://{root}/x', transfer='maybe')


async def test_a_cancelled_copy_is_over_at_once_and_no_thread_works_on(
    root: Path, rules: FileRules, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / 'x').write_bytes(DATA * 10)
    reads: list[int] = []
    real = os.pread

    def slowly(number: int, size: int, place: int) -> bytes:
        reads.append(place)
        time.sleep(0.1)
        return real(number, size, place)

    monkeypatch.setattr(os, 'pread', slowly)
    moving = asyncio.create_task(Mover(rules).bring_in([entry(f'file://{root}/x', 'input')], work))
    while len(reads) < 3:
        await asyncio.sleep(0.01)
    began = time.monotonic()

    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving

    assert time.monotonic() - began < 0.5
    assert names_in(work) == []
    await asyncio.sleep(0.3)
    assert len(reads) <= 4


@pytest.mark.parametrize('compression', ['gzip', 'bzip', 'lzma'])
@pytest.mark.parametrize('outwards', [False, True])
async def test_cancelled_while_it_is_packed_or_unpacked_nothing_is_left(
    root: Path, rules: FileRules, work: Path, compression: str, outwards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = {'gzip': gzip.compress, 'bzip': bz2.compress, 'lzma': lzma.compress}[compression]
    (work if outwards else root).joinpath('x').write_bytes(DATA if outwards else pack(DATA))
    movement, move = ('output', Mover(rules).bring_out) if outwards else ('input', Mover(rules).bring_in)
    entries = [entry(f'file://{root}/{"y" if outwards else "x"}', movement, local='x', compression=compression)]
    writes: list[int] = []
    real = contents.write_all

    def slowly(file: IO[bytes], data: bytes) -> None:
        writes.append(len(data))
        time.sleep(0.1)
        real(file, data)

    monkeypatch.setattr(contents, 'write_all', slowly)
    moving = asyncio.create_task(move(entries, work))
    while len(writes) < (2 if outwards else 5):
        await asyncio.sleep(0.01)

    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving

    assert names_in(root if outwards else work) == []


async def test_a_file_is_not_seen_before_it_is_whole(
    root: Path, rules: FileRules, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / 'out').write_bytes(DATA)
    moving = asyncio.create_task(Mover(rules).bring_out([entry(f'file://{root}/out', 'output')], work))
    seen = set()

    while not moving.done():
        seen |= {(root / name).stat().st_size for name in names_in(root) if name == 'out'}
        await asyncio.sleep(0)
    await moving

    assert seen <= {len(DATA)}
    assert names_in(root) == ['out']
