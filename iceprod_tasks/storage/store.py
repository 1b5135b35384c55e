"""All collections of the service behind one object, opened once a process."""

from functools import partial

from iceprod_tasks.domain.messages import KEPT_AT_MOST
from iceprod_tasks.storage import indexes
from iceprod_tasks.storage.accounts import Accounts
from iceprod_tasks.storage.avoided import Avoided
from iceprod_tasks.storage.belongings import PARTS, Belongings
from iceprod_tasks.storage.claims import Claims
from iceprod_tasks.storage.client import Collection, close, collection, connect, create_indexes, raw_collection
from iceprod_tasks.storage.closings import Closings
from iceprod_tasks.storage.counts import Counts
from iceprod_tasks.storage.datasets import Datasets
from iceprod_tasks.storage.deletions import Deletions
from iceprod_tasks.storage.demand import Demand
from iceprod_tasks.storage.durability import check_durability, url_options
from iceprod_tasks.storage.files import Files
from iceprod_tasks.storage.given import Given
from iceprod_tasks.storage.health import Health
from iceprod_tasks.storage.idempotency import Keys
from iceprod_tasks.storage.jobs import Jobs
from iceprod_tasks.storage.kinds import Kinds
from iceprod_tasks.storage.leaders import Leaders
from iceprod_tasks.storage.leases import Leases
from iceprod_tasks.storage.logs import Logs
from iceprod_tasks.storage.maintenance import Maintenance
from iceprod_tasks.storage.message_updates import AT_MOST
from iceprod_tasks.storage.messages import Messages
from iceprod_tasks.storage.moves import Moves
from iceprod_tasks.storage.node_results import NodeResults
from iceprod_tasks.storage.openings import Openings
from iceprod_tasks.storage.operated import BELONGINGS, Operated
from iceprod_tasks.storage.operations import Operations
from iceprod_tasks.storage.order import Order
from iceprod_tasks.storage.outputs import Outputs
from iceprod_tasks.storage.people import People
from iceprod_tasks.storage.pilots import Pilots, Register
from iceprod_tasks.storage.queueing import Queueing
from iceprod_tasks.storage.revocations import Revocations
from iceprod_tasks.storage.schema import Schema
from iceprod_tasks.storage.sweeps import Sweeps
from iceprod_tasks.storage.tallies import Tallies, WatchedCollection
from iceprod_tasks.storage.task_stats import TaskStats
from iceprod_tasks.storage.tasks import Tasks
from iceprod_tasks.storage.transactions import Transactions
from iceprod_tasks.storage.views import Views
from iceprod_tasks.storage.weights import Weights

_COLLECTIONS = (
    *PARTS, 'datasets', 'config', 'auths', 'counters', 'deletions', 'users', 'groups', 'pilots', 'grids', 'schema',
    'idempotency_keys', 'accounts', 'revocations', 'marks', 'leaders', 'operations',
    'maintenance',
)  # fmt: skip


_PATIENCE_MS = 30_000


class Store:
    """Where everything is kept.

    Args:
        url: MongoDB's connection string.
        database: name of the database.
        driver: `motor` or `pymongo`.
        messages_at_most: messages that a task keeps.
    """

    def __init__(self, url: str, database: str, driver: str = 'motor', *, messages_at_most: int = KEPT_AT_MOST) -> None:
        self._client = connect(url, driver)
        self._url = url
        self._database = database
        kept = {name: collection(self._client, database, name) for name in _COLLECTIONS}
        # It waits for changes, however long there are none.
        patient = partial(connect, url, driver, timeoutMS=None, socketTimeoutMS=_PATIENCE_MS)
        self.tallies = Tallies(patient, database, kept['marks'])
        known = {AT_MOST: messages_at_most}
        kept['tasks'] = WatchedCollection(raw_collection(self._client, database, 'tasks'), self.tallies, known)
        kinds, given = Kinds(kept['tasks']), Given()
        self.kinds = kinds
        self.admission = kinds.admission
        self.tasks = Tasks(kept['tasks'], kinds)
        self.views = Views(kept['tasks'])
        self.moves = Moves(kept['tasks'], kinds)
        self.openings = Openings(kept['tasks'], kinds, given)
        self.closings = Closings(kept['tasks'], kinds, given)
        self.avoided = Avoided(kept['tasks'])
        self.claims = Claims(kept['tasks'], kinds)
        self._transactions = Transactions(self._client)
        self.leaders = Leaders(kept['leaders'], self._transactions)
        self.operations = Operations(kept['operations'])
        self.operated = Operated(kept['tasks'], {name: kept[name] for name in BELONGINGS}, kinds)
        self.maintenance = Maintenance(kept['maintenance'])
        self.leases = Leases(kept['tasks'], kinds)
        self.queueing = Queueing(kept['tasks'], kinds)
        self.order = Order(kept['tasks'], kinds, self.queueing)
        self.demand = Demand(kept['tasks'], kinds)
        self.counts = Counts(kept['tasks'], kept['jobs'], self.tallies)
        self.sweeps = Sweeps(kept['tasks'], kept['jobs'])
        self.files = Files(kept['files'])
        self.messages = Messages(kept['tasks'], kept['messages'])
        self.datasets = Datasets(kept['datasets'], kept['config'], kept['auths'], kept['counters'])
        self.jobs = Jobs(kept['jobs'])
        self.logs = Logs(kept['logs'])
        self.task_stats = TaskStats(kept['task_stats'])
        self.outputs = Outputs(kept['outputs'])
        self.node_results = NodeResults(kept['node_results'])
        self.pilots = Pilots(kept['pilots'])
        self.grids = Register(kept['grids'], 'grid_id')
        self.keys = Keys(kept['idempotency_keys'])
        self.people = People(kept['users'], kept['groups'])
        self.accounts = Accounts(kept['accounts'])
        self.revocations = Revocations(kept['revocations'])
        self.belongings = Belongings({name: kept[name] for name in PARTS})
        self.deletions = Deletions(kept['datasets'], kept['config'], kept['auths'], kept['deletions'])
        self.weights = Weights(kept['datasets'], kept['jobs'], kept['tasks'], kinds)
        self.schema = Schema(kept['schema'])
        self.health = Health(kept['schema'], self.schema)

    def collection(self, name: str) -> Collection:
        """A collection as it is, for exports and imports."""
        return collection(self._client, self._database, name)

    async def prepare(self, *, allow_weak_durability: bool = False) -> list[str]:
        """Check the database and make the indexes that are missing.

        Returns:
            What an operator should know of the database; see `check_durability`.

        Raises:
            CannotStart: the database is not fit, not there, of a newer release, or has other indexes of the same names.
        """
        said = url_options(self._url)
        warnings = await check_durability(self._client, said, allow_weak=allow_weak_durability)
        await self.schema.check()
        for name in indexes.INDEXES:
            await create_indexes(self._client, self._database, name, indexes.models(name))
        await self.schema.sign()
        return warnings

    async def close(self) -> None:
        """End all connections."""
        await self.tallies.close()
        await self._transactions.close()
        await close(self._client)
