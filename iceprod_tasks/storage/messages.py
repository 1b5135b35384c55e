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

    async def of(self, task_id: str, limit: int = 0) -> list[Document]:
        """The messages of a task, oldest first."""
        found = self._messages.find({'task_id': task_id}, {'_id': False}, sort=[('when', 1), ('_id', 1)], limit=limit)
        return [message async for message in found]
