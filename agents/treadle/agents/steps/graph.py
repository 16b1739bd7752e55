"""A template compiled to run: nodes, bodies and units. Immutable, without state of any run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from treadle.agents.steps.attempts import Policy
from treadle.agents.values import JsonValue

if TYPE_CHECKING:
    from treadle.agents.steps.turn import Turn


class Evaluable(Protocol):
    """A field of a node: a value with expressions in it, or a condition."""

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The value in this scope; raises `ExpressionError`."""
        ...


class PureWork(ABC):
    """Work without effects and waits: shares its task with its neighbours."""

    @abstractmethod
    def evaluate(self, turn: "Turn") -> JsonValue:
        """The node's output; raises `StepFailed`."""


class EffectWork(ABC):
    """Work that reaches outside. The interpreter adds retries, timeouts, caching and `on_error`."""

    async def identity(self, turn: "Turn") -> JsonValue:
        """All that its result depends on, rendered; raises `StepFailed`. Null: never cached."""
        return None

    @abstractmethod
    async def attempt(self, turn: "Turn") -> JsonValue:
        """Try once; raises `StepFailed`, or `StepWaits` when only somebody else can go on."""


class WaitWork(ABC):
    """Work of somebody else: the step opens a wait (`steps.waits`), its answer makes the output.

    It may be begun again any number of times before that.
    """

    @abstractmethod
    async def wait(self, turn: "Turn") -> JsonValue:
        """The output; raises `StepFailed`, or `StepWaits` when nobody listens any longer."""


class ContainerWork(ABC):
    """Work that runs bodies of its own; what is inside keeps its own ledger entries."""

    @property
    @abstractmethod
    def bodies(self) -> "tuple[Body, ...]":
        """What is inside."""

    @abstractmethod
    async def perform(self, turn: "Turn") -> JsonValue:
        """Run what is inside and return the container's output; raises `StepFailed`."""


Work = PureWork | EffectWork | WaitWork | ContainerWork


@dataclass(frozen=True, slots=True)
class Node:
    """One node, compiled.

    Attributes:
        template_path: Where it stands in the template, for messages: `nodes.serp.nodes.hits`.
        upstream: Ids in the same body that it awaits: its references and `needs`.
        when: Its condition, `None` if it always runs.
        otherwise: Output of a skipped step (`else`).
        on_error: The value that takes the place of a failure.
        cache: How long its result may be taken again.
    """

    id: str
    template_path: str
    upstream: frozenset[str]
    work: Work
    policy: Policy
    when: Evaluable | None = None
    otherwise: Evaluable | None = None
    on_error: Evaluable | None = None
    cache: timedelta | None = None

    @property
    def is_pure(self) -> bool:
        """Whether neither it nor anything inside it has an effect."""
        match self.work:
            case PureWork():
                return True
            case EffectWork() | WaitWork():
                return False
            case ContainerWork(bodies=bodies):
                return all(body.is_pure for body in bodies)


@dataclass(frozen=True, slots=True)
class Unit:
    """What shares one task: one node, or pure nodes that become ready at the same moment.

    Attributes:
        nodes: In topological order.
        upstream: Indexes of the units it awaits; always smaller than its own.
        is_inline: Whether it can run without a task: pure, and waiting for nothing.
    """

    nodes: tuple[Node, ...]
    upstream: tuple[int, ...]
    is_inline: bool = field(init=False)

    def __post_init__(self) -> None:
        """Find out once what every run asks."""
        is_pure = all(isinstance(node.work, PureWork) for node in self.nodes)
        object.__setattr__(self, "is_inline", is_pure and not self.upstream)


@dataclass(frozen=True, slots=True)
class Body:
    """Nodes that see each other: of a template, an item, a pass or a case; in units.

    Attributes:
        is_inline: Whether none of it needs a task.
        nodes: All of them.
    """

    units: tuple[Unit, ...]
    is_pure: bool
    is_inline: bool = field(init=False)
    nodes: tuple[Node, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find out once what every run asks."""
        object.__setattr__(self, "is_inline", all(unit.is_inline for unit in self.units))
        nodes = tuple(node for unit in self.units for node in unit.nodes)
        object.__setattr__(self, "nodes", nodes)


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole template, ready to run any number of times.

    Attributes:
        outputs: By name; evaluated when every node is done.
        on_failure: Runs once before the run turns failed.
    """

    name: str
    version: str
    body: Body
    outputs: Mapping[str, Evaluable] = field(default_factory=dict[str, Evaluable])
    on_failure: Body | None = None

    @property
    def is_pure(self) -> bool:
        """Whether a run of it needs nothing from outside: claimed and finished in one go."""
        return self.body.is_pure

    @property
    def is_inline(self) -> bool:
        """Whether no run of it needs a task, whatever becomes of it."""
        return self.body.is_inline and (self.on_failure is None or self.on_failure.is_inline)
