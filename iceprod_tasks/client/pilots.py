"""What pilots say about themselves, and what they are told."""

from collections.abc import Mapping
from typing import Any, cast

from iceprod_tasks.client.asking import Asking, Document, part


class Pilots(Asking):
    """The verbs about pilots."""

    async def register_pilot(self, about: Mapping[str, Any]) -> str:
        """Enter a pilot; its id.

        Args:
            about: queue_host, queue_version, resources, and what else there is to say.
        """
        return str((await self._once('/pilots', dict(about)))['result'])

    async def update_pilot(self, pilot_id: str, changes: Mapping[str, Any]) -> Document:
        """Give a sign of life, and set fields of a pilot's entry; the entry after it.

        Raises:
            NotFound: there is no such pilot; to a pilot's token, `NotPermitted`.
        """
        return await self._patch(f'/pilots/{part(pilot_id)}', dict(changes))

    async def remove_pilot(self, pilot_id: str) -> None:
        """Remove a pilot's entry."""
        await self._delete(f'/pilots/{part(pilot_id)}')

    async def pilots(self) -> dict[str, Document]:
        """The pilots by their ids, oldest first; a pilot's token shows its own."""
        return cast(dict[str, Document], await self._get('/pilots'))

    async def drain_pilot(self, pilot_id: str, *, drain: bool = True, reason: str = '') -> None:
        """Order a pilot to take no more tasks, end what it runs and leave; or take the order back.

        Args:
            pilot_id: of the pilot.
            drain: False takes the order back.
            reason: why, for people.

        Raises:
            NotFound: there is no such pilot.
        """
        await self._put(f'/pilots/{part(pilot_id)}/drain', {'drain': drain, 'reason': reason})
