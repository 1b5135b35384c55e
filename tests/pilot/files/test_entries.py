"""What entries may say: movement, names, the base of names that are no URL, checksums, places."""

import hashlib
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.pilot.files import FileRefused, FileRules, FileTrouble, Mover
from tests.pilot.files.conftest import Move, entry, names_in
from tests.pilot.files.site import Site


async def test_each_movement_goes_its_way(rules: FileRules, root: Path, work: Path) -> None:
    for name in ('in', 'both'):
        (root / name).write_text('old')
    entries = [entry(f'file://{root}/{name}', movement) for name, movement in
               (('in', 'input'), ('both', 'both'), ('out', 'output'))]  # fmt: skip

    came = await Mover(rules).bring_in(entries, work)
    assert names_in(work) == ['both', 'in']
    for name in ('in', 'both', 'out'):
        (work / name).write_text('new!')
    went = await Mover(rules).bring_out(entries, work)

    assert {path.name: path.read_text() for path in root.iterdir()} == {'in': 'old', 'both': 'new!', 'out': 'new!'}
    assert (came.files, came.size, went.files, went.size) == (2, 6, 2, 8)


async def test_a_file_of_both_movements_must_be_there_unless_it_may_be_missing(
    rules: FileRules, root: Path, work: Path
) -> None:
    with pytest.raises(FileRefused, match=r'^download .*/both: it is not there'):
        await Mover(rules).bring_in([entry(f'file://{root}/both', 'both')], work)
    came = await Mover(rules).bring_in([entry(f'file://{root}/both', 'both', transfer='maybe')], work)

    assert came.files == 0


@pytest.mark.parametrize(
    ('fields', 'words'),
    [
        ({'remote': 'gsiftp://h/x'}, 'no way to move gsiftp: files; there is file, http, https, s3'),
        ({'remote': 'x'}, 'it is no URL, and this pilot has no --file-base'), ({'remote': ''}, 'no remote name'),
        ({'remote': None}, 'no remote name'), ({'remote': 'http://h/'}, 'give it one by `local`'),
        ({'remote': 'http://h'}, 'give it one by `local`'), ({'remote': 'http://h/a/..'}, 'local|last part'),
        ({'remote': 'http://h/%2e%2e'}, 'last part'), ({'remote': 'http://h/a%2Fb'}, 'give it one'),
        ({'remote': 'http://h/-rf'}, 'last part'), ({'remote': 'http:///x'}, 'no good URL'),
        ({'remote': 'http://h:port/x'}, 'no good URL'), ({'remote': 'http:x'}, 'no good URL'),
        ({'local': '../x'}, 'leaves its folder'), ({'local': '/x'}, 'leaves its folder'),
        ({'local': 'a/../../x'}, 'leaves its folder'), ({'local': '.'}, 'names no file'), ({'local': 5}, 'no text'),
        ({'local': 'x' * 300}, 'File name too long'), ({'movement': 'up'}, 'unknown movement'),
        ({'movement': None}, 'unknown movement'), ({'compression': 'rar'}, 'unknown compression'),
        ({'compression': 1}, 'unknown compression'), ({'checksum': 'crc:00'}, 'unknown checksum'),
        ({'checksum': 'md5:00'}, 'unknown checksum'), ({'max_gb': 0}, 'max_gb'), ({'max_gb': '1'}, 'max_gb'),
        ({'max_gb': True}, 'max_gb'), ({'max_gb': float('nan')}, 'max_gb'),
    ],
)  # fmt: skip
async def test_a_wrong_entry_is_refused_by_name(
    site: Site, rules: FileRules, work: Path, fields: dict[str, Any], words: str
) -> None:
    site.files['/x'] = b'x'
    wrong = entry(f'{site.url}/x', 'input') | fields

    with pytest.raises(FileRefused, match=f'^download .*({words})'):
        await Mover(rules).bring_in([wrong], work)

    assert names_in(work) == []
    assert site.asked == []


async def test_wrong_entries_of_the_output_are_refused_before_the_command(
    site: Site, rules: FileRules, work: Path
) -> None:
    site.files['/x'] = b'x'
    entries = [entry(f'{site.url}/x', 'input'), entry('gsiftp://h/x', 'output')]

    with pytest.raises(FileRefused, match=r'^upload gsiftp://h/x: no way'):
        await Mover(rules).bring_in(entries, work)

    assert site.asked == []


@pytest.mark.parametrize(
    ('movement', 'fields'), [('input', {'local': 'a'}), ('output', {'remote': 'http://h/a', 'local': 'b'})]
)
async def test_two_entries_with_one_place_are_refused(
    rules: FileRules, work: Path, movement: str, fields: dict[str, Any]
) -> None:
    entries = [entry('http://h/a', movement), entry('http://h/b', movement) | fields]

    with pytest.raises(FileRefused, match='another entry has the same place'):
        await Mover(rules).bring_in(entries, work)


