"""What of a finished run the next one takes over: decided from its log's outline, without I/O."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from treadle.agents.language import Template
from treadle.agents.language.walk import inner_nodes
from treadle.agents.nodes import Node
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.ports import StepStatus
from treadle.agents.reuse import Change, inputs_read, standing
from treadle.agents.values import JsonValue
from treadle.platform.engine.ids import RunId
from treadle.platform.errors import Conflict, Unprocessable

REUSABLE = frozenset({StepStatus.SUCCEEDED, StepStatus.RECOVERED, StepStatus.SKIPPED})
_SETTLED = REUSABLE | {StepStatus.FAILED}
_INDEX = re.compile(r"\[\d+\]")


class RunNotFinished(Conflict):
    """Only what has ended can be done again."""

    code = "run_not_finished"

    def __init__(self, run: RunId, status: str) -> None:
        super().__init__(f"run {str(run)!r} is {status}: wait until it has ended, or cancel it")


class InputsWereRead(Conflict):
    """A step that would be reused has read an input that would change."""

    code = "inputs_read"

    def __init__(self, names: Collection[str]) -> None:
        listed = ", ".join(sorted(names))
        super().__init__(
            f"steps that would be reused have read the inputs {listed}: "
            "retry `from` an earlier step, or start a new run"
        )


class EffectUncertain(Conflict):
    """A step may have had its effect, which must not happen twice."""

    code = "effect_uncertain"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"the effect of step {path!r} may have happened: name the step in `from` to do it "
            "again, or give its output in `set`"
        )


class UnknownStep(Unprocessable):
    """A path that the run does not have."""

    code = "unknown_step"

    def __init__(self, path: str, key: str) -> None:
        super().__init__(f"`{key}`: this run has no step {path[:200]!r}")


@dataclass(frozen=True, slots=True)
class Trace:
    """An entry of a log without its values."""

    seq: int
    path: str
    node: str
    item: JsonValue
    call: str | None
    status: StepStatus


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to be different in the next run.

    Attributes:
        start: A step, an item of a map, or a node in all items.
        again: Further paths that run again.
        edited: Paths whose outputs are given.
        inputs: Names of those whose values were changed on purpose.
        drifted: Names of those that another version's defaults changed.
    """

    start: str | None = None
    again: frozenset[str] = frozenset()
    edited: Collection[str] = ()
    inputs: Collection[str] = ()
    drifted: Collection[str] = ()


@dataclass(slots=True)
class Past:
    """The last entry of every step of a run, and the effects that may have begun."""

    steps: dict[str, Trace] = field(default_factory=dict[str, Trace])
    _intents: dict[tuple[str, str], Trace] = field(default_factory=dict[tuple[str, str], Trace])

    @classmethod
    def of(cls, traces: Iterable[Trace]) -> "Past":
        """Fold a log, in its order. What `on_failure` did is not taken over."""
        past = cls()
        for trace in traces:
            if trace.path.startswith("on_failure."):
                continue
            if trace.call is None:
                past.steps[trace.path] = trace
            elif trace.call.rpartition(".")[2] == "intent":
                past._intents[trace.path, trace.call] = trace
        return past

    @property
    def reusable(self) -> frozenset[str]:
        """Paths of the steps that ended well."""
        return frozenset(path for path, one in self.steps.items() if one.status in REUSABLE)

    @property
    def failed(self) -> frozenset[str]:
        """Paths of the steps that failed."""
        return frozenset(p for p, one in self.steps.items() if one.status is StepStatus.FAILED)

    @property
    def uncertain(self) -> frozenset[str]:
        """Paths of the steps whose effect may have happened and has no end."""
        return frozenset(
            path
            for (path, _), intent in self._intents.items()
            if intent.status is StepStatus.SUCCEEDED and self._is_open(path)
        )

    def _is_open(self, path: str) -> bool:
        step = self.steps.get(path)
        return step is None or step.status not in _SETTLED

    def at(self, wanted: str) -> frozenset[str]:
        """The steps at a path: itself; all of an item (`serp[17]`); a node in all items."""
        if wanted in self.steps:
            return frozenset({wanted})
        inside = f"{wanted}."
        return frozenset(
            path
            for path, one in self.steps.items()
            if one.node == wanted or (wanted.endswith("]") and path.startswith(inside))
        )


def reused(old: Template, new: Template, past: Past, wish: Wish) -> frozenset[str]:
    """The paths of the steps that the next run takes over as they are.

    `old` is the template that the run was made by, `new` that of the next one.
    Raises `UnknownStep`, `EffectUncertain`, `InputsWereRead`.
    """
    start = _start(new, past, wish) | wish.again
    for path in wish.edited:
        if path not in past.steps and path not in _plain_paths(new.nodes):
            raise UnknownStep(path, "set")
    known = past.reusable
    kept = standing(
        old,
        new,
        finished=known | start | frozenset(wish.edited),
        change=Change(start=start, inputs=wish.drifted, edited=wish.edited),
    )
    kept = (kept & known) - frozenset(wish.edited)
    uncertain = past.uncertain - start - frozenset(wish.edited)
    if uncertain:
        raise EffectUncertain(min(uncertain))
    changed = inputs_read(new, _with_containers(kept)) & frozenset(wish.inputs)
    if changed:
        raise InputsWereRead(changed)
    return kept


def _start(new: Template, past: Past, wish: Wish) -> frozenset[str]:
    if wish.start is None:
        return frozenset()
    found = past.at(wish.start)
    if found:
        return found
    if wish.start in _all_paths(new.nodes):
        return frozenset({wish.start})
    raise UnknownStep(wish.start, "from")


def _with_containers(paths: Iterable[str]) -> frozenset[str]:
    """Nodes with all that they stand in: what an item is made of depends on its container too."""
    found: set[str] = set()
    for path in paths:
        parts = _INDEX.sub("", path).split(".")
        found |= {".".join(parts[: n + 1]) for n in range(len(parts))}
    return frozenset(found)


def _plain_paths(nodes: Mapping[str, Node]) -> frozenset[str]:
    """Nodes whose steps have no index: those of the template and of its switches."""
    return frozenset(path for path, is_repeated in _paths(nodes, "") if not is_repeated)


def _all_paths(nodes: Mapping[str, Node]) -> frozenset[str]:
    return frozenset(path for path, _ in _paths(nodes, ""))


def _paths(
    nodes: Mapping[str, Node], prefix: str, *, is_repeated: bool = False
) -> Iterator[tuple[str, bool]]:
    for name, node in nodes.items():
        path = f"{prefix}{name}"
        yield path, is_repeated
        if isinstance(node, MapNode | LoopNode | SwitchNode):
            is_inner_repeated = is_repeated or not isinstance(node, SwitchNode)
            for _, inner in inner_nodes(node):
                yield from _paths(inner, f"{path}.", is_repeated=is_inner_repeated)
