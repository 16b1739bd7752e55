"""What the API shows of a run: folded from its row and its log."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from treadle.agents.language import Template
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.ports import WaitKind
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import ENDED, RunStatus

_ENDINGS = frozenset(f"run.{status.value}" for status in ENDED)
_COUNTED = ("input_tokens", "output_tokens", "cached_tokens", "model_calls")
_HALTS = frozenset({WaitKind.PAUSED, WaitKind.BUDGET, WaitKind.RECONNECT, WaitKind.CAPACITY})
_UNFINISHED = frozenset({"pending", "running", "waiting"})


@dataclass(frozen=True, slots=True)
class LogRow:
    """One entry of a run's log."""

    seq: int
    at: datetime
    entry: JsonObject

    @property
    def type(self) -> str:
        """`run.…`, `step.…`, or `call.…`, which is no event."""
        return str(self.entry["t"])

    @property
    def is_event(self) -> bool:
        """Whether those who follow the run see it."""
        return not self.type.startswith("call.")

    @property
    def is_end(self) -> bool:
        """Whether nothing follows it."""
        return self.type in _ENDINGS


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run without its log.

    Attributes:
        is_held_back: Whether it is queued and due, and a limit lets no more runs begin.
    """

    id: RunId
    root_id: UUID
    agent: str | None
    template: str
    version: str
    sha256: bytes
    status: str
    inputs: JsonObject
    outputs: JsonValue
    error: JsonValue
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    is_held_back: bool = False


@dataclass(slots=True)
class Progress:
    """A log, folded: the last state of every step."""

    steps: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    waits: dict[tuple[str, str], JsonObject] = field(
        default_factory=dict[tuple[str, str], JsonObject]
    )
    halts: list[JsonValue] = field(default_factory=list["JsonValue"])
    status: str = RunStatus.QUEUED.value
    error: JsonValue = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def add(self, rows: Iterable[LogRow]) -> None:
        """Take further rows into account."""
        for row in rows:
            kind, _, status = row.type.partition(".")
            if kind == "step":
                self._add_step(row.entry, status)
            elif kind == "call":
                self._add_call(row.entry, status)
            elif kind == "run":
                self._add_run(row, status)

    def _add_run(self, row: LogRow, status: str) -> None:
        self.status = RunStatus.RUNNING if status in {"started", "resumed"} else RunStatus(status)
        said = row.entry.get("waits")
        self.halts = [one for one in said if _is_halt(one)] if isinstance(said, list) else []
        self.error = row.entry.get("error")
        if status == "started":
            self.started_at = row.at
        if row.is_end:
            self.finished_at = row.at

    def _add_call(self, entry: JsonObject, status: str) -> None:
        """A wait is open from its entry to the one that has the answer."""
        place = (str(entry["path"]), str(entry["call"]))
        extra = entry.get("extra")
        wait = extra.get("wait") if isinstance(extra, dict) else None
        if status == "waiting" and isinstance(wait, dict):
            is_unknown = wait["kind"] == WaitKind.UNKNOWN
            self.waits[place] = {
                "kind": wait["kind"],
                "id": entry["path"] if is_unknown else wait["id"],
                "node": entry["node"],
                "until": wait["until"],
            }
        else:
            self.waits.pop(place, None)

    @property
    def waiting_for(self) -> list[JsonValue]:
        """What steps wait for, and what the whole run does."""
        return [*self.waits.values(), *self.halts]

    @property
    def begun(self) -> list[JsonObject]:
        """Its steps in the order in which they began, which is not that of the log.

        What began and ended before one commit is entered by its end alone. A step without a time
        of its own stays behind the one that was entered before it.
        """
        latest = ""
        timed: list[tuple[str, JsonObject]] = []
        for step in self.steps.values():
            latest = str(step["started_at"] or latest)
            timed.append((latest, step))
        return [step for _, step in sorted(timed, key=lambda one: one[0])]

    def _add_step(self, entry: JsonObject, status: str) -> None:
        path = str(entry["path"])
        before = self.steps.get(path)
        self.steps[path] = step = _step(path, str(entry["node"]), status=status)
        step["item"] = entry.get("item")
        step["attempt"] = entry.get("attempt", 1)
        step["output"] = entry.get("large", entry.get("output"))
        for name in ("error", "usage", "reasoning", "started_at", "finished_at"):
            step[name] = entry.get(name)
        if step["started_at"] is None and before is not None:
            step["started_at"] = before["started_at"]

    def shown(self, template: Template, *, is_dropped: bool = False) -> list[JsonObject]:
        """Every step: those that began, then the template's nodes that did not.

        None where the log was dropped: nothing says what became of them.
        """
        if is_dropped:
            return []
        steps = self.begun
        steps += [_step(name, name) for name in template.nodes if name not in self.steps]
        return [self._settled(step) for step in steps]

    def _settled(self, step: JsonObject) -> JsonObject:
        """What a run's end makes of a step that has none."""
        was = str(step["status"])
        is_left = self.status == RunStatus.CANCELLED and was in _UNFINISHED
        is_stopped = self.status in ENDED and was in {"running", "waiting"}
        return step | {"status": "cancelled"} if is_left or is_stopped else step


