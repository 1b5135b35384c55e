"""`s3:` names, on a store whose network breaks."""

import asyncio
import hashlib
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from iceprod_tasks.pilot.files import FileRefused, FileRules, FileTrouble, Mover
from tests.pilot.files.conftest import Move, entry, names_in
from tests.pilot.files.store import Store

DATA = random.Random(3).randbytes(3_000_000)
MIB = 1024 * 1024
LARGE = random.Random(4).randbytes(11 * MIB)


@pytest.fixture
def in_parts(rules: FileRules) -> FileRules:
    """Large files go in parts of the least size that S3 takes."""
    return replace(rules, part_bytes=5 * MIB)


async def test_a_file_comes(store: Store, fetch: Move, work: Path) -> None:
    store.put('d/a b?c#d%20é', DATA)

    await fetch('s3://data/d/a b?c#d%20é', checksum=f'sha256:{hashlib.sha256(DATA).hexdigest()}')

    assert names_in(work) == ['a b?c#d%20é']
    assert (work / 'a b?c#d%20é').read_bytes() == DATA


async def test_a_broken_download_goes_on_where_it_broke(store: Store, fetch: Move, work: Path) -> None:
    store.put('x', DATA)
    store.down_cuts = [1_000_000, 1_500_000]

    await fetch('s3://data/x', checksum=f'sha256:{hashlib.sha256(DATA).hexdigest()}')

    assert (work / 'x').read_bytes() == DATA
    starts = [int(head.lower().partition('range: bytes=')[2].partition('-')[0] or 0) for head in store.headers]
    assert starts[0] == 0 < 900_000 < starts[1] < 2_300_000 < starts[2]
    assert all('if-match: "' in head.lower() for head in store.headers[1:])


async def test_a_download_begins_anew_where_the_object_has_changed(store: Store, fetch: Move, work: Path) -> None:
    store.put('x', DATA)
    store.down_cuts = [1_000_000]
    moving = asyncio.create_task(fetch('s3://data/x'))
    while store.down_cuts:
        await asyncio.sleep(0)
    store.put('x', LARGE)

    await moving

    assert (work / 'x').read_bytes() == LARGE


async def test_a_file_is_sent(store: Store, send: Move, work: Path) -> None:
    (work / 'out').write_bytes(DATA)

    await send('s3://data/d/out')

    assert store.get('d/out') == DATA


async def test_an_upload_that_broke_is_sent_again(store: Store, send: Move, work: Path) -> None:
    (work / 'out').write_bytes(DATA)
    store.up_cuts = [1_000_000]

    await send('s3://data/out')

    assert store.get('out') == DATA


async def test_a_large_file_is_sent_in_parts_and_only_the_broken_one_goes_again(
    store: Store, in_parts: FileRules, work: Path
) -> None:
    (work / 'out').write_bytes(LARGE)
    store.up_cuts, store.up_cuts_in = [3 * MIB], 'partNumber=2'

    await Mover(in_parts).bring_out([entry('s3://data/out', 'output')], work)

    assert store.get('out') == LARGE
    parts = [head.partition('partNumber=')[2].partition('&')[0] for head in store.heads if 'partNumber' in head]
    assert parts == ['1', '2', '2', '3']
    assert store.unfinished() == 0


@pytest.mark.parametrize('at', ['PUT /data/out?uploadId', 'POST /data/out?uploadId'])
async def test_parts_that_somebody_has_removed_go_again(store: Store, in_parts: FileRules, work: Path, at: str) -> None:
    (work / 'out').write_bytes(LARGE)
    store.instead = (at, store.lose_parts)

    await Mover(in_parts).bring_out([entry('s3://data/out', 'output')], work)

    assert store.get('out') == LARGE
    assert store.unfinished() == 0


async def test_an_upload_in_parts_that_is_given_up_leaves_nothing(
    store: Store, in_parts: FileRules, work: Path
) -> None:
    (work / 'out').write_bytes(LARGE)
    store.up_cuts = [MIB] * 4

    with pytest.raises(FileTrouble, match=r'^upload s3://data/out: .'):
        await Mover(in_parts).bring_out([entry('s3://data/out', 'output')], work)

    assert store.keys() == []
    assert store.unfinished() == 0


