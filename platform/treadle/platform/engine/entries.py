"""Entries of a run's log: how steps and the run's own changes are written as JSON, and read.

`t` is the entry's type: `run.<status>`, `step.<status>`, or `call.<status>` for what happened
inside a step (a model call, an agent's tool call): ledger only, no event.

A log is mostly names and times, so it is kept short: `node` stands only where it differs from
`path`, and `s` and `f` are when a step began, in microseconds since 1970, and how many later it
ended. Whoever shows an entry calls `expanded` first.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from treadle.agents.ports import FINISHED, StepError, StepRecord, StepStatus, Usage
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.errors import ErrorClass
from treadle.platform.usage.tally import Count

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
LARGE = 32 * 1024
"""Characters of JSON above which an output lies in `run_values`; fixed by the contract."""


@dataclass(frozen=True, slots=True)
class LargeValue:
    """An output that is kept apart."""

    ref: str
    content: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One encoded entry.

    Attributes:
        is_progress: Something is finished that a crash from now on cannot undo.
        is_result: Something may depend on it: `durable` waits for it. An entry that only says
            that a step began is none; it goes along with the next commit.
        begins: The path of the step that it says has begun; says it anything more, `None`.
        ends: The path of the step that it finishes.
        opens: The row of a wait that begins with it, as JSON.
        closes: Id of the wait that ends with it.
        count: What it adds to usage.
    """

    text: str
    is_progress: bool = False
    is_result: bool = True
    begins: str | None = None
    ends: str | None = None
    large: LargeValue | None = None
    opens: str | None = None
    closes: str | None = None
    count: Count | None = None


def dump(value: object) -> str:
    """JSON as PostgreSQL takes it: ASCII, and null for the numbers that JSON does not have."""
    try:
        return _encode(value)
    except ValueError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite, separators=(",", ":"))


def run_entry(status: str, **fields: JsonValue) -> Entry:
    """An entry about the run itself."""
    return Entry(dump({"t": f"run.{status}", **fields}))


def step_entry(record: StepRecord) -> Entry:
    """The entry of a ledger record."""
    kind = "step" if record.call is None else "call"
    entry: dict[str, object] = {
        "t": f"{kind}.{record.status.value}",
        "path": record.path,
    }
    if record.node != record.path:
        entry["node"] = record.node
    large = _put_output(entry, record.output)
    _put_optional(entry, record)
    _put_times(entry, record)
    opens, closes = _wait_row(record)
    is_end = record.status in FINISHED
    is_start = record.status is StepStatus.RUNNING and record.call is None and not record.extra
    return Entry(
        dump(entry),
        is_progress=is_end,
        is_result=not is_start,
        begins=record.path if is_start and record.error is None else None,
        ends=record.path if is_end and record.call is None else None,
        large=large,
        opens=opens,
        closes=closes,
        count=Count.of(record),
    )


def _wait_row(record: StepRecord) -> tuple[str | None, str | None]:
    """The row to insert, or the id of the row to close, for an entry about a wait."""
    wait = record.extra.get("wait")
    if not isinstance(wait, dict):
        return None, None
    if record.status is not StepStatus.WAITING:
        return None, str(wait["id"])
    asked = record.extra.get("asked")
    row = {**wait, "node": record.node, "path": record.path, "item": record.item, "asked": asked}
    return dump(row), None


def _put_output(entry: dict[str, object], output: JsonValue) -> LargeValue | None:
    if output is None:
        return None
    entry["output"] = output
    if isinstance(output, bool | int | float) or (isinstance(output, str) and len(output) < 1024):
        return None
    content = dump(output)
    if len(content) <= LARGE:
        return None
    ref = hashlib.sha256(content.encode()).hexdigest()
    del entry["output"]
    entry["large"] = {"$ref": ref, "size": len(content)}
    return LargeValue(ref, content)


