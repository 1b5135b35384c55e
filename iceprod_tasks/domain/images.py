"""Names of container images in a config: what they may look like, and which kind each is."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.placeholders import NAMES, expand

Kind = Literal['docker', 'oras', 'library', 'path', 'name']
"""`docker`, `oras` and `library` are kept in registries, `path` is a file or folder, `name` is what podman knows."""

LONGEST_IMAGE = 4096

_IN_REGISTRY = re.compile(r'(docker|oras|library)://[A-Za-z0-9][A-Za-z0-9._/:@+-]*')
_PATH = re.compile(r'/[!-~]*')
_NAME = re.compile(r'(?!.*//)[A-Za-z0-9][A-Za-z0-9._/:@+-]*')
# Before a colon podman takes these for a place to copy from, such as any folder of the machine.
_PLACES = frozenset({
    'atomic', 'containers-storage', 'dir', 'docker', 'docker-archive', 'docker-daemon', 'library', 'oci', 'oci-archive',
    'oras', 'ostree', 'sif', 'tarball',
})  # fmt: skip


def kind_of_image(image: str) -> Kind:
    """Which kind of image a name means.

    Args:
        image: as in the config, its placeholders filled.

    Raises:
        InvalidRequest: it is no name of an image.
    """
    if len(image) > LONGEST_IMAGE:
        raise InvalidRequest(f'the name of the image is longer than {LONGEST_IMAGE}')
    if match := _IN_REGISTRY.fullmatch(image):
        kinds: dict[str, Kind] = {'docker': 'docker', 'oras': 'oras', 'library': 'library'}
        return kinds[match[1]]
    if _PATH.fullmatch(image):
        return 'path'
    if _NAME.fullmatch(image) and image.partition(':')[0] not in _PLACES:
        return 'name'
    raise InvalidRequest(f'{image!r} is no name of an image')


def check_image(task: Mapping[str, Any], place: str) -> None:
    """Refuse an image that no pilot could take for one, whatever its placeholders stand for.

    Args:
        task: of a config that is valid by its schema.
        place: where it stands.

    Raises:
        InvalidRequest: it has such an image, or runs on nodes, where there are no containers.
    """
    if 'image' not in task:
        return
    try:
        # They are numbers and ids.
        kind_of_image(expand(task['image'], dict.fromkeys(NAMES, '0')))
    except InvalidRequest as error:
        raise InvalidRequest(f'{place}.image: {error}') from error
    if 'nodes' in task:
        raise InvalidRequest(f'{place}.image: a command that goes to nodes has no image')
