"""Users, groups, and what they may do. Source: the IceProd contract, section 4."""

from iceprod_tasks.actions import people
from iceprod_tasks.domain.callers import ROLES
from iceprod_tasks.domain.people import DEFAULT_USER_PRIORITY
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import ADMINS, NAME, OPERATORS, Route


class MultiRoleHandler(Handler):
    """All roles."""

    async def get(self) -> None:
        """List them.

        Returns:
            dict: {'results': [name]}
        """
        self.answer({'results': ROLES})


class MultiGroupHandler(Handler):
    """All groups that have a priority."""

    async def get(self) -> None:
        """List them.

        Returns:
            dict: {'results': [group]}, each with name and priority
        """
        self.answer({'results': await people.list_groups(self.service)})


class GroupPriorityHandler(Handler):
    """The priority of a group."""

    async def put(self, name: str) -> None:
        """Set how much the group's datasets count beside those of others.

        Args:
            name (str): the group, known or not

        Body args (json):
            priority (float): from 0 to 1

        Returns:
            dict: empty
        """
        await people.prefer_group(self.service, name, float(self.body('share')['priority']))
        self.answer({})


class MultiUserHandler(Handler):
    """All users that have submitted a dataset, or were added."""

    async def get(self) -> None:
        """List them by name.

        Returns:
            dict: {'results': [user]}, each with username and priority
        """
        await self.stream(self.as_list('results', people.list_users(self.service)))


class UserHandler(Handler):
    """A single user."""

    async def get(self, name: str) -> None:
        """Read a user.

        Args:
            name (str): the username

        Returns:
            dict: username and priority
        """
        self.answer(await people.read_user(self.service, name))

    async def put(self, name: str) -> None:
        """Add a user; nobody needs to, as a user's first dataset does it.

        Args:
            name (str): the username

        Body args (json):
            priority (float): (optional) from 0 to 1, 0.5 unless told

        Returns:
            dict: empty; 409 when the name is taken
        """
        priority = self.body('user', optional=True).get('priority', DEFAULT_USER_PRIORITY)
        await people.add_user(self.service, name, float(priority))
        self.answer({})

    async def delete(self, name: str) -> None:
        """Forget a user; the user's datasets stay.

        Args:
            name (str): the username

        Returns:
            dict: empty, also when nobody has this name
        """
        await people.remove_user(self.service, name)
        self.answer({})


class UserPriorityHandler(Handler):
    """The priority of a user."""

    async def put(self, name: str) -> None:
        """Set how much the user's datasets count beside those of others.

        Args:
            name (str): the username

        Body args (json):
            priority (float): from 0 to 1

        Returns:
            dict: empty
        """
        await people.prefer_user(self.service, name, float(self.body('share')['priority']))
        self.answer({})


class AuthHandler(Handler):
    """What somebody may do."""

    async def post(self) -> None:
        """Ask whether a user may read or write a dataset, for programs that have checked who the user is.

        Body args (json):
            name (str): what kind of thing: `dataset_id`
            value (str): its id
            role (str): `read` or `write`
            username (str): of the user
            groups (list): of the user

        Returns:
            dict: empty when they may; otherwise 403 with the reason
        """
        asked = self.body('auth')
        attribute = asked['name'], asked['value']
        await people.vouch(self.service, attribute, asked['role'], asked['username'], asked['groups'])
        self.answer({})


ROUTES = (
    Route(r'/roles', MultiRoleHandler, {'get': ADMINS}),
    Route(r'/groups', MultiGroupHandler, {'get': OPERATORS}),
    Route(rf'/groups/{NAME}/priority', GroupPriorityHandler, {'put': ADMINS}),
    Route(r'/users', MultiUserHandler, {'get': OPERATORS}),
    Route(rf'/users/{NAME}', UserHandler, {'get': OPERATORS, 'put': ADMINS, 'delete': ADMINS}),
    Route(rf'/users/{NAME}/priority', UserPriorityHandler, {'put': ADMINS}),
    Route(r'/auths', AuthHandler, {'post': OPERATORS}),
)
