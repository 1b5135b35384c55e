"""What tests say about answers."""

from typing import Any

from tests.conftest import Answer

DONE = (200, {})


def seen(answer: Answer) -> tuple[int, Any]:
    """Status and body of an answer, to compare in one line."""
    return answer.status, answer.body


def refusal(code: int, reason: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """An error as every route words it."""
    return code, {'code': code, 'error': reason, **more}
