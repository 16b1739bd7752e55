"""The interpreter's `Waits` and `Children`, over the database."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from treadle.agents.language import validate_inputs
from treadle.agents.ports import Answer, ChildOrder, Clock, Wait, WaitKind
from treadle.agents.values import JsonObject
from treadle.platform.approvals.tokens import WaitTokens
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine import wait_statements
from treadle.platform.engine.claims import ClaimedRun
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.entries import dump, run_entry
from treadle.platform.engine.families import Family, Member
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.inbox import Expired
from treadle.platform.engine.journal import RunJournal
from treadle.platform.engine.programs import Program

_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class _Id:
    id: RunId


@dataclass(frozen=True, slots=True)
class WaitingRoom:
    """What waiting runs of a process share.

    Attributes:
        public_url: Under which people reach the service.
    """

    connection: EngineConnection
    tokens: WaitTokens
    clock: Clock
    public_url: str


@dataclass(frozen=True, slots=True)
class RunWaits:
    """See `Waits`; of one run."""

    room: WaitingRoom
    journal: RunJournal

    async def answer(self, wait: Wait) -> Answer:
        """See `Waits`."""
        return await self.journal.inbox.answer(wait.id)

    async def expire(self, wait: Wait) -> Answer:
        """See `Waits`. Nobody answers a timer, so the database is not asked about it."""
        if wait.kind is WaitKind.TIMER:
            return Answer(None, self.room.clock.now(), in_time=False)
        await self.journal.durable()
        while True:
            rows = await self.room.connection.fetch_surely(
                wait_statements.EXPIRE, {"id": UUID(wait.id)}, row=class_row(Expired)
            )
            if rows:
                found = rows[0]
                return Answer(
                    found.answer, found.answered_at, found.answered_by, in_time=not found.timed_out
                )
            await asyncio.sleep(_PAUSE_S)  # answered while we asked: the next look sees it

    def page(self, wait: Wait) -> str:
        """See `Waits`."""
        return self.room.tokens.page_url(UUID(wait.id), public_url=self.room.public_url)


class RunChildren:
    """See `Children`; of one run.

    Args:
        read: Compiles a stored template of a workspace.
    """

    def __init__(
        self,
        room: WaitingRoom,
        read: Callable[[WorkspaceId, bytes], Awaitable[Program]],
        *,
        run: ClaimedRun,
        journal: RunJournal,
    ) -> None:
        self._room = room
        self._read = read
        self._run = run
        self._journal = journal
        self._family = Family.read(run.children)

    async def check(self, order: ChildOrder) -> None:
        """See `Children`."""
        program = await self._program(self._member(order))
        validate_inputs(program.template, order.inputs)

    async def start(self, order: ChildOrder) -> None:
        """See `Children`. Raises `LeaseLost` if the parent belongs to somebody else by now."""
        if self._journal.inbox.has_child(order.id):
            return
        member = self._member(order)
        program = await self._program(member)
        started = await self._room.connection.fetch_surely(
            wait_statements.START_CHILD,
            {
                "id": UUID(order.id),
                "parent": self._run.id,
                "epoch": self._journal.epoch,
                "template": member.name,
                "version": member.version,
                "sha256": member.sha256,
                "settings": dump(self._settings()),
                "connections": dump(self._connections(order)),
                "inputs": dump(validate_inputs(program.template, order.inputs)),
                "frame": order.frame,
                "children": _stored(self._family.of(member)),
                "entry": run_entry("queued").text,
            },
            row=class_row(_Id),
        )
        self._journal.started([row.id for row in started])

    def _member(self, order: ChildOrder) -> Member:
        return self._family.child(self._run.sha256, order.use)

    async def _program(self, member: Member) -> Program:
        return await self._read(self._run.workspace_id, member.sha256)

    def _settings(self) -> JsonObject:
        """The agent's model goes along; budgets and defaults are the parent's own."""
        model = self._run.settings.get("model")
        return {"model": model} if isinstance(model, str) else {}

    def _connections(self, order: ChildOrder) -> JsonObject:
        bound = self._run.connections
        return {theirs: bound[ours] for theirs, ours in order.connections.items() if ours in bound}


def _stored(family: Family) -> str | None:
    children = family.write()
    return None if children is None else dump(children)
