"""What tests of logs share: tasks that print, through the routes of pilots."""

import base64
from typing import Any

from tests.actions.operated import claimed, made
from tests.conftest import Answer, Api

STEP = 60_000
"""As pilots send long outputs: in pieces, wherever these are cut."""


async def running(api: Api, **changes: Any) -> dict[str, Any]:
    """The claim of a task A/1."""
    await made(api, **changes)
    return await claimed(api)


async def send(api: Api, claim: dict[str, Any], data: bytes, offset: int = 0, stream: str = 'stdout') -> int:
    """Print some bytes; the offset behind them."""
    for start in range(0, len(data), STEP):
        part = data[start : start + STEP]
        piece = {'stream': stream, 'offset': offset + start, 'data': base64.b64encode(part).decode()}
        body = {'claim_id': claim['claim_id'], 'epoch': claim['epoch'], 'pieces': [piece]}
        answer: Answer = await api.as_('pilot', 'p')('POST', f'/tasks/{claim["task_id"]}/task_actions/output', body)
        assert answer.status == 200, answer.text
    return offset + len(data)
