"""Which datasets are listed for whom, however many there are and whoever may read them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from iceprod_tasks.storage.client import Collection, Document, Filter

_IDS = {'_id': False, 'dataset_id': True}
_OLDEST_FIRST = [('_id', 1)]
_PORTION = 1000
"""Datasets whose permissions are looked up at once."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which datasets; what is empty does not matter.

    Args:
        statuses: in one of these; unknown ones match nothing.
        groups: of one of these groups.
        users: submitted by one of these users.
    """

    statuses: Sequence[str] = ()
    groups: Sequence[str] = ()
    users: Sequence[str] = ()

    @property
    def where(self) -> Document:
        """The filter of these datasets."""
        wanted = {'status': self.statuses, 'group': self.groups, 'username': self.users}
        return {field: {'$in': list(values)} for field, values in wanted.items() if values}


async def readable(
    datasets: Collection, auths: Collection, where: Filter, granted: Filter, keys: Sequence[str]
) -> AsyncIterator[Document]:
    """Those of some datasets that somebody may read, oldest first, a portion in memory at a time.

    Who may read few datasets does not pay for all others; who may read most of them does not need a list of them.

    Args:
        datasets: the collection `datasets`.
        auths: the collection `auths`.
        where: which datasets.
        granted: the filter of the records in `auths` that let this reader read.
        keys: fields to read, dataset_id among them; all when empty.
    """
    fields = {**dict.fromkeys(keys, True), '_id': False}
    more = _PORTION + 1
    few = [record['dataset_id'] async for record in auths.find(granted, _IDS, limit=more, batch_size=more)]
    if len(few) <= _PORTION:
        async for dataset in datasets.find({**where, 'dataset_id': {'$in': few}}, fields, sort=_OLDEST_FIRST):
            yield dataset
        return
    async for portion in _portions(datasets.find(where, fields, sort=_OLDEST_FIRST)):
        ids = [dataset['dataset_id'] for dataset in portion]
        # Left to itself, MongoDB may read every record that the group `users` is in.
        found = auths.find({'dataset_id': {'$in': ids}, **granted}, _IDS, hint='dataset_id')
        allowed = {record['dataset_id'] async for record in found}
        for dataset in portion:
            if dataset['dataset_id'] in allowed:
                yield dataset


async def _portions(datasets: AsyncIterator[Document]) -> AsyncIterator[list[Document]]:
    portion: list[Document] = []
    async for dataset in datasets:
        portion.append(dataset)
        if len(portion) == _PORTION:
            yield portion
            portion = []
    yield portion
