"""Tokens for a short time, made for whoever can say who they are."""

import time
from datetime import UTC, datetime

from iceprod_tasks.domain.errors import NotPermitted
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import ACCOUNTS, Route

_DEFAULT_SECONDS = 3600


class TokensHandler(Handler):
    """Bearer tokens that end soon."""

    async def post(self) -> None:
        """Make a token, for the owner of an account, or for the bearer of a token who wants one that can do less.

        The one route that takes the name and the password of an account (`Authorization: Basic`). A token that is made
        by another one does not outlive it, and is revoked with it.

        Body args (json):
            lifetime_seconds (int): (optional) up to a day; an hour unless told
            roles (list): (optional) some of the caller's roles; all unless told

        Returns:
            dict: token, its `roles`, and when it `expires`
        """
        asked = self.body('token', optional=True)
        roles = sorted(asked.get('roles', self.caller.roles))
        if not self.caller.roles.issuperset(roles):
            raise NotPermitted
        proof = await self.identities.proof(self.request.headers.get('Authorization'), basic=True)
        lifetime_seconds = min(asked.get('lifetime_seconds', _DEFAULT_SECONDS), proof.expires - time.time())
        tokens, caller = self.identities.tokens, self.caller
        token = tokens.mint(caller.name, roles, caller.groups, lifetime_seconds, token_id=proof.token_id)
        expires = datetime.fromtimestamp(tokens.proof(token).expires, UTC)
        self.answer({'token': token, 'roles': roles, 'expires': expires}, 201)


ROUTES = (Route(r'/tokens', TokensHandler, {'post': ACCOUNTS}),)
