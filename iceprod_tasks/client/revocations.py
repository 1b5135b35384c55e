"""Tokens that are not to be believed any more."""

from typing import cast

from iceprod_tasks.client.asking import Asking, Document


class Revocations(Asking):
    """The verbs of revocations; they need the role admin, and there is no way back."""

    async def revoke_token(self, token: str) -> Document:
        """Have one token believed no more; the revocation has its id."""
        return cast(Document, await self._post('/revocations', {'token': token}, repeatable=True))

    async def revoke_user(self, name: str) -> Document:
        """Have no token believed any more that was made for a name until now."""
        return cast(Document, await self._post('/revocations', {'user': name}, repeatable=True))

    async def revocations(self) -> list[Document]:
        """All revocations, the oldest first."""
        return cast(list[Document], (await self._get('/revocations'))['results'])
