"""Which names mean images, and what a config may say of one."""

from typing import Any

import pytest

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.images import check_image, kind_of_image


@pytest.mark.parametrize(
    ('image', 'kind'),
    [
        ('docker://busybox:1.36', 'docker'), ('oras://ghcr.io/a/b', 'oras'), ('library://a/b/c:1', 'library'),
        ('/images/a.sif', 'path'), ('busybox', 'name'), ('localhost:5000/a/b:1', 'name'),
        ('a/dir:x', 'name'),
    ],
)  # fmt: skip
def test_a_name_says_what_kind_of_image_it_is(image: str, kind: str) -> None:
    assert kind_of_image(image) == kind


@pytest.mark.parametrize(
    ('task', 'why'),
    [
        ({'image': 'dir:/etc'}, "tasks[1].image: 'dir:/etc' is no name of an image"),
        ({'image': '${task_index}-'}, ''),
        ({'image': '${job}'}, 'tasks[1].image: unknown name ${job}'),
        ({'image': '$${job}'}, "tasks[1].image: '${job}' is no name of an image"),
        ({'image': 'a', 'nodes': 'n1'}, 'tasks[1].image: a command that goes to nodes has no image'),
        ({'nodes': 'n1'}, ''),
    ],
)
def test_a_task_has_an_image_that_is_one_or_none(task: dict[str, Any], why: str) -> None:
    said = ''
    try:
        check_image(task, 'tasks[1]')
    except InvalidRequest as error:
        said = str(error)

    assert said == why
