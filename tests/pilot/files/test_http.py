"""`http:` names: downloads that break and go on, uploads, redirects, and what servers say."""

import asyncio
import hashlib
import random
import time
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from iceprod_tasks.pilot.files import FileRefused, FileRules, FileTrouble, Mover
from iceprod_tasks.pilot.files.errors import WrongEntry
from iceprod_tasks.pilot.files.web import next_place
from tests.pilot.files.conftest import Move, entry, names_in
from tests.pilot.files.site import DATE, Site
from tests.pilot.files.site import site as running_site

DATA = random.Random(1).randbytes(3_000_000)


async def test_a_file_comes_under_the_last_part_of_its_name(site: Site, fetch: Move, work: Path) -> None:
    site.files['/d/a%20b.bin?version=2'] = DATA

    moved = await fetch(f'{site.url}/d/a%20b.bin?version=2')

    assert names_in(work) == ['a b.bin']
    assert (work / 'a b.bin').read_bytes() == DATA
    assert (moved.files, moved.size) == (1, len(DATA))


async def test_a_file_comes_into_the_sub_folder_that_local_names(site: Site, fetch: Move, work: Path) -> None:
    site.files['/x'] = DATA

    await fetch(f'{site.url}/x', local='in/deep/y')

    assert (work / 'in' / 'deep' / 'y').read_bytes() == DATA


async def test_an_empty_file_comes(site: Site, fetch: Move, work: Path) -> None:
    site.files['/x'] = b''

    await fetch(f'{site.url}/x')

    assert (work / 'x').read_bytes() == b''


async def test_a_broken_download_goes_on_where_it_broke(site: Site, fetch: Move, work: Path) -> None:
    site.files['/x'] = DATA
    site.cuts = [1_300_000, 700_000]

    await fetch(f'{site.url}/x', checksum=f'sha256:{hashlib.sha256(DATA).hexdigest()}')

    assert (work / 'x').read_bytes() == DATA
    assert site.header('Range') == [None, 'bytes=1300000-', 'bytes=2000000-']
    assert len(set(site.header('If-Range'))) == 2


async def test_a_download_begins_anew_where_the_server_has_another_file_now(
    site: Site, fetch: Move, work: Path
) -> None:
    other = DATA[::-1][:2_000_000]
    site.files['/x'], site.cuts, site.change_after_cut = DATA, [1_000_000], other

    await fetch(f'{site.url}/x', checksum=f'md5:{hashlib.md5(other).hexdigest()}')

    assert (work / 'x').read_bytes() == other


async def test_a_server_that_tells_a_date_only_can_go_on(site: Site, fetch: Move, work: Path) -> None:
    site.files['/x'], site.cuts, site.version = DATA, [1_000_000], 'date'

    await fetch(f'{site.url}/x')

    assert (work / 'x').read_bytes() == DATA
    assert site.header('If-Range') == [None, DATE]


async def test_a_part_of_another_file_is_not_put_behind_what_has_come(site: Site, fetch: Move, work: Path) -> None:
    site.files['/x'], site.cuts, site.change_after_cut = DATA, [1_000_000], DATA[::-1]
    site.any_range = True

    await fetch(f'{site.url}/x')

    assert (work / 'x').read_bytes() == DATA[::-1]


@pytest.mark.parametrize(('ranges', 'version'), [(False, 'etag'), (True, 'weak'), (True, '')])
async def test_a_download_begins_anew_where_the_server_cannot_go_on(
    site: Site, fetch: Move, work: Path, ranges: bool, version: str
) -> None:
    site.files['/x'], site.cuts = DATA, [1_000_000]
    site.ranges, site.version = ranges, version

    await fetch(f'{site.url}/x', checksum=f'md5:{hashlib.md5(DATA).hexdigest()}')

    assert (work / 'x').read_bytes() == DATA
    assert site.header('Range') == [None, None if ranges else 'bytes=1000000-']


async def test_a_download_that_breaks_too_often_is_given_up(site: Site, fetch: Move, work: Path) -> None:
    site.files['/x'], site.cuts = DATA, [10, 10, 10, 10, 10]

    with pytest.raises(FileTrouble, match=f'^download {site.url}/x: '):
        await fetch(f'{site.url}/x')

    assert len(site.asked) == 4
    assert names_in(work) == []


