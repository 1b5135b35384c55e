"""What can be set from outside; the only reader of the service's environment.

Flags of the command line override the environment, the environment overrides the defaults written here.
"""

import math
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from iceprod_tasks.addresses import LOCAL, is_address, keeps_secrets, read_clusters
from iceprod_tasks.domain.callers import ROLES, is_name
from iceprod_tasks.domain.claim_rules import read_rules
from iceprod_tasks.domain.errors import CannotStart, InvalidRequest
from iceprod_tasks.domain.messages import KEPT_AT_MOST
from iceprod_tasks.domain.operations import STOP, OperationRules, OperationSpec
from iceprod_tasks.domain.requirements import DEFAULT_CEILING
from iceprod_tasks.domain.retention import LONGEST_DAYS

MINIMUM_SECRET_BYTES = 32
LONGEST_IDEMPOTENCY_HOURS = 8760.0
LEADER_LEASE_SECONDS = (1.0, 300.0)
"""The shortest and the longest lease of a leader."""
DRIVERS = ('motor', 'pymongo')
_MIB = 1024 * 1024
_ORIGIN = re.compile(r'https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?')
"""As browsers write it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one service process.

    Args:
        mongodb_url: connection string; empty means the embedded mongod.
        mongodb_database: name of the one database.
        mongodb_driver: by which it is used, `motor` or `pymongo`.
        host: address to listen on.
        port: TCP port to listen on; 0 takes a free one.
        token_secret: HS256 secret, at least 32 bytes; empty means the one kept in `data_dir`.
        log_level: a name of the logging module.
        data_dir: where the embedded mongod's data and the generated secret live.
        scheduler: whether this process runs the chores.
        allow_weak_durability: serve although the database is no replica set or writes are not majority writes.
        lease_seconds: the lease of a claim that does not ask for one.
        lease_bounds_seconds: the shortest and longest lease a pilot may ask for.
        heartbeat_seconds: how soon a pilot is asked to come again, unless its lease is short.
        requirements_ceiling: no requirement grows past these (cpu: cores; memory, disk: GB; time: hours).
        queue_depth: queued tasks kept per requirements signature by the scheduler.
        max_failures: a task that failed more often is given up.
        max_evictions: a task that was taken from or given back by so many pilots is lost at the next one.
        max_messages: messages that a task keeps.
        retry_delay_seconds: the delay before the second try of a reset task; it doubles with each failure.
        stop_grace_seconds: how long a pilot has to stop a task that is suspended or cancelled.
        unleased_grace_seconds: how long a task without a lease may take beside the time that it needs.
        body_limit_mib: the longest request body.
        bulk_body_limit_mib: the longest one on routes for bulk requests.
        max_connections: how many connections a process has at once.
        rate_limit: requests a second that one caller may send to a process; 0 for no limit.
        cors_origins: the origins whose pages may use the service in a browser.
        retention_days: how long datasets are kept after their end that say nothing of it; None for ever.
        idempotency_hours: how long answers to requests with an idempotency key are kept.
        drain_seconds: how long a service that is stopping waits for requests and chores that are under way.
        drain_notice_seconds: how long it goes on listening before that, telling that it is not ready.
        processes: how many processes serve the port.
        archive_dir: where archives of deleted datasets are written; None for `archive` in `data_dir`.
        openid_url: the OpenID provider whose tokens are good; empty for none.
        openid_audience: whom its tokens must be made for.
        openid_name_claim: the claim with a user's name; empty for `preferred_username`, else `sub`.
        openid_roles: who has which role, as `domain.claim_rules` says.
        openid_groups: who is in which group, likewise.
        open_describe: whether anybody may see what tasks do, without a token, by the dialect `/vappio/task_ws.py`.
        describe_limit: the longest listing of tasks there.
        cluster_name: what this service is called there beside `local`.
        clusters: the other services that such requests are passed on to, `NAME=URL` each.
        share_tokens: whether they get the token of whoever asks.
        advertise: the address by which other services name this one; empty for where it listens.
        leader_lease_seconds: how long a service that is not heard of any more goes on to lead.
        lost_after_seconds: how long a pilot of a task with a name outside is not heard of before the task is lost.
        operation_timeout_seconds: the time of operations that the service starts itself.
        operation_parallelism: their parallelism.
        operation_failure_strategy: what follows their failure.
        operation_history_days: how long operations are remembered after their end.
        task_keep_hours: how long tasks with names outside are remembered after their end that say nothing of it.
        task_clean_seconds: between two looks for such tasks to forget.
    """

    mongodb_url: str = field(default='', repr=False)
    mongodb_database: str = 'iceprod_tasks'
    mongodb_driver: str = 'motor'
    host: str = '127.0.0.1'
    port: int = 8080
    token_secret: str = field(default='', repr=False)
    log_level: str = 'INFO'
    data_dir: Path = field(default_factory=lambda: default_data_dir(os.environ))
    scheduler: bool = True
    allow_weak_durability: bool = False
    lease_seconds: float = 300.0
    lease_bounds_seconds: tuple[float, float] = (1.0, 86400.0)
    heartbeat_seconds: float = 10.0
    requirements_ceiling: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_CEILING))
    queue_depth: int = 1000
    max_failures: int = 10
    max_evictions: int = 10
    max_messages: int = KEPT_AT_MOST
    retry_delay_seconds: float = 10.0
    stop_grace_seconds: float = 30.0
    unleased_grace_seconds: float = 3600.0
    body_limit_mib: float = 1.0
    bulk_body_limit_mib: float = 8.0
    max_connections: int = 4096
    rate_limit: float = 1000.0
    cors_origins: tuple[str, ...] = ()
    retention_days: float | None = None
    idempotency_hours: float = 24.0
    archive_dir: Path | None = None
    drain_seconds: float = 30.0
    drain_notice_seconds: float = 0.0
    processes: int = 1
    openid_url: str = ''
    openid_audience: str = ''
    openid_name_claim: str = ''
    openid_roles: tuple[str, ...] = ()
    openid_groups: tuple[str, ...] = ()
    open_describe: bool = False
    describe_limit: int = 10_000
    cluster_name: str = LOCAL
    clusters: tuple[str, ...] = ()
    share_tokens: bool = False
    advertise: str = ''
    leader_lease_seconds: float = 10.0
    lost_after_seconds: float = 60.0
    operation_timeout_seconds: float = 300.0
    operation_parallelism: int = 1
    operation_failure_strategy: str = STOP
    operation_history_days: float = 31.0
    task_keep_hours: float = 48.0
    task_clean_seconds: float = 3600.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings from environment variables.

        Args:
            environment: the variables; the process's own when absent.

        Raises:
            CannotStart: a variable has a value that cannot be used.
        """
        env = os.environ if environment is None else environment
        settings = cls(data_dir=default_data_dir(env))
        return settings.override(
            mongodb_url=env.get('MONGODB_URL') or None,
            mongodb_database=env.get('MONGODB_DATABASE') or None,
            mongodb_driver=env.get('MONGODB_DRIVER') or None,
            host=env.get('HOST') or None,
            port=_port(env['PORT']) if env.get('PORT') else None,
            token_secret=env.get('TOKEN_SECRET') or None,
            log_level=env.get('LOG_LEVEL') or None,
            openid_url=env.get('OPENID_URL') or None,
            openid_audience=env.get('OPENID_AUDIENCE') or None,
            openid_name_claim=env.get('OPENID_NAME_CLAIM') or None,
            openid_roles=_listed(env.get('OPENID_ROLES', '')),
            openid_groups=_listed(env.get('OPENID_GROUPS', '')),
        )

    def override(self, **given: Any) -> Self:
        """The same settings with those given (not None) in place.

        Raises:
            CannotStart: a value cannot be used.
        """
        changed = replace(self, **{name: value for name, value in given.items() if value is not None})
        changed._check()
        return changed

    def _check(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            # What is counted from "for ever" overflows somewhere; "not a number" passes every comparison.
            if isinstance(value, float) and not math.isfinite(value):
                raise CannotStart(f'{each.name} is not a number that can be used: {value}')
        if self.token_secret and len(self.token_secret.encode()) < MINIMUM_SECRET_BYTES:
            raise CannotStart(f'TOKEN_SECRET is shorter than {MINIMUM_SECRET_BYTES} bytes')
        self._check_words()
        shortest, longest = self.lease_bounds_seconds
        if not shortest <= self.lease_seconds <= longest:
            raise CannotStart(f'the lease must be between {shortest:g} and {longest:g} seconds')
        if self.retention_days is not None and not 0 <= self.retention_days <= LONGEST_DAYS:
            raise CannotStart(f'the retention must be between 0 and {LONGEST_DAYS} days')
        if not 0 < self.idempotency_hours <= LONGEST_IDEMPOTENCY_HOURS:
            raise CannotStart(f'idempotency keys must be kept for up to {LONGEST_IDEMPOTENCY_HOURS:g} hours')
        if wrong := [each for each in self.cors_origins if not _ORIGIN.fullmatch(each)]:
            raise CannotStart(f'an origin is like https://monitor.example.org:8443, with no path: not {wrong[0]}')
        self._check_openid()
        self._check_clusters()
        self._check_leading()
        self._check_operations()

    def _check_words(self) -> None:
        if self.log_level.upper() not in {'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'}:
            raise CannotStart(f'LOG_LEVEL is not a level: {self.log_level}')
        if self.mongodb_driver not in DRIVERS:
            raise CannotStart(f'MONGODB_DRIVER is {" or ".join(DRIVERS)}, not {self.mongodb_driver}')

    def _check_openid(self) -> None:
        try:
            read_rules(self.openid_roles, ROLES)
            read_rules(self.openid_groups)
        except ValueError as error:
            raise CannotStart(f'a rule of OPENID_ROLES or OPENID_GROUPS cannot be used: {error}') from error
        if not self.openid_url:
            return
        if not keeps_secrets(self.openid_url):
            raise CannotStart('OPENID_URL is not an https address; http is for this machine only')
        if not self.openid_audience or not self.openid_roles:
            raise CannotStart(
                'with OPENID_URL, OPENID_AUDIENCE and OPENID_ROLES must say whom tokens are for and who may'
            )

    def _check_clusters(self) -> None:
        if not is_name(self.cluster_name):
            raise CannotStart(f'the name of this cluster cannot be used: {self.cluster_name!r}')
        try:
            clusters = read_clusters(self.clusters, self.cluster_name)
        except ValueError as error:
            raise CannotStart(f'a cluster cannot be used: {error}') from error
        if self.share_tokens and (open_ones := [name for name, url in clusters.items() if not keeps_secrets(url)]):
            raise CannotStart(f'tokens are shared over https only, or on this machine; not with {open_ones[0]}')

    def _check_leading(self) -> None:
        if self.advertise and not is_address(self.advertise):
            raise CannotStart(f'an address to advertise is like https://tasks.example.org, not {self.advertise!r}')
        shortest, longest = LEADER_LEASE_SECONDS
        if not shortest <= self.leader_lease_seconds <= longest:
            raise CannotStart(f"the leader's lease must be between {shortest:g} and {longest:g} seconds")

    def _check_operations(self) -> None:
        try:
            self.operation_rules.own.check()
        except InvalidRequest as error:
            raise CannotStart(f"the service's own operations: {error}") from error

    @property
    def operation_rules(self) -> OperationRules:
        """What is said of operations, and of tasks with names outside."""
        own = OperationSpec(self.operation_timeout_seconds, self.operation_parallelism, self.operation_failure_strategy)
        return OperationRules(
            own=own,
            lost_after_seconds=self.lost_after_seconds,
            keep_hours=self.task_keep_hours,
            clean_seconds=self.task_clean_seconds,
            history_days=self.operation_history_days,
        )

    @property
    def body_limits_bytes(self) -> tuple[int, int]:
        """The longest body, and the longest one of bulk requests."""
        ordinary, bulk = int(self.body_limit_mib * _MIB), int(self.bulk_body_limit_mib * _MIB)
        return ordinary, max(ordinary, bulk)

    @property
    def archives(self) -> Path:
        """The folder of archives."""
        return self.archive_dir or self.data_dir / 'archive'

    def secret(self) -> str:
        """The secret that signs tokens: the one set, else the one kept beside the data (made once, mode 0600).

        Raises:
            CannotStart: the file cannot be read or written.
        """
        if self.token_secret:
            return self.token_secret
        path = self.data_dir / 'token_secret'
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            _create_once(path, secrets.token_hex(MINIMUM_SECRET_BYTES))
            kept = path.read_text(encoding='ascii').strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CannotStart(f'cannot keep the token secret in {path}: {error}') from error
        if len(kept) < MINIMUM_SECRET_BYTES:
            raise CannotStart(f'the token secret in {path} is too short; remove the file to have a new one made')
        return kept


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """The XDG data folder of the service."""
    root = environment.get('XDG_DATA_HOME')
    return (Path(root) if root else Path.home() / '.local' / 'share') / 'iceprod-tasks'


def _listed(text: str) -> tuple[str, ...] | None:
    return tuple(each for each in text.split(';') if each.strip()) or None


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise CannotStart(f'PORT is not a port number: {text}')
    return int(text)


def _create_once(path: Path, text: str) -> None:
    """Write a file with mode 0600 unless it is there; of two processes at once, one wins and both read its text."""
    if path.exists():
        return
    scratch = path.with_name(f'.{path.name}.{os.getpid()}')
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, 'w', encoding='ascii') as file:
        file.write(text)
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
