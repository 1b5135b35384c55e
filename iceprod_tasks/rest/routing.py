"""Routes as data: a path, the class that handles it, and who may use each of its methods."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from iceprod_tasks.actions.permit import Own
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.lanes import LaneName

ID = '[A-Za-z0-9_]{1,255}'
"""An id or a status in a path."""

DATASET = rf'(?P<dataset_id>{ID})'
TASK = rf'(?P<task_id>{ID})'
JOB = rf'(?P<job_id>{ID})'
STATUS = rf'(?P<status>{ID})'
# As it is quoted: 255 characters of four bytes have three times as many.
NAME = r'(?P<name>[^/?#]{1,3060})'

_GROUP = re.compile(r'\(\?P<(\w+)>[^)]*\)')
_CHOICE = re.compile(r'\(\?:([^)]*)\)')

RouteSpec = tuple[str, type[Handler], dict[str, Any]]

METHODS = ('get', 'post', 'put', 'patch', 'delete')


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a method of a route.

    Args:
        roles: one of them is needed; none means that anybody may, without a token.
        dataset: what the dataset must grant to a user, beside the role; where the path names a task or a job, theirs.
        while_deleting: whether it is allowed with `write` on a dataset that is being deleted.
        new_work: whether it begins something; a service that is stopping refuses that.
        basic: whether the name and the password of an account do in place of a token.
        lane: which places it takes; those of its method when None: `read` for GET, else `write`.
        own: what must be a pilot's own, beside the role; admin and system stand above it.
    """

    roles: tuple[str, ...] = ()
    dataset: Literal['read', 'write'] | None = None
    while_deleting: bool = False
    new_work: bool = False
    basic: bool = False
    lane: LaneName | None = None
    own: Own | None = None


def begins_work(access: Access) -> Access:
    """The same for a method that begins something: a claim, a submission, a change of many tasks."""
    return replace(access, new_work=True)


def in_lane(lane: LaneName, access: Access) -> Access:
    """The same for a method that takes places of another lane than most of its kind."""
    return replace(access, lane=lane)


ANYBODY = Access(lane='free')
OPERATORS = Access(('admin', 'system'))
PILOTS = Access(('admin', 'system', 'pilot'))
SUBMITTERS = Access(('admin', 'user'))
EVERYONE = Access(('admin', 'system', 'user', 'pilot'))
PEOPLE = Access(('admin', 'system', 'user'))
CLAIMANTS = replace(PILOTS, own='claim')
HOLDERS = replace(PILOTS, own='task')
JOB_HOLDERS = replace(PILOTS, own='dataset')
REPORTERS = replace(PILOTS, own='named')
REGISTERED = replace(PILOTS, own='entry')
READERS = replace(EVERYONE, dataset='read', own='dataset')
TRACERS = replace(EVERYONE, dataset='read', own='task')
ADMINS = Access(('admin',))
ACCOUNTS = Access(EVERYONE.roles, basic=True)
PEOPLE_READ = Access(('admin', 'system', 'user'), 'read')
PEOPLE_WRITE = Access(('admin', 'system', 'user'), 'write')
OWNERS_READ = Access(('admin', 'user'), 'read')
OWNERS_WRITE = Access(('admin', 'user'), 'write')
PEOPLE_DELETE = Access(('admin', 'system', 'user'), 'write', while_deleting=True)


@dataclass(frozen=True, slots=True)
class Route:
    """A row of a route table.

    Args:
        path: a regular expression for the whole path.
        handler: the class that answers.
        access: method to who may use it; methods that are not named are answered 405.
        keyed: the method that takes an `Idempotency-Key`; '' where none needs it: a second PUT or DELETE does no harm,
            and claims and reports have claim ids.
        bulk: whether it takes the long bodies of bulk requests.
        options: what its handler is made with beside what all are made with.
    """

    path: str
    handler: type[Handler]
    access: Mapping[str, Access]
    keyed: str = ''
    bulk: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, handler_cfg: Mapping[str, Any]) -> RouteSpec:
        """The row in Tornado's form, with the arguments that its handler is made with."""
        return (
            self.path,
            self.handler,
            {
                **handler_cfg,
                **self.options,
                'access': self.access,
                'keyed': self.keyed,
                'route': paths(self.path)[0],
                'bulk': self.bulk,
            },
        )


def paths(pattern: str) -> list[str]:
    """The paths of a route as people write them; more than one where it has aliases.

    Args:
        pattern: the route's regular expression.
    """
    readable = _GROUP.sub(r'{\1}', pattern).replace(r'\.', '.')
    choice = _CHOICE.search(readable)
    if choice is None:
        return [readable]
    return [readable[: choice.start()] + word + readable[choice.end() :] for word in choice[1].split('|')]


def specs(routes: Iterable[Route], handler_cfg: Mapping[str, Any]) -> list[RouteSpec]:
    """A whole table in Tornado's form.

    Raises:
        ValueError: a method that a handler implements has no access rule, or the other way round; a rule speaks of
            something that the path does not name; or it opens a dataset to pilots, and not what must be their own.
    """
    table = list(routes)
    for route in table:
        implemented = {name for name in METHODS if getattr(route.handler, name) is not getattr(Handler, name)}
        if implemented != set(route.access):
            raise ValueError(f'{route.path}: {sorted(implemented ^ set(route.access))} has no access rule or no method')
        if route.keyed and route.keyed not in implemented:
            raise ValueError(f'{route.path}: takes a key for {route.keyed}, which has no method')
        for method, access in route.access.items():
            if unnamed := _unnamed(route.path, access):
                raise ValueError(f'{route.path}: the rule of {method} needs {unnamed} in the path')
            if 'pilot' in access.roles and access.dataset is not None and access.own is None:
                raise ValueError(f"{route.path}: the rule of {method} needs a word on what must be a pilot's own")
    return [route.spec(handler_cfg) for route in table]


def _unnamed(path: str, access: Access) -> str:
    """What a rule speaks of and a path does not name; '' when nothing is missing."""
    if access.own in ('claim', 'task') and '(?P<task_id>' not in path:
        return 'a task'
    speaks = access.dataset is not None or access.own == 'dataset'
    named = any(f'(?P<{name}>' in path for name in ('dataset_id', 'task_id', 'job_id'))
    return 'a dataset, a task or a job' if speaks and not named else ''