def _put_optional(entry: dict[str, object], record: StepRecord) -> None:
    if record.item is not None:
        entry["item"] = record.item
    if record.attempt != 1:
        entry["attempt"] = record.attempt
    if record.error is not None:
        entry["error"] = error_json(record.error)
    if record.usage is not None:
        entry["usage"] = _usage_json(record.usage)
    if record.reasoning is not None:
        entry["reasoning"] = record.reasoning
    if record.call is not None:
        entry["call"] = record.call
    # What is asked lies in the wait's row, and is shown from there.
    extra = {key: value for key, value in record.extra.items() if key != "asked"}
    if extra:
        entry["extra"] = extra


def _put_times(entry: dict[str, object], record: StepRecord) -> None:
    started = None if record.started_at is None else (record.started_at - _EPOCH) // _MICROSECOND
    if started is not None:
        entry["s"] = started
    if record.finished_at is not None:
        entry["f"] = (record.finished_at - _EPOCH) // _MICROSECOND - (started or 0)


def expanded(entry: JsonObject) -> JsonObject:
    """An entry as it is shown; changes it in place."""
    if "path" in entry:
        entry.setdefault("node", entry["path"])
    started, took = entry.pop("s", None), entry.pop("f", None)
    if isinstance(started, int):
        entry["started_at"] = _time(started).isoformat()
    if isinstance(took, int):
        began = started if isinstance(started, int) else 0
        entry["finished_at"] = _time(began + took).isoformat()
    return entry


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _usage_json(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "model_calls": usage.model_calls,
        "cost_usd": usage.cost_usd,
    }


def error_json(error: StepError) -> JsonObject:
    """An error as the contract shows it."""
    return {
        "node": error.node,
        "path": error.path,
        "class": error.error_class.value,
        "code": error.code,
        "message": error.message,
    }


def is_ledger(entry: JsonObject) -> bool:
    """Whether an entry is a ledger record, not one about the run itself."""
    return str(entry["t"]).startswith(("step.", "call."))


def large_ref(entry: JsonObject) -> str | None:
    """The reference of an output that is kept apart."""
    large = entry.get("large")
    return str(large["$ref"]) if isinstance(large, dict) else None


def read_step(entry: JsonObject, values: Mapping[str, JsonValue]) -> StepRecord:
    """Read a ledger record back; `values` has the large outputs by reference."""
    entry = expanded(entry)
    ref = large_ref(entry)
    call, reasoning, extra = entry.get("call"), entry.get("reasoning"), entry.get("extra")
    attempt = entry.get("attempt", 1)
    return StepRecord(
        path=str(entry["path"]),
        node=str(entry["node"]),
        item=_read_item(entry.get("item")),
        status=StepStatus(str(entry["t"]).partition(".")[2]),
        attempt=attempt if isinstance(attempt, int) else 1,
        output=entry.get("output") if ref is None else values[ref],
        error=_read_error(entry.get("error")),
        usage=_read_usage(entry.get("usage")),
        reasoning=None if reasoning is None else str(reasoning),
        started_at=_read_time(entry.get("started_at")),
        finished_at=_read_time(entry.get("finished_at")),
        call=None if call is None else str(call),
        extra=extra if isinstance(extra, dict) else {},
    )


def _read_item(value: JsonValue) -> int | tuple[int, ...] | None:
    if isinstance(value, list):
        return tuple(index for index in value if isinstance(index, int))
    return value if isinstance(value, int) else None


def _read_error(value: JsonValue) -> StepError | None:
    if not isinstance(value, dict):
        return None
    return StepError(
        node=str(value["node"]),
        path=str(value["path"]),
        error_class=ErrorClass(str(value["class"])),
        code=str(value["code"]),
        message=str(value["message"]),
    )


def _read_usage(value: JsonValue) -> Usage | None:
    if not isinstance(value, dict):
        return None
    cost = value.get("cost_usd")
    return Usage(
        input_tokens=_count(value, "input_tokens"),
        output_tokens=_count(value, "output_tokens"),
        cached_tokens=_count(value, "cached_tokens"),
        model_calls=_count(value, "model_calls"),
        cost_usd=cost if isinstance(cost, int | float) else None,
    )


def _count(value: JsonObject, name: str) -> int:
    count = value.get(name, 0)
    return count if isinstance(count, int) else 0


def _read_time(value: JsonValue) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
