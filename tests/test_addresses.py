"""Clusters as operators write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.addresses import read_clusters


def test_a_cluster_has_a_name_and_an_address() -> None:
    pairs = ['far=https://far.example:8443/tasks/', 'near=http://127.0.0.1:80', 'six=http://[::1]:8080']

    assert read_clusters(pairs, 'here') == {
        'far': 'https://far.example:8443/tasks', 'near': 'http://127.0.0.1:80', 'six': 'http://[::1]:8080',
    }  # fmt: skip


@pytest.mark.parametrize(
    'pair',
    ['', 'far', 'far=', '=http://x', 'far=ftp://x', 'far=x', 'far=http://', 'far=http://me:secret@x', 'far=http://me@x',
     'far=http://x?a=b', 'far=http://x#a', 'far=http://x:99999', 'far=http://x:0', 'far=http://x/ y', 'far=http://x/\n',
     'fa\nr=http://x', ' far=http://x', 'far= http://x', 'far=//x', 'far=http:///x', 'far=file:///etc/passwd'],
)  # fmt: skip
def test_what_is_no_cluster_is_refused(pair: str) -> None:
    with pytest.raises(ValueError, match='not NAME='):
        read_clusters([pair], 'here')


@pytest.mark.parametrize('name', ['local', 'here'])
def test_no_other_cluster_is_called_like_this_one(name: str) -> None:
    with pytest.raises(ValueError, match=f'{name} is this service itself'):
        read_clusters([f'{name}=http://x'], 'here')


def test_no_two_clusters_have_one_name() -> None:
    with pytest.raises(ValueError, match='far is there twice'):
        read_clusters(['far=http://x', 'far=http://y'], 'here')


@given(st.text() | st.text().map(lambda text: f'far=http://{text}'))
def test_any_text_is_a_cluster_or_refused(text: str) -> None:
    try:
        found = read_clusters([text], 'here')
    except ValueError:
        return

    assert all(url.startswith(('http://', 'https://')) and not set(url) & set('@?# \n') for url in found.values())
