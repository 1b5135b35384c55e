"""Whether operations are accepted: a word of the operators, for all services on the database."""

from dataclasses import dataclass
from datetime import datetime

from iceprod_tasks.storage.client import Collection, Session

_WORD = {'_id': 'operations'}


@dataclass(frozen=True, slots=True)
class Word:
    """What operators have said last.

    Args:
        is_on: whether the maintenance goes on.
        seconds_ago: when that was said, by the primary's clock; None when nobody ever said anything.
    """

    is_on: bool = False
    seconds_ago: float | None = None


class Maintenance:
    """The operators' word.

    Args:
        collection: the collection `maintenance`.
    """

    def __init__(self, collection: Collection) -> None:
        self._words = collection

    async def get(self) -> Word:
        """What was said last."""
        ago = {'$dateDiff': {'startDate': '$when', 'endDate': '$$NOW', 'unit': 'millisecond'}}
        found = await self._words.find_one(_WORD, {'on': True, 'ago_ms': ago})
        return Word(found['on'], found['ago_ms'] / 1000) if found else Word()

    async def put(self, who: str, now: datetime, session: Session, *, is_on: bool) -> None:
        """Say something.

        Args:
            who: says it.
            now: the primary's time.
            session: of the transaction.
            is_on: whether maintenance goes on from now on.
        """
        said = {'on': is_on, 'who': who, 'when': now}
        await self._words.update_one(_WORD, {'$set': said}, upsert=True, session=session)