def _is_halt(wait: JsonValue) -> bool:
    """Whether it is the run that waits; what its steps wait for is in their own entries."""
    return isinstance(wait, dict) and wait["kind"] in _HALTS


def _step(path: str, node: str, *, status: str = "pending") -> JsonObject:
    return {
        "id": path,
        "node": node,
        "path": path,
        "item": None,
        "status": status,
        "attempt": 1,
        "output": None,
        "error": None,
        "usage": None,
        "reasoning": None,
        "started_at": None,
        "finished_at": None,
    }


def show_run(run: RunRow, progress: Progress, template: Template) -> JsonObject:
    """A run as the contract says."""
    steps = progress.shown(template, is_dropped=is_dropped(run, progress))
    return {
        "id": str(run.id),
        "root_id": str(run.root_id),
        "agent": run.agent,
        "template": run.template,
        "version": run.version,
        "status": run.status,
        "inputs": run.inputs,
        "outputs": run.outputs,
        "error": run.error,
        "usage": _usage(steps),
        "steps": _top_level(steps, template),
        "waiting_for": _waiting_for(run, progress),
        "created_at": show_time(run.created_at),
        "started_at": show_time(run.started_at),
        "finished_at": show_time(run.finished_at),
    }


def _waiting_for(run: RunRow, progress: Progress) -> list[JsonValue]:
    if run.status in ENDED:
        return []
    kind = WaitKind.CAPACITY.value
    held_back: JsonObject = {"kind": kind, "id": kind, "node": None, "until": None}
    return [*progress.waiting_for, *([held_back] if run.is_held_back else [])]


def is_dropped(run: RunRow, progress: Progress) -> bool:
    """Whether retention took the log of a run that has ended."""
    return run.status in ENDED and progress.finished_at is None


def show_time(at: datetime | None) -> str | None:
    """RFC 3339, in UTC."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _top_level(steps: Sequence[JsonObject], template: Template) -> list[JsonValue]:
    found = {str(step["path"]): step for step in steps}
    shown: list[JsonValue] = []
    for name, node in template.nodes.items():
        if name not in found:
            continue  # the log was dropped
        step = dict(found[name])
        if isinstance(node, MapNode | LoopNode | SwitchNode):
            step["counts"] = _counts(steps, name)
        shown.append(step)
    return shown


def _counts(steps: Sequence[JsonObject], container: str) -> JsonObject:
    inside = (f"{container}.", f"{container}[")
    counts = Counter(str(s["status"]) for s in steps if str(s["path"]).startswith(inside))
    return dict(counts)


def _usage(steps: Sequence[JsonObject]) -> JsonObject:
    """Summed over all steps; cost is null where no price is known."""
    total: dict[str, int] = dict.fromkeys(
        ("input_tokens", "output_tokens", "cached_tokens", "model_calls"), 0
    )
    cost: float | None = None
    for step in steps:
        usage = step["usage"]
        if isinstance(usage, dict):
            for name in total:
                count = usage.get(name)
                total[name] += count if isinstance(count, int) else 0
            price = usage.get("cost_usd")
            if isinstance(price, int | float):
                cost = (cost or 0.0) + price
    return {**total, "cost_usd": cost}
