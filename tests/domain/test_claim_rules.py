"""Rules of claims: how they are written, and settings that cannot be used."""

from typing import Any

import pytest

from iceprod_tasks.domain.callers import ROLES
from iceprod_tasks.domain.claim_rules import given, read_rules
from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.settings import Settings

GOOD: dict[str, Any] = {'openid_url': 'https://a.example', 'openid_audience': 'b', 'openid_roles': ('admin=groups:c',)}


def test_each_name_is_given_once() -> None:
    rules = read_rules(['a=x:1', 'b=x:2', 'a=x:2', 'c=y:.*'])

    assert given(rules, {'x': ['1', '2']}) == ('a', 'b')


def test_a_pattern_may_have_any_characters() -> None:
    assert given(read_rules(['a=x:http://b=c(:d)?']), {'x': 'http://b=c:d'}) == ('a',)


@pytest.mark.parametrize('text', ['', 'admin', 'admin=', 'admin=groups', 'admin=groups:', '=groups:a', 'admin=:a'])
def test_what_lacks_a_part_is_no_rule(text: str) -> None:
    with pytest.raises(ValueError, match='not NAME=CLAIM:PATTERN'):
        read_rules([text])


@pytest.mark.parametrize('text', ['root=groups:a', 'admin=groups:('])
def test_unknown_roles_and_broken_patterns_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match='groups:'):
        read_rules([text], ROLES)


@pytest.mark.parametrize(
    'changes',
    [
        {'openid_url': 'http://a.example'}, {'openid_url': 'a.example'}, {'openid_url': 'https://u:p@a.example'},
        {'openid_url': 'https://[a'}, {'openid_audience': ''}, {'openid_roles': ()},
        {'openid_roles': ('root=a:b',)}, {'openid_groups': ('a',)},
    ],
)  # fmt: skip
def test_a_service_does_not_start_with_settings_that_cannot_be_used(changes: dict[str, Any]) -> None:
    with pytest.raises(CannotStart):
        Settings().override(**{**GOOD, **changes})


@pytest.mark.parametrize('url', ['https://a.example/realms/b', 'http://127.0.0.1:8080', 'http://localhost/x'])
def test_addresses_that_nobody_can_listen_to_are_good(url: str) -> None:
    assert Settings().override(**{**GOOD, 'openid_url': url}).openid_url == url
