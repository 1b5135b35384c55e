"""What is written to a database, read from the oplog: nothing is missed, and it costs little to ask."""

from collections.abc import Iterator, Mapping
from typing import Any

import bson
from pymongo.database import Database


class Writes:
    """The writes to one database.

    Args:
        database: of a replica set, be it of one member.
    """

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._prefix = f'{database.name}.'
        self._oplog = database.client['local']['oplog.rs']

    def newest(self) -> bson.Timestamp:
        """The time of the last write."""
        return next(self._oplog.find({}, {'ts': 1}).sort('$natural', -1).limit(1))['ts']

    def since(self, time: bson.Timestamp) -> set[tuple[str, Any]]:
        """The collection and id of each document that was written after a time."""
        found = self._oplog.find({'ts': {'$gt': time}}).sort('$natural', -1)
        return {document for entry in found for document in self._of(entry)}

    def _of(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        if entry.get('op') == 'c':
            for inner in entry['o'].get('applyOps', ()):
                yield from self._of(inner)
        elif entry.get('op') in ('i', 'u', 'd') and entry['ns'].startswith(self._prefix):
            content = entry['o2'] if entry['op'] == 'u' else entry['o']
            yield entry['ns'].removeprefix(self._prefix), content.get('_id')
