"""Users and groups: how much each one matters."""

from iceprod_tasks.storage.client import Collection

_GROUP_PRIORITIES = {'admin': 1.0, 'filtering': 0.9, 'users': 0.7, 'simprod': 0.5}


class People:
    """Users and groups as documents.

    Args:
        users: the collection `users`.
        groups: the collection `groups`.
    """

    def __init__(self, users: Collection, groups: Collection) -> None:
        self._users = users
        self._groups = groups

    async def user_priorities(self) -> dict[str, float]:
        """The priority of every user that has one, 0 to 1."""
        fields = {'_id': False, 'username': True, 'priority': True}
        return {each['username']: each['priority'] async for each in self._users.find({}, fields)}

    async def group_priorities(self) -> dict[str, float]:
        """The priority of every group that has one, 0 to 1."""
        fields = {'_id': False, 'name': True, 'priority': True}
        stored = {each['name']: each['priority'] async for each in self._groups.find({}, fields)}
        return {**_GROUP_PRIORITIES, **stored}
