"""What one run carries through all its frames."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from treadle.agents.ports import Ports, RunFacts, Wait
from treadle.agents.steps.gate import Closed, Gate
from treadle.agents.steps.items import Items
from treadle.agents.steps.quiet import Quiet
from treadle.agents.values import JsonValue

if TYPE_CHECKING:
    from treadle.agents.steps.frame import Frame
    from treadle.agents.steps.graph import Body


class Bodies(Protocol):
    """Runs what is inside a container; returns when nothing in it works any more.

    `frame.records` then has what finished, `frame.failure` the first error.
    """

    async def run(self, body: "Body", frame: "Frame") -> None:
        """Run any body."""
        ...

    def run_pure(self, body: "Body", frame: "Frame") -> None:
        """Run a body of pure nodes at once."""
        ...

    async def run_items(self, items: Items) -> None:
        """Run all items; those not begun when the gate closes are left out."""
        ...


class Run:
    """The state of one run in this process; what must survive it lies in the journal.

    Attributes:
        gate: The engine's: drain, pause, budget and cancel close it.
        names: The scope every frame shares: `inputs`, `connections`, `run`.
        bodies: Runs what is inside a container.
        waits: What the run would be parked on.
        quiet: Notices when nothing works any more.
        crash: An error that is nobody's step: the run stops here and the engine hears of it.
    """

    __slots__ = ("bodies", "crash", "facts", "gate", "names", "ports", "quiet", "waits")

    def __init__(
        self,
        facts: RunFacts,
        *,
        inputs: Mapping[str, JsonValue],
        connections: Mapping[str, bool],
        ports: Ports,
        gate: Gate,
        bodies: Bodies,
    ) -> None:
        self.facts = facts
        self.ports = ports
        self.gate = gate
        self.bodies = bodies
        self.waits: list[Wait] = []
        self.quiet = Quiet(gate)
        self.crash: Exception | None = None
        self.names: dict[str, JsonValue] = {
            "inputs": dict(inputs),
            "connections": dict(connections),
            "run": _visible_facts(facts),
        }

    def abort(self, error: Exception) -> None:
        """Stop everything because of an error that is not a step's: a lost lease, a bug."""
        self.crash = self.crash or error
        self.gate.close(Closed.CANCEL)


def _visible_facts(facts: RunFacts) -> dict[str, JsonValue]:
    return {
        "id": facts.id,
        "root_id": facts.root_id,
        "name": facts.name,
        "version": facts.version,
        "owner": facts.owner,
        "trigger": facts.trigger,
        "started_at": facts.started_at.isoformat(),
        "url": facts.url,
    }
