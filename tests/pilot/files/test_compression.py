"""Compressed files: unpacked as they come, packed as they go, within the limit of size."""

import bz2
import gzip
import hashlib
import lzma
import random
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from iceprod_tasks.pilot.files import FileRefused, FileRules, Mover
from tests.pilot.files.conftest import Move, entry, names_in

DATA = random.Random(5).randbytes(500_000) + b'0' * 2_000_000
Pack = Callable[[bytes], bytes]
KINDS = [
    (True, '.gz', gzip.compress), ('gzip', '.gz', gzip.compress), ('gz', '.GZ', gzip.compress),
    ('bzip', '.bz2', bz2.compress), ('bz2', '.bz', bz2.compress), ('lzma', '.xz', lzma.compress),
    ('lzma', '.lzma', lambda data: lzma.compress(data, lzma.FORMAT_ALONE)),
]  # fmt: skip
UNPACK = {'gzip': gzip.decompress, 'bzip': bz2.decompress, 'lzma': lzma.decompress}


@pytest.mark.parametrize(('word', 'ending', 'pack'), KINDS)
async def test_a_file_is_unpacked_under_its_name_without_the_ending(
    root: Path, fetch: Move, work: Path, word: bool | str, ending: str, pack: Pack
) -> None:
    packed = pack(DATA)
    (root / f'x.dat{ending}').write_bytes(packed)

    moved = await fetch(
        f'file://{root}/x.dat{ending}', compression=word, checksum=f'sha256:{hashlib.sha256(packed).hexdigest()}'
    )

    assert names_in(work) == ['x.dat']
    assert (work / 'x.dat').read_bytes() == DATA
    assert moved.size == len(packed)


@pytest.mark.parametrize('word', [False, 'none'])
async def test_without_compression_nothing_is_unpacked(root: Path, fetch: Move, work: Path, word: bool | str) -> None:
    (root / 'x.gz').write_bytes(gzip.compress(DATA))

    await fetch(f'file://{root}/x.gz', compression=word)

    assert (work / 'x.gz').read_bytes() == (root / 'x.gz').read_bytes()


@pytest.mark.parametrize(('word', 'ending', 'pack'), KINDS[3:6] + KINDS[:1])
async def test_streams_one_behind_the_other_are_all_unpacked(
    root: Path, fetch: Move, work: Path, word: bool | str, ending: str, pack: Pack
) -> None:
    (root / f'x{ending}').write_bytes(pack(DATA) + pack(b'and more'))

    await fetch(f'file://{root}/x{ending}', compression=word)

    assert (work / 'x').read_bytes() == DATA + b'and more'


@pytest.mark.parametrize(('word', 'pack'), [('gzip', gzip.compress), ('bzip', bz2.compress), ('lzma', lzma.compress)])
@pytest.mark.parametrize('damage', ['cut off', 'changed', 'other', 'empty'])
async def test_a_file_that_is_damaged_or_of_another_kind_is_refused(
    root: Path, fetch: Move, work: Path, word: str, pack: Pack, damage: str
) -> None:
    packed = pack(DATA)
    damaged = {
        'cut off': packed[:-100], 'changed': packed[:1000] + bytes(100) + packed[1100:], 'other': DATA, 'empty': b'',
    }  # fmt: skip
    (root / 'x').write_bytes(damaged[damage])

    with pytest.raises(FileRefused, match=f'^download .*/x: cannot be decompressed as {word}'):
        await fetch(f'file://{root}/x', compression=word)

    assert names_in(work) == []


@pytest.mark.parametrize(('word', 'pack'), [('gzip', gzip.compress), ('bzip', bz2.compress), ('lzma', lzma.compress)])
async def test_a_bomb_meets_the_limit_and_fills_neither_disk_nor_memory(
    root: Path, rules: FileRules, work: Path, word: str, pack: Pack
) -> None:
    (root / 'x').write_bytes(pack(bytes(100_000_000)))
    tracemalloc.start()

    with pytest.raises(FileRefused, match=r'^download .*: larger than 0.005 GB'):
        await Mover(replace(rules, limit_gb=0.005)).bring_in(
            [entry(f'file://{root}/x', 'input', compression=word)], work
        )

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000
    assert names_in(work) == []


async def test_a_file_that_wants_much_memory_to_be_unpacked_is_refused(root: Path, fetch: Move) -> None:
    packed = lzma.compress(b'x', lzma.FORMAT_ALONE)
    # Behind the first byte stands the size of the dictionary.
    (root / 'x').write_bytes(packed[:1] + (1 << 30).to_bytes(4, 'little') + packed[5:])

    with pytest.raises(FileRefused, match='Memory usage limit'):
        await fetch(f'file://{root}/x', compression='lzma')


@pytest.mark.parametrize(('word', 'ending'), [('gzip', '.gz'), ('bzip', '.bz2'), ('lzma', '.xz')])
async def test_a_file_is_packed_as_it_goes(root: Path, send: Move, work: Path, word: str, ending: str) -> None:
    (work / 'out.dat').write_bytes(DATA)

    moved = await send(f'file://{root}/out.dat{ending}', compression=word)
    await send(f'file://{root}/again{ending}', local='out.dat', compression=word)

    packed = (root / f'out.dat{ending}').read_bytes()
    assert UNPACK[word](packed) == DATA
    assert moved.size == len(packed) < len(DATA)
    assert (root / f'again{ending}').read_bytes() == packed
    assert names_in(work) == ['out.dat']


async def test_the_limit_is_for_what_is_packed_and_for_what_is_not(root: Path, rules: FileRules, work: Path) -> None:
    (work / 'out').write_bytes(DATA)
    mover = Mover(replace(rules, limit_gb=0.002))

    for compression in ('gzip', False):
        with pytest.raises(FileRefused, match=r'^upload .*: larger than 0.002 GB'):
            await mover.bring_out([entry(f'file://{root}/out', 'output', compression=compression)], work)

    assert names_in(root) == []
