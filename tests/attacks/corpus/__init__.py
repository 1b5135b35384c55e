"""All hostile requests, by what they try."""

from tests.attacks.case import Case
from tests.attacks.corpus import (
    bounds,
    drove,
    headers,
    json_text,
    keys,
    operators,
    paths,
    pilots,
    queries,
    slow_work,
    smuggling,
    stored,
    strangers,
    tokens,
    types,
    vappio,
)

CASES: tuple[Case, ...] = tuple(
    case
    for module in (
        tokens, strangers, pilots, operators, json_text, types, bounds, paths, smuggling, headers, queries, keys, stored,
        slow_work, vappio, drove,
    )
    for case in module.CASES
)  # fmt: skip
