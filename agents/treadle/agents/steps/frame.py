"""Where a step stands in one run: the root, an item of a map, a pass of a loop.

A frame is also the scope its expressions read. Values are looked up, not copied: an expression
that names one node touches one record.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from typing_extensions import override

from treadle.agents.ports import StepError, StepRecord, Usage
from treadle.agents.steps.gate import Closed, Gate
from treadle.agents.steps.graph import Body
from treadle.agents.steps.quiet import Place
from treadle.agents.steps.run import Run
from treadle.agents.values import JsonValue


class Frame(Mapping[str, JsonValue]):
    """One frame of one run, with the records of its finished steps.

    Attributes:
        path: With indexes, empty for the root: `serp[17]`.
        node: Without indexes: `serp`.
        indexes: Of the maps around it, outermost first.
        names: What this frame adds to the scope: the map's `as` name, `loop`, `state`, `error`.
        place: Of the map's item around it, if there is one.
        records: Finished steps of this frame by node id.
        failure: The first error that ended this frame.
    """

    __slots__ = (
        "failure", "gate", "indexes", "names", "node", "parent", "path", "place", "records", "run",
    )  # fmt: skip

    def __init__(
        self,
        run: Run,
        *,
        gate: Gate,
        parent: "Frame | None" = None,
        path: str = "",
        node: str = "",
        indexes: tuple[int, ...] = (),
        names: Mapping[str, JsonValue] | None = None,
        place: Place | None = None,
    ) -> None:
        self.run = run
        self.gate = gate
        self.parent = parent
        self.path = path
        self.node = node
        self.indexes = indexes
        self.names: Mapping[str, JsonValue] = names or {}
        self.records: dict[str, StepRecord] = {}
        self.failure: StepError | None = None
        self.place: Place | None = place or (None if parent is None else parent.place)

    def step_path(self, node_id: str) -> str:
        """The path of a node's step here, with indexes."""
        return f"{self.path}.{node_id}" if self.path else node_id

    def node_path(self, node_id: str) -> str:
        """The path of a node here, without indexes."""
        return f"{self.node}.{node_id}" if self.node else node_id

    def has_all(self, body: Body) -> bool:
        """Whether every node of this frame's body is finished."""
        return all(node.id in self.records for node in body.nodes)

    def fail(self, error: StepError) -> None:
        """Note the first error, and let nothing more begin here."""
        self.failure = self.failure or error
        self.gate.close(Closed.FAILURE)

    @property
    def item(self) -> int | tuple[int, ...] | None:
        """How the records of this frame name their item."""
        if not self.indexes:
            return None
        return self.indexes[0] if len(self.indexes) == 1 else self.indexes

    @override
    def __getitem__(self, name: str) -> JsonValue:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            if name in frame.records:
                return frame.records[name].output
            frame = frame.parent
        if name == "nodes":
            return {node_id: _described(record) for node_id, record in self._visible().items()}
        return self.run.names[name]

    @override
    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self._local_names(), *self._visible(), "nodes", *self.run.names))

    @override
    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _local_names(self) -> Iterator[str]:
        frame: Frame | None = self
        while frame is not None:
            yield from frame.names
            frame = frame.parent

    def _visible(self) -> dict[str, StepRecord]:
        outer = self.parent._visible() if self.parent is not None else {}
        return outer | self.records


def _described(record: StepRecord) -> JsonValue:
    return {
        "status": record.status.value,
        "output": record.output,
        "usage": usage_as_json(record.usage),
        "error": error_as_json(record.error),
        "reasoning": record.reasoning,
        "attempts": record.attempt,
    }


def usage_as_json(usage: Usage | None) -> JsonValue:
    """As expressions and clients see it."""
    return None if usage is None else asdict(usage)


def error_as_json(error: StepError | None) -> JsonValue:
    """As expressions and clients see it; `error_class` is called `class`."""
    if error is None:
        return None
    return {
        "node": error.node,
        "path": error.path,
        "class": error.error_class.value,
        "code": error.code,
        "message": error.message,
    }
