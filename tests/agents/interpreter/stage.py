"""One template on a stage: compiled once, run any number of times over one ledger."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from textwrap import dedent, indent

from tests.agents.interpreter.doubles import (
    MemoryJournal,
    PlainTools,
    ScriptedModels,
    VirtualClock,
    World,
)

from treadle.agents.interpreter import Gate, Graph, compile_graph
from treadle.agents.interpreter.execution import execute
from treadle.agents.language.findings import Findings
from treadle.agents.language.loading import load
from treadle.agents.language.parser import parse
from treadle.agents.ports import (
    Cache,
    Children,
    Nobody,
    Outcome,
    Ports,
    RunFacts,
    Succeeded,
    Waits,
)
from treadle.agents.values import JsonValue
from treadle.integrations.registry import AnyTool

FACTS = RunFacts(
    id="run_1",
    root_id="run_1",
    workspace="ws_1",
    name="probe",
    version="1.0.0",
    owner="ada@example.com",
    trigger="api",
    started_at=datetime(2026, 11, 25, tzinfo=UTC),
    url="https://treadle.example/runs/run_1",
)


def compiled(nodes: str, world: World, *, rest: str = "", tools: Sequence[AnyTool] = ()) -> Graph:
    """A template of these nodes; `rest` is what else stands at its top level."""
    head = "treadle: 1\nname: probe\nversion: 1.0.0\nnodes:\n"
    text = head + indent(dedent(nodes), "  ") + "\n" + dedent(rest)
    findings = Findings(load(text))
    template = parse(findings)
    assert template is not None
    assert not findings.issues
    more = {tool.name: tool for tool in tools}
    return compile_graph(template, world.tools() | more)


@dataclass
class Stage:
    """Runs a graph and keeps what it left: the ledger, the clock, the models' requests."""

    world: World = field(default_factory=World)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    clock: VirtualClock = field(default_factory=VirtualClock)
    models: ScriptedModels = field(default_factory=ScriptedModels)
    gate: Gate = field(default_factory=Gate)
    inputs: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    connections: Mapping[str, bool] = field(default_factory=dict[str, bool])
    model: str | None = None
    processes: Executor | None = None
    waits: Waits = field(default_factory=Nobody)
    children: Children = field(default_factory=Nobody)
    cache: Cache | None = None

    async def run(self, graph: Graph) -> Outcome:
        """Run to an outcome, as the engine does; the outcome commits what is pending."""
        ports = Ports(
            journal=self.journal,
            tools=PlainTools(self.models),
            models=self.models,
            clock=self.clock,
            processes=self.processes,
            waits=self.waits,
            children=self.children,
            cache=self.cache,
        )
        outcome = await execute(
            graph,
            replace(FACTS, model=self.model),
            inputs=self.inputs,
            connections=self.connections,
            ports=ports,
            gate=self.gate,
        )
        self.journal.commit()
        return outcome

    async def outputs(self, graph: Graph) -> dict[str, JsonValue]:
        """Run to a good end and give its outputs."""
        outcome = await self.run(graph)
        assert isinstance(outcome, Succeeded), outcome
        return outcome.outputs

    def restart(self, *, crash_at: int | None = None) -> None:
        """Another process takes the run over with what was committed."""
        self.journal = MemoryJournal(self.journal.committed, crash_at=crash_at)
        self.gate = Gate()