async def test_a_wrong_checksum_is_refused_and_nothing_is_left(site: Site, fetch: Move, work: Path) -> None:
    site.files['/x'] = DATA
    right = hashlib.sha256(DATA).hexdigest()

    with pytest.raises(
        FileRefused, match=f'^download {site.url}/x: wrong checksum: it is sha256:{right}, not sha256:0'
    ):
        await fetch(f'{site.url}/x', checksum='sha256:' + '0' * 64)

    assert names_in(work) == []
    assert len(site.asked) == 1


@pytest.mark.parametrize('status', [404, 410])
async def test_a_file_that_is_not_there_is_refused_unless_it_may_be_missing(
    site: Site, fetch: Move, work: Path, status: int
) -> None:
    site.says = [(status, {}), (status, {})]

    with pytest.raises(FileRefused, match=f'^download {site.url}/x: it is not there: {status}'):
        await fetch(f'{site.url}/x')
    moved = await fetch(f'{site.url}/x', transfer='maybe')

    assert moved.files == 0
    assert names_in(work) == []


async def test_a_file_that_may_be_missing_comes_where_it_is_there(site: Site, fetch: Move, work: Path) -> None:
    site.files['/x'] = b'yes'

    await fetch(f'{site.url}/x', transfer='maybe')

    assert (work / 'x').read_bytes() == b'yes'


async def test_a_file_that_is_not_to_be_moved_is_not_asked_for(site: Site, fetch: Move, work: Path) -> None:
    await fetch(f'{site.url}/x', transfer=False)
    await fetch('nonsense:/x', transfer='no')

    assert site.asked == []


@pytest.mark.parametrize('status', [400, 401, 403])
async def test_a_server_that_refuses_is_not_asked_again(site: Site, fetch: Move, status: int) -> None:
    site.says = [(status, {})]

    with pytest.raises(FileRefused, match=f'the server answers {status}'):
        await fetch(f'{site.url}/x', transfer='maybe')

    assert len(site.asked) == 1


async def test_a_server_with_trouble_is_asked_again_when_it_says(site: Site, fetch: Move, work: Path) -> None:
    site.files['/x'] = b'yes'
    site.says = [(500, {}), (503, {'Retry-After': '1'}), (429, {})]
    began = time.monotonic()

    await fetch(f'{site.url}/x')

    assert (work / 'x').read_bytes() == b'yes'
    assert 1 <= time.monotonic() - began < 5


async def test_no_server_is_trouble(fetch: Move) -> None:
    with running_site() as gone:
        pass

    with pytest.raises(FileTrouble, match=f'^download {gone.url}/x: ConnectError'):
        await fetch(f'{gone.url}/x', transfer='maybe')


async def test_a_redirect_is_followed(site: Site, fetch: Move, work: Path) -> None:
    site.files['/there'] = DATA
    site.redirects = {'/x': (302, '/y'), '/y': (307, f'{site.url}/there')}

    await fetch(f'{site.url}/x')

    assert (work / 'x').read_bytes() == DATA


@pytest.mark.parametrize(
    ('where', 'words'), [('/x', 'redirects'), ('file:///etc/passwd', 'leads to file:'), ('ftp://h/x', 'leads to ftp:')]
)
async def test_a_redirect_without_an_end_or_to_elsewhere_is_refused(
    site: Site, fetch: Move, where: str, words: str
) -> None:
    site.redirects = {'/x': (302, where)}

    with pytest.raises(FileRefused, match=words):
        await fetch(f'{site.url}/x')

    assert len(site.asked) <= 6


def test_a_redirect_never_leads_from_https_to_http() -> None:
    https, http = httpx2.URL('https://h/x'), httpx2.URL('http://h/x')

    with pytest.raises(WrongEntry, match='from https to http'):
        next_place(https, 'http://h/x')

    assert next_place(https, '/y') == next_place(http, 'https://h/y') == httpx2.URL('https://h/y')


async def test_a_file_is_never_compressed_on_the_way(site: Site, fetch: Move) -> None:
    site.files['/x'] = DATA

    await fetch(f'{site.url}/x')

    assert site.header('Accept-Encoding') == ['identity']


