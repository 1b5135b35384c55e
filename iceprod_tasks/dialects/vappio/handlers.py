"""The web service that `vp-describe-task` asks. Source: seed 000; failures have HTTP 200, as there."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.actions.observe import EVERYBODY, observe_all, observe_one
from iceprod_tasks.addresses import read_clusters
from iceprod_tasks.dialects.vappio import forms
from iceprod_tasks.dialects.vappio.clusters import Clusters
from iceprod_tasks.dialects.vappio.translate import Failure, failed, succeeded, task_in_words
from iceprod_tasks.domain.errors import InvalidRequest, NotFound, TooLarge
from iceprod_tasks.domain.tasks import Task
from iceprod_tasks.rest import bodies
from iceprod_tasks.rest.content_type import FORM
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import PEOPLE, Access, Route, in_lane
from iceprod_tasks.settings import Settings

_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class View:
    """What operators say of it.

    Args:
        limit: the longest listing.
        is_open: whether anybody may look, without a token.
        clusters: where requests go.
    """

    limit: int = 10_000
    is_open: bool = False
    clusters: Clusters = field(default_factory=Clusters)


class TaskWsHandler(Handler):
    """What tasks do, in the words of Vappio."""

    body_type = FORM
    only_reads = True

    def initialize(self, **handler_cfg: Any) -> None:
        """Take what the route table passes on.

        Args:
            **handler_cfg: as for all handlers, and `view`.
        """
        super().initialize(**handler_cfg)
        self.view: View = handler_cfg['view']

    async def get(self) -> None:
        """Describe tasks; as POST, with `request` in the query.

        Returns:
            dict: as POST does
        """
        await self._describe(self.get_query_arguments(forms.FIELD))

    async def post(self) -> None:
        """Describe tasks, one by its name or its id, or all that the caller may read, oldest first.

        Body: a form (`application/x-www-form-urlencoded`) with the field `request`, a JSON object: `cluster` is needed,
        `task_name` and `dataset_id` may be there, other keys are ignored.

        Returns:
            dict: {'success': true, 'data': [task]}, or {'success': false, 'data': {'msg', 'name', 'stacktrace'}},
                both with status 200
        """
        await self._describe(forms.field_of(self.request.body))

    async def _describe(self, texts: Sequence[str]) -> None:
        try:
            given = forms.object_of(texts)
            tasks = await self._tasks(given, self.asked('vappio_request', given))
        except Failure as failure:
            self.answer(failed(failure))
        else:
            await self.stream(succeeded(tasks))

    def asked(self, schema: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """What of a request is understood.

        Args:
            schema: that it must fit.
            given: the object that came.

        Raises:
            Failure: it does not fit.
        """
        asked = forms.known_keys(given, list(bodies.load_schema(schema)['properties']))
        try:
            bodies.check(asked, schema)
        except InvalidRequest as error:
            raise Failure(str(error)) from error
        return asked

    async def _tasks(self, given: Mapping[str, Any], asked: Mapping[str, Any]) -> AsyncIterator[bytes]:
        clusters = self.view.clusters
        if clusters.is_here(asked['cluster']):
            return _rendered(await self._own(asked))
        clusters.check(asked['cluster'])
        await self.change_lane('forward')
        return _each(await clusters.ask(asked['cluster'], given, self.request.headers.get('Authorization')))

    async def _own(self, asked: Mapping[str, Any]) -> AsyncIterator[Task]:
        caller = EVERYBODY if self.view.is_open else self.caller
        name, dataset_id = asked.get('task_name'), asked.get('dataset_id')
        try:
            if name is not None:
                return _each([await observe_one(self.service, caller, name, dataset_id)])
            await self.change_lane('list')
            return await observe_all(self.service, caller, self.view.limit, dataset_id)
        except NotFound as error:
            what = dataset_id if name is None else name
            raise Failure(f'{error}: {str(what)[:_SHOWN_CHARACTERS]}', 'TaskNotFoundError') from error
        except TooLarge as error:
            raise Failure(f'{error}: ask for one by task_name, or for those of one dataset by dataset_id') from error

    def refused(self, body: dict[str, Any]) -> dict[str, Any]:
        """An error in the envelope of failures."""
        return failed(Failure(str(body['error'])))


async def _rendered(tasks: AsyncIterator[Task]) -> AsyncIterator[bytes]:
    async for task in tasks:
        yield bodies.render(task_in_words(task))


async def _each(items: Sequence[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def routes(settings: Settings) -> tuple[Route, ...]:
    """The routes of the dialect.

    Args:
        settings: `open_describe`, `describe_limit`, and what is said of clusters.
    """
    addresses = read_clusters(settings.clusters, settings.cluster_name)
    clusters = Clusters(settings.cluster_name, addresses, share_tokens=settings.share_tokens)
    return _table(View(settings.describe_limit, settings.open_describe, clusters))


def _table(view: View) -> tuple[Route, ...]:
    access = in_lane('read', Access() if view.is_open else PEOPLE)
    return (
        Route(r'/vappio/task_ws\.py', TaskWsHandler, {'get': access, 'post': access}, options={'view': view}),
    )  # fmt: skip


ROUTES = _table(View())
"""As they are unless operators say otherwise."""
