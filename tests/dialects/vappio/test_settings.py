"""What operators say of the dialect, and what they are told when it cannot be."""

from typing import Any

import pytest

from iceprod_tasks.dialects.vappio.handlers import routes
from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.rest.routing import Access
from iceprod_tasks.settings import Settings

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({'clusters': ('far',)}, 'a cluster cannot be used: not NAME=http'),
    ({'clusters': ('far=http://me:secret@x',)}, 'a cluster cannot be used: not NAME=http'),
    ({'clusters': ('far=http://x', 'far=http://y')}, 'far is there twice'),
    ({'clusters': ('local=http://x',)}, 'local is this service itself'),
    ({'clusters': ('near=http://x',), 'cluster_name': 'near'}, 'near is this service itself'),
    ({'cluster_name': ''}, 'the name of this cluster cannot be used'),
    ({'cluster_name': 'a\nb'}, 'the name of this cluster cannot be used'),
    ({'clusters': ('far=http://far.example',), 'share_tokens': True}, 'tokens are shared over https only'),
]


@pytest.mark.parametrize(('given', 'text'), REFUSED)
def test_what_cannot_be_is_refused_at_the_start(given: dict[str, Any], text: str) -> None:
    with pytest.raises(CannotStart, match=text):
        Settings().override(**given)


@pytest.mark.parametrize('url', ['https://far.example', 'http://127.0.0.1:8081', 'http://localhost'])
def test_tokens_are_shared_where_nobody_can_listen(url: str) -> None:
    assert Settings().override(clusters=(f'far={url}',), share_tokens=True).share_tokens


def test_everything_is_closed_by_default() -> None:
    (route,) = routes(Settings())

    assert (Settings().open_describe, Settings().clusters, Settings().share_tokens) == (False, (), False)
    assert set(route.access.values()) == {Access(('admin', 'system', 'user'), lane='read')}
