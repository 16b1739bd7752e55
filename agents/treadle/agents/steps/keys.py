"""Idempotency keys: the same effect has the same key over retries, resumes and restarts."""

import hashlib
import json

from treadle.agents.values import JsonValue


def idempotency_key(
    *, root_run: str, frame_path: str, call_index: int, arguments: JsonValue
) -> str:
    """The key of one effect.

    Args:
        root_run: The run that started it all; a retry keeps its origin's.
        frame_path: From the root run through child runs, with every map index and loop pass.
        call_index: Counts effects inside the step from 0 at every attempt.
        arguments: As rendered; their digest makes an edited call a new one.
    """
    parts = [root_run, frame_path, call_index, _digest(arguments)]
    return hashlib.sha256(_canonical(parts)).hexdigest()


def _digest(value: JsonValue) -> str:
    return hashlib.sha256(_canonical(value)).hexdigest()


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