async def test_a_cancelled_upload_is_over_at_once_and_leaves_nothing(
    store: Store, in_parts: FileRules, work: Path
) -> None:
    (work / 'out').write_bytes(LARGE)
    moving = asyncio.create_task(Mover(in_parts).bring_out([entry('s3://data/out', 'output')], work))
    while not any('partNumber=2' in head for head in store.heads):
        await asyncio.sleep(0.001)
    began = time.monotonic()

    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving

    assert time.monotonic() - began < 2
    assert store.keys() == []
    assert store.unfinished() == 0


async def test_a_download_that_is_cancelled_is_over_at_once(store: Store, rules: FileRules, work: Path) -> None:
    store.put('x', LARGE)
    moving = asyncio.create_task(Mover(rules).bring_in([entry('s3://data/x', 'input')], work))
    while not store.heads:
        await asyncio.sleep(0.001)
    began = time.monotonic()

    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving

    assert time.monotonic() - began < 1
    assert names_in(work) == []


@pytest.mark.parametrize('remote', ['s3://data/none', 's3://nowhere/x'])
async def test_an_object_that_is_not_there_is_refused_unless_it_may_be_missing(
    store: Store, fetch: Move, remote: str
) -> None:
    with pytest.raises(FileRefused, match=rf'^download {remote}: it is not there: 404 .*\(NoSuch(Key|Bucket)\)'):
        await fetch(remote)
    assert (await fetch(remote, transfer='maybe')).files == 0


@pytest.mark.parametrize('size', [10, 11 * MIB])
async def test_a_bucket_that_is_not_there_takes_no_file(
    store: Store, in_parts: FileRules, work: Path, size: int
) -> None:
    (work / 'out').write_bytes(LARGE[:size])

    with pytest.raises(FileRefused, match=r'^upload s3://nowhere/out: .*NoSuchBucket'):
        await Mover(in_parts).bring_out([entry('s3://nowhere/out', 'output')], work)


@pytest.mark.parametrize('remote', ['s3:data/x', 's3:/data/x', 's3://data', 's3://data/', 's3:///x', 's3://data/a/../x',
                                    's3://b ad/x'])  # fmt: skip
async def test_what_is_no_bucket_and_key_is_refused(store: Store, fetch: Move, remote: str) -> None:
    with pytest.raises(FileRefused, match=f'^download {remote}: '):
        await fetch(remote, local='x')

    assert store.heads == []


async def test_without_credentials_it_is_the_trouble_of_the_pilot(
    store: Store, fetch: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('AWS_ACCESS_KEY_ID')
    monkeypatch.delenv('AWS_SECRET_ACCESS_KEY')

    with pytest.raises(FileTrouble, match='no S3 credentials in the environment of the pilot'):
        await fetch('s3://data/x')


async def test_a_secret_is_in_no_words(store: Store, fetch: Move, caplog: pytest.LogCaptureFixture) -> None:
    store.put('x', DATA)

    store.down_cuts = [10] * 4
    with pytest.raises(FileTrouble) as trouble:
        await fetch('s3://data/x')

    ours = ' '.join(record.getMessage() for record in caplog.records if record.name.startswith('iceprod_tasks'))
    assert 'Signature' not in f'{trouble.value} {ours}'


async def test_without_boto3_the_extra_is_named(store: Store, fetch: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'boto3', None)

    with pytest.raises(FileTrouble, match=r"install 'iceprod-tasks\[s3\]'"):
        await fetch('s3://data/x')


def test_boto3_is_not_loaded_by_pilots_that_do_not_need_it() -> None:
    look = 'import sys, iceprod_tasks.pilot.files; sys.exit("boto3" in sys.modules or "botocore" in sys.modules)'

    assert subprocess.run([sys.executable, '-c', look], check=False).returncode == 0
