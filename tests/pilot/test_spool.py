"""A spool gives what is in it once, in the order of writing, and never anything from outside it."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from iceprod_tasks.client import Note
from iceprod_tasks.pilot.spool import FILE_BYTES, MOST_STEPS, NAME_CHARACTERS, TEXT_CHARACTERS, Progress, Spool, read

NO_NUL = some.text(some.characters(exclude_characters='\0', exclude_categories=['Cs']))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    (tmp_path / 'spool').mkdir()
    return Spool(tmp_path / 'spool')


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / 'spool'


def note_of(data: bytes) -> Note:
    """The message in some bytes."""
    note = read(data)
    assert isinstance(note, dict)
    return note


def texts(spool: Spool) -> list[str]:
    """What is taken out of a spool."""
    return [each['text'] for each in spool.take(spool.names()) if isinstance(each, dict)]


def test_files_come_in_the_order_of_their_times_and_names_and_are_gone(spool: Spool, place: Path) -> None:
    for name, when in (('a', 3), ('b', 1), ('d', 2), ('c', 2)):
        (place / name).write_text(f'text={name}')
        os.utime(place / name, ns=(0, when))

    assert texts(spool) == ['b', 'c', 'd', 'a']
    assert spool.is_empty()
    assert list(place.iterdir()) == []


def test_what_a_listing_has_missed_comes_before_what_it_has_seen(
    spool: Spool, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a folder may be read to which files are added, in this order, while it is.
    listings = iter([[(2, 'b')], [(3, 'c'), (2, 'b'), (1, 'a')]])
    monkeypatch.setattr('iceprod_tasks.pilot.spool._with_times', lambda _: next(listings))

    assert spool.names() == ['a', 'b']


def test_what_is_not_complete_is_left_alone(spool: Spool, place: Path) -> None:
    (place / '.draft').write_text('text=half')

    assert spool.is_empty()
    assert texts(spool) == []
    assert (place / '.draft').exists()


def test_nothing_is_followed_out_of_the_spool(spool: Spool, place: Path, tmp_path: Path) -> None:
    (secret := tmp_path / 'secret').write_text('text=secret')
    (place / 'link').symlink_to(secret)
    (place / 'up').symlink_to('..')
    os.mkfifo(place / 'fifo')
    (place / 'folder').mkdir()
    (place / 'folder' / 'file').write_text('text=deep')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / 'socket'))

        assert texts(spool) == []

    assert secret.read_text() == 'text=secret'


def test_a_spool_that_is_gone_or_is_a_link_is_empty(spool: Spool, place: Path, tmp_path: Path) -> None:
    place.rmdir()
    gone = spool.is_empty(), spool.names(), spool.take(['x'])
    (other := tmp_path / 'other').mkdir()
    (other / 'x').write_text('text=secret')
    place.symlink_to(other)

    assert gone == (True, [], [])
    assert (spool.is_empty(), spool.names(), spool.take(['x'])) == (True, [], [])
    assert (other / 'x').exists()


def test_a_file_that_cannot_be_removed_is_not_taken(spool: Spool, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / 'x').write_text('text=again and again')

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, 'unlink', refuse)

    assert texts(spool) == []


def test_of_a_long_file_the_beginning_is_read(spool: Spool, place: Path) -> None:
    with (place / 'x').open('wb') as file:
        file.write(b'text=kept\0silly=')
        file.truncate(50 * 2**30)

    assert texts(spool) == ['kept']


def test_texts_are_cut_to_what_the_service_takes() -> None:
    long = 'a' * 20_000

    note = note_of(f'mtype=error\0text=b{long}\0name={long}\0stacktrace={long}b\0'.encode())

    assert note == {
        'message_id': note['message_id'],
        'mtype': 'error',
        'text': 'b' + 'a' * (TEXT_CHARACTERS - 1),
        'name': 'a' * NAME_CHARACTERS,
        'stacktrace': 'a' * (TEXT_CHARACTERS - 1) + 'b',
    }


@pytest.mark.parametrize(
    ('data', 'said'),
    [
        (b'completed=3\0', Progress(3, 0, None)),
        (b'completed=03\0total=0\0', Progress(3, 0, 0)),
        (b'add=2', Progress(None, 2, None)),
        (b'total=9\0text=x\0', Progress(None, 0, 9)),
        (b'completed=9999999999999999', Progress(MOST_STEPS, 0, None)),
    ],
)
def test_steps_are_numbers(data: bytes, said: Progress) -> None:
    assert read(data) == said


@pytest.mark.parametrize(
    'data',
    [
        b'', b'\0', b'plain text', b'completed=-1', b'completed=\0', b'add=1.5', b'add=1\0total=x', b'total=\xb2',
        'completed=\u0663'.encode(), b'completed=' + b'9' * 60_000, b'mtype=error\0', b'text\0',
    ],
)  # fmt: skip
def test_what_says_nothing_is_left_out(data: bytes) -> None:
    assert read(data) is None


def test_an_unknown_kind_is_a_notification_and_fields_of_other_kinds_mean_nothing() -> None:
    unknown = note_of(b'mtype=shout\0text=x\0name=y\0stacktrace=z\0')
    result = note_of(b'mtype=result\0text=x\0name=y\0')

    assert {**unknown, 'message_id': ''} == {'message_id': '', 'mtype': 'notification', 'text': 'x'}
    assert {**result, 'message_id': ''} == {'message_id': '', 'mtype': 'result', 'result': 'x'}


@given(NO_NUL, NO_NUL, NO_NUL)
def test_any_text_survives(text: str, name: str, stack: str) -> None:
    note = note_of(b'\0'.join(f'{key}={value}'.encode() for key, value in
                             (('mtype', 'error'), ('text', text), ('name', name), ('stacktrace', stack))))  # fmt: skip

    assert (note['text'], note['name'], note['stacktrace']) == (text, name, stack)


@given(some.binary(max_size=300) | some.lists(some.sampled_from([
    b'text=', b'mtype=', b'silent', b'add=', b'completed=', b'7', b'\0', b'\xff', b'=', b'-',
])).map(b''.join))  # fmt: skip
def test_whatever_a_file_holds_becomes_what_the_wire_takes_or_nothing(data: bytes) -> None:
    match read(data[:FILE_BYTES]):
        case None:
            pass
        case Progress(completed, added, total):
            assert all(0 <= each <= MOST_STEPS for each in (completed or 0, added, total or 0))
        case note:
            assert note['mtype'] in ('notification', 'silent', 'error', 'result')
            assert ('result' in note) == (note['mtype'] == 'result') != ('text' in note)
            assert '\0' not in ''.join(map(str, note.values()))
            assert ''.join(map(str, note.values())).encode()
