"""Passwords as they are kept, and what an account's name may be."""

from datetime import UTC, datetime

import pytest

from iceprod_tasks.domain.accounts import new_account
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.passwords import NOBODYS, fits, hashed

PASSWORD = 'correct horse'


def test_only_the_password_itself_fits() -> None:
    kept = hashed(PASSWORD)

    assert fits(PASSWORD, kept)
    assert not fits(PASSWORD + ' ', kept)
    assert not fits('', kept)


def test_the_same_password_is_kept_in_another_way_each_time() -> None:
    assert hashed(PASSWORD)['hash'] != hashed(PASSWORD)['hash']


def test_what_is_kept_has_the_parameters_it_was_made_with() -> None:
    kept = {**hashed(PASSWORD), 'n': 2**13}

    assert not fits(PASSWORD, kept)


@pytest.mark.parametrize('changes', [{'n': 2**24}, {'p': 1000}, {'n': 3}, {'algorithm': 'plain'}])
def test_a_hash_that_would_cost_too_much_or_is_of_another_kind_fits_nothing(changes: dict[str, object]) -> None:
    assert not fits(PASSWORD, {**hashed(PASSWORD), **changes})


def test_nothing_fits_nobodys_hash() -> None:
    assert not fits('', NOBODYS)


@pytest.mark.parametrize('password', ['', 'short', 'x' * 1025])
def test_short_and_endless_passwords_are_refused(password: str) -> None:
    with pytest.raises(InvalidRequest):
        hashed(password)


@pytest.mark.parametrize('name', ['', 'a:b', 'a\nb', 'a\0', 'x' * 129])
def test_a_name_that_cannot_be_sent_with_a_password_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        new_account(name, ['user'], [], {}, datetime.now(UTC))
