"""Revocations: tokens that are not believed any more."""

from iceprod_tasks.actions import revoke
from iceprod_tasks.domain.errors import InvalidRequest, NotAuthenticated
from iceprod_tasks.domain.times import read_time
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import ADMINS, Route

_WHAT = ('token', 'token_id', 'user')


class RevocationsHandler(Handler):
    """All revocations."""

    async def get(self) -> None:
        """List them, the oldest first.

        Returns:
            dict: {'results': [revocation]}, each with `token_id` or `user`, when it was made (`revoked`) and `by` whom,
                and with `expires` where it is known when the token ends by itself
        """
        await self.stream(self.as_list('results', revoke.list_revocations(self.service)))

    async def post(self) -> None:
        """Revoke a token, or all tokens that were made for a user until now; there is no way back.

        This process knows it at once, others within two seconds. Revoking once more does no harm.

        Body args (json):
            token (str): the token; or
            token_id (str): its id (`jti`), with `expires` (str) when it ends by itself; or
            user (str): whose tokens

        Returns:
            dict: the revocation, as in the list; 400 when the token is not valid anyway
        """
        asked, by = self.body('revocation'), self.caller.name
        if sum(name in asked for name in _WHAT) != 1:
            raise InvalidRequest(f'give one of {", ".join(_WHAT)}')
        if 'user' in asked:
            revocation = await revoke.revoke_user(self.service, by, asked['user'])
        elif 'token_id' in asked:
            expires = read_time(asked['expires'], 'expires') if 'expires' in asked else None
            revocation = await revoke.revoke_token(self.service, by, asked['token_id'], expires)
        else:
            try:
                proof = await self.identities.token(asked['token'])
            except NotAuthenticated:
                raise InvalidRequest('the token is not valid, so nobody is believed who shows it') from None
            revocation = await revoke.revoke_proof(self.service, by, proof)
        self.answer(revocation)


ROUTES = (Route(r'/revocations', RevocationsHandler, {'get': ADMINS, 'post': ADMINS}),)
