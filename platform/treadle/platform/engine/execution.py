"""Runs a claimed run's graph over real ports."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol

from treadle.agents.interpreter import Gate
from treadle.agents.interpreter.execution import execute
from treadle.agents.language.model import Budget
from treadle.agents.ports import (
    Cache,
    Children,
    Clock,
    Nobody,
    Outcome,
    Ports,
    RunFacts,
    Tools,
    Waits,
)
from treadle.integrations.models import ModelClient
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.budgets import (
    BudgetedModels,
    Prices,
    Purse,
    effective,
    is_limited,
    paying,
)
from treadle.platform.engine.claims import ClaimedRun
from treadle.platform.engine.hours import Hours
from treadle.platform.engine.journal import RunJournal
from treadle.platform.engine.programs import Program, Programs
from treadle.platform.engine.waiting import RunChildren, RunWaits, WaitingRoom

_FIRST_SEQ = 2
"""Length of a run's log after its first claim."""


class Toolbox(Protocol):
    """Opens what a run's tools may use, for as long as it runs here."""

    def open(self, run: ClaimedRun) -> AbstractAsyncContextManager[Tools]:
        """The connections that the run binds, its artifacts, its files."""
        ...


class Texts(Protocol):
    """Where templates' texts lie."""

    async def text(self, workspace: WorkspaceId, sha256: bytes) -> str:
        """The text of a run's template."""
        ...


class GraphRunner:
    """Advances runs by the interpreter.

    Args:
        public_url: Under which people reach the service, for `run.url`.
        room: Where runs wait; without one nobody answers them.
        caches: What the runs of a workspace keep for each other; without it they keep nothing.
        prices: What models cost; without it nothing does.
        hours: How long earlier owners worked; without it nobody did.
    """

    def __init__(
        self,
        *,
        texts: Texts,
        toolbox: Toolbox,
        models: ModelClient,
        clock: Clock,
        processes: Executor | None,
        public_url: str,
        room: WaitingRoom | None = None,
        caches: Callable[[WorkspaceId], Cache] | None = None,
        prices: Prices = lambda _: None,
        hours: Hours | None = None,
    ) -> None:
        self._texts = texts
        self._programs = Programs()
        self._toolbox = toolbox
        self._models = models
        self._clock = clock
        self._processes = processes
        self._room = room
        self._caches = caches
        self._prices = prices
        self._hours = hours
        self._public_url = public_url.rstrip("/")

    async def advance(self, run: ClaimedRun, journal: RunJournal, gate: Gate) -> Outcome:
        """See `Runner`."""
        program = await self._program(run.workspace_id, run.sha256)
        waits, children = self._waiting(run, journal)
        budget = effective(program.template.budget, run.settings.get("budget"))
        purse = await self._purse(budget, run, journal, gate) if is_limited(budget) else None
        models = self._models
        if purse is not None:
            models = BudgetedModels(models, purse, self._prices)
        if purse is not None and budget.steps is not None:
            journal.on_step = purse.begin_step
        async with self._toolbox.open(run) as tools, paying(purse):
            outcome = await execute(
                program.graph,
                self._facts(run),
                inputs=run.inputs,
                connections={
                    name: name in run.connections for name in program.template.connections
                },
                ports=Ports(
                    journal=journal,
                    tools=tools,
                    models=models,
                    clock=self._clock,
                    processes=self._processes,
                    waits=waits,
                    children=children,
                    cache=None if self._caches is None else self._caches(run.workspace_id),
                ),
                gate=gate,
            )
        return outcome if purse is None else purse.verdict(outcome)

    async def _purse(
        self, budget: Budget, run: ClaimedRun, journal: RunJournal, gate: Gate
    ) -> Purse:
        worked = timedelta()
        if budget.wall is not None and self._hours is not None and run.seq > _FIRST_SEQ:
            worked = await self._hours.worked(run.id, before=run.seq)
        return Purse(budget, gate, journal.records, worked=worked)

    def _waiting(self, run: ClaimedRun, journal: RunJournal) -> tuple[Waits, Children]:
        if self._room is None:
            return Nobody(), Nobody()
        children = RunChildren(self._room, self._program, run=run, journal=journal)
        return RunWaits(self._room, journal), children

    async def _program(self, workspace: WorkspaceId, sha256: bytes) -> Program:
        known = self._programs.get(sha256)
        if known is not None:
            return known
        return self._programs.read(sha256, await self._texts.text(workspace, sha256))

    def _facts(self, run: ClaimedRun) -> RunFacts:
        model = run.settings.get("model")
        return RunFacts(
            id=str(run.id),
            root_id=str(run.root_id),
            workspace=str(run.workspace_id),
            name=run.template,
            version=run.version,
            owner=run.owner,
            trigger=run.trigger,
            started_at=run.started_at,
            url=f"{self._public_url}/runs/{run.id}",
            frame=run.frame,
            model=model if isinstance(model, str) else None,
        )
