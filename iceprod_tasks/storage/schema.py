"""Which releases may work on a database: a note in it that newer ones raise, and that older ones obey.

A release that only adds to what documents have leaves `oldest` as it is: both can then serve the same database, and a
rolling restart is possible. One that older ones would misunderstand raises it, and they stop being ready.
"""

from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.domain.tasks import SCHEMA_VERSION
from iceprod_tasks.storage.client import Collection

OLDEST_BESIDE = 1
"""The oldest schema whose services can work beside this one."""

_NOTE = {'_id': 'schema'}


class Schema:
    """The note of a database.

    Args:
        collection: the collection `schema`.
    """

    def __init__(self, collection: Collection) -> None:
        self._notes = collection

    async def too_new(self) -> str:
        """Words for why this release may not work here, empty when it may."""
        note = await self._notes.find_one(_NOTE) or {}
        oldest = note.get('oldest', 0)
        if oldest <= SCHEMA_VERSION:
            return ''
        return f'the database is of a newer release: it needs schema {oldest}, and this service has {SCHEMA_VERSION}'

    async def check(self) -> None:
        """Refuse a database that this release would misunderstand.

        Raises:
            CannotStart: it is of a newer release.
        """
        if words := await self.too_new():
            raise CannotStart(words)

    async def sign(self) -> None:
        """Note that this release works here."""
        raised = {'$max': {'version': SCHEMA_VERSION, 'oldest': OLDEST_BESIDE}}
        await self._notes.update_one(_NOTE, raised, upsert=True)
