"""How Python programs ask: a typed client that talks HTTP only.

async with AsyncClient('http://127.0.0.1:8080', token) as client:
    counts = await client.task_counts(dataset_id)

Everything a program needs is imported from here.
"""

from iceprod_tasks.client.async_client import AsyncClient
from iceprod_tasks.client.claims import new_claim_id
from iceprod_tasks.client.documents import (
    ActionDone,
    ActionName,
    Change,
    Claim,
    Config,
    DatasetActionDone,
    Deletion,
    Done,
    Examples,
    Heartbeat,
    JobActionDone,
    Message,
    NewDataset,
    Outcome,
    Phase,
    RankedTask,
    Report,
    Requirements,
    Resources,
    Steps,
    TaskConfig,
    TaskDocument,
    TaskHistory,
    Verdict,
)
from iceprod_tasks.client.errors import (
    BadRequest,
    ClientError,
    Conflict,
    Gone,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    NoWork,
    Overloaded,
    ServerError,
    TooLarge,
    Unreachable,
)
from iceprod_tasks.client.retry import Retry

__all__ = [
    'ActionDone',
    'ActionName',
    'AsyncClient',
    'BadRequest',
    'Change',
    'Claim',
    'ClientError',
    'Config',
    'Conflict',
    'DatasetActionDone',
    'Deletion',
    'Done',
    'Examples',
    'Gone',
    'Heartbeat',
    'JobActionDone',
    'Message',
    'NewDataset',
    'NoWork',
    'NotAuthenticated',
    'NotFound',
    'NotPermitted',
    'Outcome',
    'Overloaded',
    'Phase',
    'RankedTask',
    'Report',
    'Requirements',
    'Resources',
    'Retry',
    'ServerError',
    'Steps',
    'TaskConfig',
    'TaskDocument',
    'TaskHistory',
    'TooLarge',
    'Unreachable',
    'Verdict',
    'new_claim_id',
]
