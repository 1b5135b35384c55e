"""The base of the dialect's handlers: who may ask, that only the leader answers, and the envelope around all."""

from typing import Any

from iceprod_tasks.actions.lead import leads
from iceprod_tasks.dialects.drove import envelope
from iceprod_tasks.dialects.drove.envelope import Violations
from iceprod_tasks.dialects.drove.names import NAME
from iceprod_tasks.domain.errors import InvalidRequest, NotLeader
from iceprod_tasks.rest import bodies
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import Access

APP = f'(?P<app>{NAME})'
TASK = f'(?P<task>{NAME})'

READ = Access(('admin', 'system', 'user'), basic=True)
WRITE = Access(('admin', 'system'), basic=True)

_UNAUTHENTICATED = 'Credentials are required to access this resource.'
_SERVER_ERROR = 500
_UNEXPECTED = 'Unexpected Server error'


class DroveHandler(Handler):
    """What all handlers of the dialect share."""

    async def check_service(self) -> None:
        """Leave everything to the leader.

        Raises:
            NotLeader: another service leads, or none.
        """
        if not await leads(self.service):
            raise NotLeader(self.service.leadership.leader)

    def succeed(self, data: Any = None) -> None:
        """Answer with what was asked for."""
        self.answer(envelope.success(data))

    def fail(self, message: str, data: Any = None) -> None:
        """Answer that nothing is there, which is no error of the request."""
        self.answer(envelope.failure(message, data))

    def given(self) -> dict[str, Any]:
        """The request's body, an object.

        Raises:
            Violations: it is none.
        """
        try:
            body = bodies.parse(self.request.body)
            bodies.check_keys(body)
        except InvalidRequest as error:
            raise Violations([str(error)], envelope.UNREADABLE) from error
        self.understood = body
        return body

    @property
    def sees_secrets(self) -> bool:
        """Whether the caller may read the values of environments."""
        return self.caller.operates

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """An error; whoever has to say who they are is told so in plain text, which the command line prints."""
        if status_code == 401:
            self.set_header('WWW-Authenticate', self.challenge())
            self.set_header('Content-Type', 'text/plain; charset=utf-8')
            self.finish(_UNAUTHENTICATED)
            return
        super().write_error(status_code, **kwargs)

    def refused(self, body: dict[str, Any]) -> dict[str, Any]:
        """An error in the envelope of failures."""
        text = str(body['error'])
        if 'leader' in body:
            return envelope.not_leader(body['leader'] or '')
        if 'validationErrors' in body:
            return envelope.violations(text, body['validationErrors'])
        if body['code'] == 400:
            return envelope.violations(envelope.INVALID, [text])
        if body['code'] == _SERVER_ERROR:
            return envelope.failure(_UNEXPECTED, {'failure': text})
        return envelope.failure(text)