async def test_a_password_in_a_url_goes_to_its_server_only_and_into_no_words(
    site: Site, elsewhere: Site, fetch: Move
) -> None:
    with_password = site.url.replace('//', '//ada:hush@')
    site.redirects = {'/x?signature=hush': (302, f'{elsewhere.url}/x')}

    with pytest.raises(FileRefused) as refused:
        await fetch(f'{with_password}/x?signature=hush')

    assert site.header('Authorization') == ['Basic YWRhOmh1c2g=']
    assert elsewhere.header('Authorization') == [None]
    assert str(refused.value).startswith(f'download {site.url}/x: ')
    assert 'hush' not in str(refused.value)


async def test_a_file_larger_than_the_limit_is_refused_before_it_comes(
    site: Site, rules: FileRules, work: Path
) -> None:
    site.files['/x'], site.slow_bytes = DATA, 10_000

    async with asyncio.timeout(5):
        with pytest.raises(FileRefused, match=r'^download .*: larger than 0.002 GB'):
            await Mover(replace(rules, limit_gb=0.002)).bring_in([entry(f'{site.url}/x', 'input')], work)
        with pytest.raises(FileRefused, match=r'larger than 0.001 GB'):
            await Mover(rules).bring_in([entry(f'{site.url}/x', 'input', max_gb=0.001)], work)

    assert names_in(work) == []


async def test_a_file_is_sent(site: Site, send: Move, work: Path) -> None:
    (work / 'out').write_bytes(DATA)

    moved = await send(f'{site.url}/d/out')

    assert site.files == {'/d/out': DATA}
    assert site.header('Content-Length') == [str(len(DATA))]
    assert (moved.files, moved.size) == (1, len(DATA))


async def test_an_upload_that_broke_is_sent_again(site: Site, send: Move, work: Path) -> None:
    (work / 'out').write_bytes(DATA)
    site.cuts, site.says = [1_000_000], [(503, {})]

    await send(f'{site.url}/out')

    assert site.files == {'/out': DATA}
    assert len(site.asked) == 3


async def test_an_upload_follows_redirects_that_keep_its_method(site: Site, send: Move, work: Path) -> None:
    (work / 'out').write_bytes(DATA)
    site.redirects = {'/out': (307, '/there'), '/b/out': (302, '/there')}

    await send(f'{site.url}/out')
    with pytest.raises(FileRefused, match=r'^upload .*: the server answers 302'):
        await send(f'{site.url}/b/out')

    assert site.files == {'/there': DATA}


async def test_a_file_that_was_not_written_is_refused_unless_it_may_be_missing(site: Site, send: Move) -> None:
    with pytest.raises(FileRefused, match=f'^upload {site.url}/out: it is not there'):
        await send(f'{site.url}/out')
    await send(f'{site.url}/out', transfer='maybe')

    assert site.asked == []


async def test_a_place_that_is_not_there_is_refused_even_where_the_file_may_be_missing(
    site: Site, send: Move, work: Path
) -> None:
    (work / 'out').write_bytes(DATA)
    site.says = [(404, {})]

    with pytest.raises(FileRefused, match=r'^upload .*/out: it is not there: 404'):
        await send(f'{site.url}/out', transfer='maybe')


async def test_a_cancelled_download_is_over_at_once(site: Site, rules: FileRules, work: Path) -> None:
    site.files['/x'], site.slow_bytes = DATA, 10_000
    moving = asyncio.create_task(Mover(rules).bring_in([entry(f'{site.url}/x', 'input')], work))
    while not site.busy:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    began = time.monotonic()

    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving

    assert time.monotonic() - began < 0.5
    assert names_in(work) == []


async def test_files_come_several_at_once_but_not_all(site: Site, rules: FileRules, work: Path) -> None:
    site.files = {f'/{number}': b'x' * 1000 for number in range(6)}
    site.slow_bytes = 500
    most = 0
    moving = asyncio.create_task(
        Mover(replace(rules, at_once=3)).bring_in([entry(f'{site.url}{path}', 'input') for path in site.files], work)
    )
    while not moving.done():
        most = max(most, site.busy)
        await asyncio.sleep(0.005)

    assert most == 3
    assert (await moving).files == len(names_in(work)) == 6