@pytest.mark.parametrize('name', ['d/a b?#%x', 'd//a b?#%x', './d/a b?#%x'])
@pytest.mark.parametrize('kind', ['file', 'http'])
async def test_a_name_that_is_no_url_stands_behind_the_base(
    site: Site, rules: FileRules, root: Path, work: Path, name: str, kind: str
) -> None:
    (root / 'd').mkdir()
    (root / 'd' / 'a b?#%x').write_bytes(b'yes')
    site.files['/base/d/a%20b%3F%23%25x'] = b'yes'
    base = f'file://{root}/' if kind == 'file' else f'{site.url}/base'

    await Mover(replace(rules, base=base)).bring_in([entry(name, 'input')], work)

    assert names_in(work) == ['a b?#%x']


@pytest.mark.parametrize('name', ['../x', 'a/../../x', '/x', '/etc/passwd'])
async def test_a_name_does_not_leave_the_base(rules: FileRules, root: Path, work: Path, name: str) -> None:
    with pytest.raises(FileRefused, match='leaves its folder'):
        await Mover(replace(rules, base=f'file://{root}/sub')).bring_in([entry(name, 'input', local='x')], work)


@pytest.mark.parametrize('base', ['data', '/data', 'gsiftp://h/x', 'file:///data'])
def test_a_base_that_no_file_could_have_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match='not a URL that files of this pilot may have'):
        FileRules(base=base)


async def test_a_scheme_that_the_site_does_not_allow_is_refused(site: Site, rules: FileRules, work: Path) -> None:
    with pytest.raises(FileRefused, match='no way to move http: files'):
        await Mover(replace(rules, schemes=frozenset({'https'}))).bring_in([entry(f'{site.url}/x', 'input')], work)


@pytest.mark.parametrize('kind', ['sha256', 'sha512', 'md5', 'adler32'])
async def test_checksums_of_each_kind_are_looked_at(root: Path, fetch: Move, send: Move, work: Path, kind: str) -> None:
    data = b'x' * 2_500_000
    (root / 'x').write_bytes(data)
    right = f'{zlib.adler32(data):08x}' if kind == 'adler32' else hashlib.new(kind, data).hexdigest()
    wrong = right[:-1] + ('0' if right[-1] != '0' else '1')

    await fetch(f'file://{root}/x', checksum=f'{kind}:{right}')
    await send(f'file://{root}/out', local='x', checksum=f'{kind.upper()}:{right.upper()}')
    with pytest.raises(FileRefused, match=f'wrong checksum: it is {kind}:{right}, not {kind}:{wrong}'):
        await fetch(f'file://{root}/x', local='y', checksum=f'{kind}:{wrong}')
    with pytest.raises(FileRefused, match=f'wrong checksum: it is {kind}:{right}, not {kind}:{wrong}'):
        await send(f'file://{root}/no', local='x', checksum=f'{kind}:{wrong}')

    assert names_in(work) == ['x']
    assert names_in(root) == ['out', 'x']


async def test_of_both_movements_the_checksum_is_of_what_comes(rules: FileRules, root: Path, work: Path) -> None:
    (root / 'x').write_bytes(b'old')
    entries = [entry(f'file://{root}/x', 'both', checksum=f'md5:{hashlib.md5(b"old").hexdigest()}')]

    await Mover(rules).bring_in(entries, work)
    (work / 'x').write_bytes(b'new')
    await Mover(rules).bring_out(entries, work)

    assert (root / 'x').read_bytes() == b'new'


async def test_when_one_file_is_refused_the_others_stop(site: Site, rules: FileRules, work: Path) -> None:
    site.files['/slow'], site.slow_bytes = b'x' * 1_000_000, 1000
    entries = [entry(f'{site.url}/{name}', 'input') for name in ('slow', 'missing')]

    with pytest.raises(FileRefused, match='/missing: it is not there'):
        await Mover(rules).bring_in(entries, work)

    assert names_in(work) == []


async def test_a_folder_that_is_not_there_is_trouble_of_the_machine(site: Site, rules: FileRules, work: Path) -> None:
    site.files['/x'] = b'x'
    work.rmdir()

    with pytest.raises(FileTrouble, match="the task's folder is not there"):
        await Mover(rules).bring_in([entry(f'{site.url}/x', 'input', transfer='maybe')], work)


async def test_a_large_file_is_never_in_memory_as_a_whole(site: Site, rules: FileRules, root: Path, work: Path) -> None:
    site.files['/large'] = bytes(100_000_000)
    mover = Mover(rules)
    tracemalloc.start()

    await mover.bring_in([entry(f'{site.url}/large', 'input')], work)
    await mover.bring_out([entry(f'file://{root}/large', 'output')], work)
    await mover.bring_in([entry(f'file://{root}/large', 'input', local='again')], work)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (work / 'again').stat().st_size == 100_000_000
    assert peak < 15_000_000
