"""What a file entry asks for, checked before anything is moved."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.files import check_local, transfer_rule
from iceprod_tasks.pilot.files.checksums import Checksum
from iceprod_tasks.pilot.files.compression import kind_of, without_ending
from iceprod_tasks.pilot.files.errors import WrongEntry
from iceprod_tasks.pilot.files.inside import parts_of
from iceprod_tasks.pilot.files.rules import FileRules
from iceprod_tasks.pilot.machine import BYTES_IN_GB

_SCHEME = re.compile(r'([A-Za-z][A-Za-z0-9+.-]*):')
# What a name may have in a URL as it is; all else would mean something there.
_PLAIN = "/-._~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file to be moved, in one direction or both.

    Args:
        remote: the whole URL.
        scheme: of the URL, in small letters.
        parts: where the file is in the task's folder.
        comes_in: it is fetched before the command.
        goes_out: it is sent after it.
        maybe: that it is not there is no error.
        compression: gzip, bzip, lzma, or '' for none.
        checksum: of the remote file, where it is known.
        limit_bytes: the largest size, of the remote file and of the local one.
    """

    remote: str
    scheme: str
    parts: tuple[str, ...]
    comes_in: bool
    goes_out: bool
    maybe: bool
    compression: str
    checksum: Checksum | None
    limit_bytes: int

    @property
    def name(self) -> str:
        """The remote file's name for people: nothing that could be a password or a signature."""
        return shown(self.remote)


def entry_of(given: Mapping[str, Any], rules: FileRules) -> Entry | None:
    """Read an entry of the service.

    Returns:
        The entry, or None of one that is not to be moved.

    Raises:
        WrongEntry: it is wrong, or the site does not allow it.
    """
    transfer = transfer_rule(given.get('transfer', True))
    if transfer is False:
        return None
    movement = given.get('movement')
    if movement not in {'input', 'output', 'both'}:
        raise WrongEntry(f'unknown movement {movement!r}')
    try:
        remote = _whole(given.get('remote'), rules)
        scheme = remote.partition(':')[0].lower()
        compression = kind_of(given.get('compression', False))
        return Entry(
            remote=remote,
            scheme=_allowed(scheme, rules),
            parts=_parts(given.get('local'), remote, scheme, compression),
            comes_in=movement != 'output',
            goes_out=movement != 'input',
            maybe=transfer == 'maybe',
            compression=compression,
            checksum=Checksum(given['checksum']) if given.get('checksum') else None,
            limit_bytes=_limit_bytes(given.get('max_gb'), rules),
        )
    except (ValueError, InvalidRequest) as error:
        raise WrongEntry(str(error)) from error


def shown(remote: object) -> str:
    """A remote name for people, without users, passwords and what comes behind a `?`."""
    text = str(remote)
    scheme, colon, rest = text.partition('://')
    if not colon or scheme.lower() not in {'http', 'https'}:
        return text[:200]
    rest = re.split('[?#]', rest, maxsplit=1)[0]
    host, slash, path = rest.partition('/')
    return f'{scheme}://{host.rpartition("@")[2]}{slash}{path}'[:200]


def _whole(remote: object, rules: FileRules) -> str:
    if not isinstance(remote, str) or not remote:
        raise WrongEntry('the entry has no remote name')
    if _SCHEME.match(remote):
        return remote
    if not rules.base:
        raise WrongEntry('it is no URL, and this pilot has no --file-base')
    name = '/'.join(parts_of(remote))
    return f'{rules.base.rstrip("/")}/{name if rules.base.startswith("s3:") else quote(name, safe=_PLAIN)}'


def _allowed(scheme: str, rules: FileRules) -> str:
    known = rules.schemes | ({'file'} if rules.file_roots else set())
    if scheme in known:
        return scheme
    if scheme == 'file':
        raise WrongEntry('this pilot allows no file: names (--file-root)')
    raise WrongEntry(f'no way to move {scheme[:30]}: files; there is {", ".join(sorted(known))}')


def _parts(local: object, remote: str, scheme: str, compression: str) -> tuple[str, ...]:
    if local and isinstance(local, str):
        return parts_of(local)
    if local:
        raise WrongEntry('local is no text')
    path = urlsplit(remote).path if scheme in {'http', 'https'} else remote.partition(':')[2]
    name = path.rpartition('/')[2]
    name = without_ending(name if scheme == 's3' else unquote(name), compression)
    if not name or '/' in name:
        raise WrongEntry('the remote name ends with no name for a file; give it one by `local`')
    check_local(name, 'the last part of the remote name')
    return parts_of(name)


def _limit_bytes(max_gb: object, rules: FileRules) -> int:
    if max_gb is None:
        return rules.limit_bytes
    if isinstance(max_gb, bool) or not isinstance(max_gb, int | float) or not max_gb > 0:
        raise WrongEntry('max_gb is no positive number')
    return int(min(max_gb, rules.limit_gb) * BYTES_IN_GB)
