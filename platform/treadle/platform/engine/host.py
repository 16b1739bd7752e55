"""Hosts the runs of one worker process on one event loop.

It claims what it is told of, lets a runner advance each run, and writes what becomes of it. It
beats, sweeps and drains. It knows nothing of Celery: `ring` is all that a bell does here.
"""

import asyncio
import json
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from treadle.agents.errors import LeaseLost
from treadle.agents.interpreter import Closed, Gate
from treadle.agents.ports import Outcome, StepRecord
from treadle.platform.db.away import is_away
from treadle.platform.engine.broadcast import Listener, Speaker
from treadle.platform.engine.claims import ClaimedRun, Claims
from treadle.platform.engine.connections import EngineConnection
from treadle.platform.engine.endings import crashed, ending
from treadle.platform.engine.entries import run_entry
from treadle.platform.engine.errors import CommitRefused, DatabaseAway, WorkerReplaced
from treadle.platform.engine.family_calls import FamilyCalls
from treadle.platform.engine.hints import (
    CANCELS,
    COMMITS,
    SIGNALS,
    delta_channel,
    write_claims,
    write_delta,
    write_hints,
)
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.inbox import Inbox, Letters, Postman, Recipient
from treadle.platform.engine.journal import Ledger, RunJournal, has_waits
from treadle.platform.engine.leases import ENDED, Lease, Release, RunStatus
from treadle.platform.engine.liveness import BEAT_S, DEAD_AFTER_S, Liveness
from treadle.platform.engine.sweep import RING_AGAIN_S, Sweeper
from treadle.platform.engine.turns import ANY_PRIORITY, Turns
from treadle.platform.engine.writer import Committed, LogWriter
from treadle.platform.log import get_log
from treadle.platform.loops import keep_going
from treadle.platform.metrics.instruments import ACTIVE, BELL_SECONDS, CLAIMED, COMMIT_RUNS, SWEPT
from treadle.platform.metrics.instruments import COMMITS as COMMITS_MADE
from treadle.platform.metrics.records import observe_run
from treadle.platform.tracing.exporter import Exporter
from treadle.platform.tracing.runs import RunTrace

MOST_PENDING = 10_000
SWEEP_S = 2.0
DRAIN_S = 25.0
_ELBOW_S = 0.02
MOST_FAULTS = 3
"""A fault of ours fails a run the third time: one of chance does not come again."""
_FAULTS_KEPT = 1_000

log = get_log(__name__)


class Runner(Protocol):
    """Advances a claimed run as far as it goes."""

    async def advance(self, run: ClaimedRun, journal: RunJournal, gate: Gate) -> Outcome:
        """Until its end, a wait, or until the gate stops it; raises `LeaseLost`."""
        ...


