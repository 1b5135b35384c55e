"""Messages of tasks: what reports brought."""

from iceprod_tasks.storage.client import Collection, Document


class Messages:
    """Messages as documents.

    Args:
        collection: the collection `messages`.
    """

    def __init__(self, collection: Collection) -> None:
        self._messages = collection

    async def put(self, message: Document) -> None:
        """Store a message; the same one again changes nothing."""
        fields: Document = {name: {'$ifNull': ['$' + name, {'$literal': value}]} for name, value in message.items()}
        change = [{'$set': {**fields, 'when': {'$ifNull': ['$when', '$$NOW']}}}]
        await self._messages.update_one({'message_id': message['message_id']}, change, upsert=True)

    async def last_words(self, task_id: str, epoch: int | None = None) -> Document | None:
        """The epoch, stdout and stderr of the last report on a task that has any of these two.

        Args:
            task_id: of the task.
            epoch: of the attempt; None for the last one that has said something.
        """
        where: Document = {'task_id': task_id, '$or': [{'stdout': {'$gt': ''}}, {'stderr': {'$gt': ''}}]}
        if epoch is not None:
            where['epoch'] = epoch
        fields = {'_id': False, 'epoch': True, 'stdout': True, 'stderr': True}
        found: Document | None = await self._messages.find_one(where, fields, sort=[('when', -1)])
        return found

    async def of(self, task_id: str, limit: int = 0) -> list[Document]:
        """The messages of a task, oldest first."""
        found = self._messages.find({'task_id': task_id}, {'_id': False}, sort=[('when', 1), ('_id', 1)], limit=limit)
        return [message async for message in found]
