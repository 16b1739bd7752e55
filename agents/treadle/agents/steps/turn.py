"""One node's turn in one run: what its work may use."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import reduce

from treadle.agents.errors import Blocked, ExpressionError, StepFailed
from treadle.agents.ports import FINISHED, Journal, Ports, StepError, StepRecord, StepStatus, Usage
from treadle.agents.steps.frame import Frame, error_as_json
from treadle.agents.steps.gate import Gate
from treadle.agents.steps.graph import Body, Evaluable, Node
from treadle.agents.steps.items import Items
from treadle.agents.steps.keys import idempotency_key
from treadle.agents.steps.quiet import Place
from treadle.agents.steps.run import Run
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass


class Turn:
    """One node's turn.

    Attributes:
        attempt: Counts from 1.
        reasoning: Of the model's last answer.
        is_cached: Whether its result is an earlier run's.
        inner_gate: What steps inside this one pass.
        uncertain: Intents of effects that may not be repeated, begun and not answered.
        first_call: Number of the first model call (`model.0`) of the current attempt.
    """

    __slots__ = (
        "_calls",
        "_entries",
        "attempt",
        "first_call",
        "frame",
        "inner_gate",
        "is_cached",
        "node",
        "path",
        "reasoning",
        "started_at",
        "uncertain",
    )

    def __init__(self, frame: Frame, node: Node) -> None:
        self.frame = frame
        self.node = node
        self.path = frame.step_path(node.id)
        self.attempt = 1
        self.first_call = 0
        self.inner_gate = frame.gate
        self.is_cached = False
        self.uncertain: set[str] = set()
        self.reasoning: str | None = None
        self.started_at: datetime = frame.run.ports.clock.now()
        self._calls = 0
        self._entries: dict[str, StepRecord] = {}

    @property
    def run(self) -> Run:
        """The run it belongs to."""
        return self.frame.run

    @property
    def ports(self) -> Ports:
        """What reaches outside."""
        return self.frame.run.ports

    @property
    def journal(self) -> Journal:
        """The run's ledger."""
        return self.frame.run.ports.journal

    def evaluate(self, value: Evaluable, field: str, scope: Frame | None = None) -> JsonValue:
        """A field of this node in its scope; raises `StepFailed` that names the field."""
        try:
            return value.evaluate(self.frame if scope is None else scope)
        except ExpressionError as error:
            where = f"{self.node.template_path}.{field}"
            raise StepFailed(
                f"{where}: {error.message}",
                error_class=ErrorClass.INVALID_INPUT,
                code="expression_error",
            ) from error

    def start_attempt(self, attempt: int) -> None:
        """Count effects from 0 again."""
        self.attempt = attempt
        self._calls = 0

    def next_key(self, arguments: JsonValue) -> str:
        """The idempotency key of this step's next effect."""
        index, self._calls = self._calls, self._calls + 1
        return self.key(arguments, index=index)

    def key(self, arguments: JsonValue, *, index: int) -> str:
        """The idempotency key of the effect of this index."""
        return idempotency_key(
            root_run=self.run.facts.root_id,
            frame_path=self.frame_path,
            call_index=index,
            arguments=arguments,
        )

    @property
    def frame_path(self) -> str:
        """The step's path from the root run, through the runs that started this one."""
        facts = self.run.facts
        return f"{facts.frame}.{self.path}" if facts.frame else self.path

    def record(
        self, status: StepStatus, *, output: JsonValue = None, finished_at: datetime | None = None
    ) -> StepRecord:
        """A ledger entry of this step, to be completed by `replace`."""
        return StepRecord(
            path=self.path,
            node=self.frame.node_path(self.node.id),
            item=self.frame.item,
            status=status,
            attempt=self.attempt,
            output=output,
            usage=self.usage,
            reasoning=self.reasoning,
            started_at=self.started_at,
            finished_at=finished_at,
        )

    def finished(self, status: StepStatus, output: JsonValue) -> StepRecord:
        """The ledger entry that ends this step well."""
        return self.record(status, output=output, finished_at=self.ports.clock.now())

    def entry(self, call: str) -> StepRecord | None:
        """A finished entry inside this step, of this process or an earlier one."""
        if call not in self._entries:
            earlier = self.journal.finished(self.path, call=call)
            if earlier is None:
                return None
            self._entries[call] = earlier
        entry = self._entries[call]
        return entry if entry.status in FINISHED else None

    def append_call(self, call: str, record: StepRecord) -> StepRecord:
        """Add an entry inside this step: an intent, a call. Usage is a model call's alone."""
        usage = record.usage if call.startswith("model.") else None
        entry = replace(record, call=call, usage=usage, finished_at=self.ports.clock.now())
        self.journal.append(entry)
        self._entries[call] = entry
        return entry

    @property
    def usage(self) -> Usage | None:
        """What the model calls of this step used so far, over all attempts; each counts once."""
        if not self._entries:
            return None
        used = [entry.usage for entry in self._entries.values() if entry.usage is not None]
        return reduce(add_usage, used) if used else None

    def error(self, failure: StepFailed) -> StepError:
        """The failure as the run shows it, unless it comes from a step inside this one."""
        return failure.error or StepError(
            node=self.frame.node_path(self.node.id),
            path=self.path,
            error_class=failure.error_class,
            code=failure.code,
            message=failure.message,
        )

    def scope_of_error(self, error: StepError) -> Frame:
        """What `on_error` sees."""
        names = {"error": error_as_json(error)}
        return Frame(self.run, gate=self.frame.gate, parent=self.frame, names=names)

    def frame_inside(
        self,
        *,
        names: Mapping[str, JsonValue],
        index: int | None = None,
        item: int | None = None,
        place: Place | None = None,
    ) -> Frame:
        """A frame for a body of this container.

        Args:
            names: What the frame adds to the scope.
            index: Of the item or pass, becomes part of the path.
            item: Of a map, becomes part of the steps' `item`.
            place: Of that item.
        """
        outer = self.frame
        return Frame(
            self.run,
            gate=Gate(self.inner_gate),
            parent=outer,
            path=self.path if index is None else f"{self.path}[{index}]",
            node=outer.node_path(self.node.id),
            indexes=outer.indexes if item is None else (*outer.indexes, item),
            names=names,
            place=place,
        )

    async def run_inside(self, body: Body, frame: Frame) -> None:
        """Run a body to its end; raises its failure as this step's, or `Blocked`."""
        await self.run.bodies.run(body, frame)
        _check_done(body, frame)

    async def run_items(self, items: Items) -> None:
        """Run all items of a map; those not begun when the gate closes are left out."""
        await self.run.bodies.run_items(items)

    def run_pure_inside(self, body: Body, frame: Frame) -> None:
        """Run a body of pure nodes at once; raises like `run_inside`."""
        self.run.bodies.run_pure(body, frame)
        _check_done(body, frame)


def _check_done(body: Body, frame: Frame) -> None:
    if frame.failure is not None:
        raise failed_inside(frame.failure)
    if not frame.has_all(body):
        raise Blocked(frame.gate.reason or "waiting")


def add_usage(one: Usage, other: Usage) -> Usage:
    """The sum; the cost is known only if both are."""
    is_known = one.cost_usd is not None and other.cost_usd is not None
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        model_calls=one.model_calls + other.model_calls,
        cost_usd=(one.cost_usd or 0.0) + (other.cost_usd or 0.0) if is_known else None,
    )


def failed_inside(error: StepError) -> StepFailed:
    """The failure of a container because of a step in it."""
    return StepFailed(
        error.message, error_class=error.error_class, code=error.code, may_repeat=False, error=error
    )
