"""Results of earlier runs, taken again: `cache: 7d`.

A result stands for everything it depends on: the node's definition, the tool or model behind it,
the account it uses, and its inputs as rendered. The key is their digest, so that whatever changes
is simply not found.
"""

import hashlib
import json
from dataclasses import dataclass

from treadle.agents.steps.graph import EffectWork
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue

VERSION = 1  # of what a key is made of; another number forgets everything
LARGEST = 1_000_000  # characters of a result that is kept


@dataclass(frozen=True, slots=True)
class Cached:
    """A result found."""

    output: JsonValue


async def find_cached(turn: Turn, work: EffectWork) -> tuple[str | None, Cached | None]:
    """The key of this turn's result, `None` where nothing is cached, and what is kept under it."""
    cache, lasts = turn.ports.cache, turn.node.cache
    if cache is None or lasts is None:
        return None, None
    identity = await work.identity(turn)
    if identity is None:
        return None, None
    key = _digest([VERSION, identity])
    with turn.frame.gate.working():
        found = await cache.get(key)
    if not isinstance(found, dict):
        return key, None
    reasoning = found.get("reasoning")
    turn.reasoning = reasoning if isinstance(reasoning, str) else None
    turn.is_cached = True
    return key, Cached(found.get("output"))


async def keep(turn: Turn, key: str, output: JsonValue) -> None:
    """Keep a new result for as long as the node says."""
    cache, lasts = turn.ports.cache, turn.node.cache
    kept: JsonValue = {"output": output, "reasoning": turn.reasoning}
    if cache is not None and lasts is not None and len(json.dumps(kept)) <= LARGEST:
        with turn.frame.gate.working():
            await cache.put(key, kept, lasts=lasts)


def _digest(value: JsonValue) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