class Ringer(Protocol):
    """What tells all workers of runs to look at: the bell."""

    def ring(self, runs: Sequence[RunId]) -> None:
        """Ask the workers to look at these runs."""
        ...


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How a host behaves.

    Attributes:
        name: Stable over restarts; no two processes have the same.
        concurrency: Runs that it advances at a time.
    """

    name: str
    database_url: str
    redis_url: str
    concurrency: int = 64
    beat_s: float = BEAT_S
    dead_after_s: float = DEAD_AFTER_S
    sweep_s: float = SWEEP_S
    ring_again_s: float = RING_AGAIN_S


@dataclass(slots=True)
class _Active:
    lease: Lease
    gate: Gate
    recipient: Recipient
    task: asyncio.Task[None] | None = None


class RunHost:
    """The runs of this process.

    Args:
        on_replaced: Called when another process took this one's name: it must end.
        on_workers: Called at each beat with the number of workers that live.
        exporter: Where spans go; without one there are none.
    """

    def __init__(
        self,
        options: HostOptions,
        *,
        runner: Runner,
        bell: Ringer,
        on_replaced: Callable[[], None],
        on_workers: Callable[[int], None] | None = None,
        exporter: Exporter | None = None,
    ) -> None:
        url = options.database_url
        self._options = options
        self._runner = runner
        self._bell = bell
        self._on_replaced = on_replaced
        self._on_workers = on_workers
        self._exporter = exporter
        self._housekeeping = EngineConnection(url)
        self._claiming = EngineConnection(url)
        self._claims = Claims(self._claiming, worker=options.name)
        self._writer = LogWriter(EngineConnection(url), on_committed=self._tell)
        self._liveness = Liveness(
            self._housekeeping,
            name=options.name,
            concurrency=options.concurrency,
            dead_after_s=options.dead_after_s,
        )
        self._turns = Turns(self._claiming, places=options.concurrency)
        self._sweeper = Sweeper(
            self._housekeeping,
            dead_after_s=options.dead_after_s,
            ring_again_s=options.ring_again_s,
        )
        self._speaker = Speaker(options.redis_url)
        self._listener = Listener(options.redis_url)
        self._listener.hear(CANCELS, self._cancelled)
        self._listener.hear(SIGNALS, self._signalled)
        self._postman = Postman(self._housekeeping)
        self._family = FamilyCalls(self._housekeeping, self._speaker, bell)
        self._signals: set[RunId] = set()
        self._has_signals = asyncio.Event()
        self._pending: deque[RunId] = deque()
        # More is queued than bells told of, or than there were places for.
        self._overflowed = False
        # Something may be queued that could have no place when it was looked at.
        self._is_held_back = False
        self._work = asyncio.Event()
        self._claim_lock = asyncio.Lock()
        self._active: dict[RunId, _Active] = {}
        self._suspect: RunId | None = None
        self._faults: OrderedDict[RunId, int] = OrderedDict()
        self._is_draining = False
        ACTIVE.set_function(lambda: len(self._active))
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Register, take back what a process of this name left behind, look for more, and begin.

        Bells that came before this are lost on this process, so it asks once for what is queued.
        """
        await self._liveness.register()
        await self._beat()
        await self._turns.learn_limits()
        self._writer.start()
        self._speaker.start()
        self._listener.start()
        self.ring(await self._take_back())
        self._overflowed = True
        self._work.set()
        self._tasks = [
            keep_going(self._claim_loop, name="claims"),
            keep_going(self._beat_loop, name="beats"),
            keep_going(self._sweep_loop, name="sweeps"),
            keep_going(self._signal_loop, name="signals"),
        ]
        log.info("worker.started", worker=self._options.name, runs=len(self._pending))

    def ring(self, runs: Iterable[RunId]) -> None:
        """Look at these runs; called on the loop. A second ring changes nothing."""
        for run in runs:
            if len(self._pending) >= MOST_PENDING:
                self._overflowed = True
                break
            self._pending.append(run)
        if self._pending:
            self._work.set()

    async def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Take nothing new, let running steps finish, hand over what is left, and leave."""
        self._is_draining = True
        for active in self._active.values():
            active.gate.close(Closed.DRAIN)
        if not await self._all_done(timeout_s):
            for active in self._active.values():
                active.gate.close(Closed.CANCEL)
            await self._all_done(3.0)
        await self._writer.flush()
        with suppress(DatabaseAway):
            async with self._claim_lock:
                handed_over = await self._take_back()
            self._bell.ring(handed_over)
            await self._liveness.unregister()

    async def stop(self) -> None:
        """Stop at once; `drain` comes first, or the runs are found by a sweep."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._writer.stop()
        await self._listener.stop()
        await self._speaker.stop()
        await self._claiming.close()
        await self._housekeeping.close()

    @property
    def active(self) -> frozenset[RunId]:
        """The runs it advances at present."""
        return frozenset(self._active)

    async def _all_done(self, timeout_s: float) -> bool:
        """Wait for the runs of now and for those that a claim under way still brings."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                async with self._claim_lock:
                    pass
                while tasks := [one.task for one in self._active.values() if one.task is not None]:
                    await asyncio.wait(tasks)
        return not self._active

    async def _claim_loop(self) -> None:
        while True:
            await self._work.wait()
            free = self._options.concurrency - len(self._active)
            if self._is_draining or free <= 0 or not (self._pending or self._overflowed):
                self._work.clear()
                continue
            try:
                await self._claim(free)
            except DatabaseAway as away:
                log.warning("claim.unknown", reason=str(away))
                await asyncio.sleep(0.5)  # the sweep rings again for what is dropped here

    async def _claim(self, free: int) -> None:
        async with self._claim_lock:
            if self._is_draining:
                return
            runs = await self._next(free)
            claimed = await self._take(runs, free)
            CLAIMED.inc(len(claimed))
            written = [run for run in claimed if not run.is_pure]
            if written:
                self._speaker.say(COMMITS, write_claims(written))
            resumed = [run.id for run in claimed if run.seq > (1 if run.is_pure else 2)]
            ledgers = await self._claims.ledgers(resumed) if resumed else {}
            waiting = [run for run, ledger in ledgers.items() if has_waits(ledger)]
            came = await self._claims.letters(waiting) if waiting else []
            letters = {one.id: one for one in came}
            for run in claimed:
                BELL_SECONDS.observe(max(0.0, (run.at - run.rung_at).total_seconds()))
                self._begin(run, ledgers.get(run.id, {}), letters.get(run.id))

    async def _next(self, free: int) -> list[RunId]:
        """What to claim: what bells told of if all of it finds a place, else what is due first."""
        fresh = [run for run in dict.fromkeys(self._pending) if run not in self._active]
        self._pending.clear()
        if not self._overflowed and len(fresh) <= free:
            return fresh
        queued = await self._turns.queued(
            free,
            active=self._active,
            spaces=[active.lease.workspace for active in self._active.values()],
        )
        self._overflowed = bool(queued)
        self._is_held_back = self._turns.holds_back(free)
        return queued

    async def _take(self, runs: Sequence[RunId], free: int) -> list[ClaimedRun]:
        if not runs:
            return []
        least_priority = self._turns.least_priority(free - len(runs) + 1)
        claimed = await self._claims.take(
            runs,
            least_priority=ANY_PRIORITY if self._overflowed else least_priority,
            are_limited=self._turns.are_limited,
            may_try=self._suspect is None,
        )
        self._suspect = next((run.id for run in claimed if run.is_suspect), self._suspect)
        if len(claimed) < len(runs):
            if self._suspect is not None and not claimed:
                self._overflowed = False  # until it is cleared: others may have to wait for that
            elif self._overflowed and not claimed:  # others are at them
                await asyncio.sleep(_ELBOW_S * random.random())  # noqa: S311 - no secret
            elif self._turns.holds_back(free - len(runs) + 1):
                self._overflowed = True
        return claimed

    def _look_again(self) -> None:
        """A place became free: who was held back may have it."""
        self._overflowed = self._overflowed or self._is_held_back or self._turns.are_limited
        self._is_held_back = False
        self._work.set()

    def _begin(self, run: ClaimedRun, ledger: Ledger, letters: Letters | None) -> None:
        lease, gate = run.lease(), Gate()
        lease.on_lost = lambda: gate.close(Closed.CANCEL)
        inbox = Inbox()
        recipient = Recipient(lease, inbox, lambda: gate.close(Closed.PAUSE))
        active = self._active[run.id] = _Active(lease, gate, recipient)
        if letters is not None:
            recipient.take(letters)
            lease.parks_at = lease.signals
        if self._is_draining:
            gate.close(Closed.DRAIN)
        if run.is_paused:
            gate.close(Closed.PAUSE)
        trace = self._trace(run)
        journal = RunJournal(
            lease,
            self._writer,
            ledger=ledger,
            on_delta=self._delta,
            inbox=inbox,
            on_started=self._bell.ring,
            trace=trace,
        )
        active.task = asyncio.create_task(self._advance(run, lease, journal, gate, trace))

    def _trace(self, run: ClaimedRun) -> RunTrace | None:
        trace = None if self._exporter is None else RunTrace(run, self._exporter)
        return trace if trace is not None and trace.is_wanted else None

    async def _advance(
        self,
        run: ClaimedRun,
        lease: Lease,
        journal: RunJournal,
        gate: Gate,
        trace: RunTrace | None,
    ) -> None:
        if run.is_pure:
            self._writer.append(lease, run_entry("started"))
        try:
            release, entries = ending(await self._runner.advance(run, journal, gate))
            await self._writer.release(lease, release, *entries)
            if lease.left_as is RunStatus.QUEUED:
                self._bell.ring([run.id])
            elif lease.left_as is not None and lease.left_as in ENDED:
                observe_run(lease.left_as, started_at=run.started_at, ended_at=datetime.now(UTC))
                if trace is not None:
                    trace.end(lease.left_as)
                await self._family.ended(run)
        except (LeaseLost, CommitRefused) as lost:
            log.info("run.lost", run_id=str(run.id), reason=str(lost))
        except Exception as error:  # noqa: BLE001 - whatever it is, the run must not stay as it is
            await self._give_up(lease, error)
        finally:
            del self._active[run.id]
            self._clear(run.id)
            self._look_again()

    async def _give_up(self, lease: Lease, error: Exception) -> None:
        """Put the run back, as if the worker had died; fail it if that does not help."""
        is_over = False
        if isinstance(error, DatabaseAway) or is_away(error):
            log.warning("run.put_back", run_id=str(lease.run), reason=str(error))
        else:
            log.error("run.crashed", run_id=str(lease.run), exc_info=error)
            is_over = self._count_fault(lease.run) >= MOST_FAULTS
        release, entries = crashed(error) if is_over else (Release(RunStatus.QUEUED), ())
        with suppress(LeaseLost, CommitRefused):
            await self._writer.release(lease, release, *entries)
        if lease.left_as is RunStatus.QUEUED:
            self._bell.ring([lease.run])

    def _count_fault(self, run: RunId) -> int:
        """How often this run met one here, with the one of now."""
        count = self._faults[run] = self._faults.pop(run, 0) + 1
        if len(self._faults) > _FAULTS_KEPT:
            self._faults.popitem(last=False)
        return count

    def _clear(self, suspect: RunId) -> None:
        """A run got somewhere, or left: the next suspect may be tried."""
        if self._suspect == suspect:
            self._suspect = None
            self._overflowed = True
            self._work.set()

    async def _beat_loop(self) -> None:
        while True:
            await asyncio.sleep(self._options.beat_s)
            try:
                await self._beat()
            except DatabaseAway as away:
                log.warning("beat.missed", reason=str(away))
            except WorkerReplaced as replaced:
                log.warning("worker.replaced", reason=str(replaced))
                self._lose(list(self._active))
                self._is_draining = True
                self._on_replaced()
                return

    async def _beat(self) -> None:
        leases = [active.lease for active in self._active.values() if not active.lease.claims]
        self._lose(await self._liveness.beat({lease.run: lease.epoch for lease in leases}))
        if self._on_workers is not None:
            self._on_workers(self._liveness.workers)

    async def _sweep_loop(self) -> None:
        while True:
            await asyncio.sleep(self._options.sweep_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            if self._is_draining:
                continue
            try:
                await self._turns.learn_limits()
                found = await self._sweeper.sweep() + await self._family.sweep()
                self._signalled_all()
                async with self._claim_lock:
                    found += await self._take_back()
                # Bells may be lost, and with them what another's sweep has just rung for.
                self._overflowed = True
                self._work.set()
            except DatabaseAway as away:
                log.warning("sweep.failed", reason=str(away))
                continue
            if found:
                SWEPT.inc(len(found))
                # Here and everywhere: with the broker away, at least this process looks at them.
                self.ring(found)
                self._bell.ring(found)

    async def _take_back(self) -> list[RunId]:
        return await self._sweeper.take_back(
            self._options.name,
            incarnation=self._liveness.incarnation,
            active=self._active.keys(),
        )

    def _lose(self, runs: Iterable[RunId]) -> None:
        for run in runs:
            active = self._active.get(run)
            if active is not None:
                active.lease.fail(LeaseLost(f"run {run} belongs to somebody else"))

    def _cancelled(self, message: bytes) -> None:
        self._lose(RunId(UUID(run)) for run in json.loads(message))

    def _signalled(self, message: bytes) -> None:
        self._signals.update(RunId(UUID(run)) for run in json.loads(message))
        self._has_signals.set()

    def _signalled_all(self) -> None:
        """Look at every run that is here: a hint may have been lost."""
        self._signals.update(self._active)
        self._has_signals.set()

    async def _signal_loop(self) -> None:
        while True:
            await self._has_signals.wait()
            self._has_signals.clear()
            runs, self._signals = self._signals, set()
            here = [self._active[run].recipient for run in runs if run in self._active]
            with suppress(DatabaseAway):  # the sweep looks again
                await self._postman.deliver(here)

    def _tell(self, committed: Sequence[Committed]) -> None:
        COMMITS_MADE.inc()
        COMMIT_RUNS.observe(len(committed))
        if committed:
            self._speaker.say(COMMITS, write_hints(committed))
        if self._suspect is not None:
            for one in committed:
                if any(entry.is_progress for entry in one.commit.entries):
                    self._clear(one.commit.lease.run)

    def _delta(self, run: RunId, step: StepRecord, text: str) -> None:
        self._speaker.say(delta_channel(run), write_delta(step, text, at=datetime.now(UTC)))
