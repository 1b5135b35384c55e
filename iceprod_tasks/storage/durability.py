"""Does the database keep what it has acknowledged? What is looked at before the service starts.

Every write of the service says itself that it wants the majority and the journal. So the server's default write concern
does not matter; what matters is whether the connection string says something weaker, and what the members do with it.
"""

from typing import Any

from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError
from pymongo.uri_parser import split_options

from iceprod_tasks.domain.errors import CannotStart, Unavailable
from iceprod_tasks.storage.outcomes import driver_errors

Options = dict[str, Any]

_UNAUTHORIZED = 13
_NO_SHARDS = 'MONGODB_URL leads to a sharded cluster (mongos), which is not supported: name a replica set'
_NO_PRIMARY = 'MongoDB has no primary that takes writes; with directConnection=true MONGODB_URL must name the primary'
_STANDALONE = 'MongoDB runs standalone, not as a replica set: a crash can lose results that were acknowledged'
_W = 'MONGODB_URL says w={}: when the primary fails, results that were acknowledged can be lost'
_JOURNAL = 'MONGODB_URL says journal=false: a crash can lose what was acknowledged in the moment before it'
_IN_MEMORY = "MongoDB's storage engine {} keeps nothing on disk: when the members stop, everything is lost"
_UNJOURNALED = (
    'the replica set has writeConcernMajorityJournalDefault false: when its members lose power at once, results that '
    'were acknowledged can be lost'
)
_ARBITERS = (
    'the replica set has arbiters and too few members with data: when one of these is away, nothing can be '
    'acknowledged, and requests that write are answered 503'
)
_NOT_SEEN = (
    'the database user may not see how the replica set is set up (role clusterMonitor), so its journal and its '
    'storage engine are not checked'
)
_WEAK = '{}. Mend this (one member is enough for a replica set), or start with --allow-weak-durability'

_OTHERS_REFUSED = {'readpreference': ('primary',), 'readconcernlevel': ('local',)}
"""Reads come from the primary, as it is now: an older state would hide tasks, or show what others have already done."""
_ENDLESS = ('timeoutms', 'connecttimeoutms', 'maxpoolsize')


def url_options(url: str) -> dict[str, Any]:
    """What a connection string says of how it is to be used, by lower-case names.

    Raises:
        CannotStart: it says what cannot be.
    """
    try:
        # Only the options: to parse the whole of a mongodb+srv string is to ask the DNS.
        text = url.partition('?')[2]
        said = {name.lower(): value for name, value in (split_options(text) if text else {}).items()}
    except (PyMongoError, ValueError) as error:
        raise CannotStart(f'MONGODB_URL cannot be used: {error}') from error
    for name, allowed in _OTHERS_REFUSED.items():
        if str(said.get(name, allowed[0])).lower() not in allowed:
            raise CannotStart(f'MONGODB_URL says {name}={said[name]}, with which the service cannot work: leave it out')
    for name in _ENDLESS:
        if said.get(name, 1) in (0, None):
            raise CannotStart(f'MONGODB_URL says {name}=0, which means without end: leave it out, or give a limit')
    return said


async def check_durability(client: Any, said: Options, *, allow_weak: bool) -> list[str]:
    """Look at a database and at how the connection string would have it used.

    Args:
        client: the driver's client.
        said: what the connection string says; see `url_options`.
        allow_weak: whether it may be one that can forget what it acknowledged.

    Returns:
        What an operator should know of it; what can be lost comes first.

    Raises:
        CannotStart: it may forget what it acknowledged, is of a kind that cannot be used, or does not answer.
    """
    try:
        with driver_errors():
            hello = await client.admin.command('hello')
            weak = [*_weak_options(said), *_weak_kind(hello)]
            weak_members, notes = await _members(client, hello)
    except Unavailable as error:
        raise CannotStart('MongoDB does not answer; is MONGODB_URL right, and is it running?') from error
    except ConfigurationError as error:
        # One of the drivers looks for the hosts of a mongodb+srv string only now.
        raise CannotStart(f'MONGODB_URL cannot be used: {error}') from error
    except OperationFailure as error:
        raise CannotStart(f'MongoDB refuses the connection: {error.details and error.details.get("errmsg")}') from error
    weak += weak_members
    if weak and not allow_weak:
        raise CannotStart(_WEAK.format('; '.join(weak)))
    return [*weak, *notes]


def _weak_options(said: Options) -> list[str]:
    weak = []
    if said.get('w', 'majority') != 'majority':
        weak.append(_W.format(said['w']))
    if said.get('journal') is False:
        weak.append(_JOURNAL)
    return weak


def _weak_kind(hello: Options) -> list[str]:
    if hello.get('msg') == 'isdbgrid':
        raise CannotStart(_NO_SHARDS)
    if not hello.get('isWritablePrimary'):
        raise CannotStart(_NO_PRIMARY)
    return [] if 'setName' in hello else [_STANDALONE]


async def _members(client: Any, hello: Options) -> tuple[list[str], list[str]]:
    """What is weak about the members, and what else there is to say of them."""
    weak, notes = [], []
    try:
        engine = (await client.admin.command('serverStatus')).get('storageEngine', {})
        if engine.get('persistent') is False:
            weak.append(_IN_MEMORY.format(engine.get('name')))
        if 'setName' in hello:
            config = (await client.admin.command('replSetGetConfig'))['config']
            if config.get('writeConcernMajorityJournalDefault') is False:
                weak.append(_UNJOURNALED)
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        notes.append(_NOT_SEEN)
    if _needs_every_member(hello):
        notes.append(_ARBITERS)
    return weak, notes


def _needs_every_member(hello: Options) -> bool:
    """Whether a majority of the votes is no longer met by members with data once one of these is away."""
    arbiters, with_data = len(hello.get('arbiters', ())), len(hello.get('hosts', ())) + len(hello.get('passives', ()))
    return arbiters > 0 and with_data - 1 < (with_data + arbiters) // 2 + 1
