"""Random kills under load, seeded: who is killed when, and what is run, follow from the seed.

`python -m tests.chaos.storm --seed 7 --kills 1000` does it at any length and prints its report;
the tests do it for a short while.
"""

import argparse
import json
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import httpx
import psutil
from tests.chaos.rest import Json, Unanswered
from tests.chaos.scenarios import SCENARIOS, People, Scenario, faults, prepare, start
from tests.chaos.sink import Arrival
from tests.chaos.world import LEASE_S, World, world

PAUSES_S: Mapping[str, tuple[float, float]] = {
    "worker": (1.0, 5.0),
    "api": (0.5, 5.0),
    "scheduler": (0.5, 5.0),
    "valkey": (20.0, 60.0),
}
"""How long a child may live after its first sign of life, before it is killed again: from, to.

A worker's sign is a call at the sink. Three lives in a row without a finished step would make the
engine take a run for poison, and rightly so: on a slow machine a clock alone would do that.
"""
SIGN_WITHIN_S = 60.0
UNSEEN_S = 1.0
"""In place of a sign where there is none to see."""
FIRST_KILL_S = 2.0
EFFECT_MS = 250
"""How long an effect takes: somebody is always in the middle of one when the axe falls."""


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        kills: Stop to kill after so many.
        seconds: … or after so long.
        runs_at_a_time: The load.
        pauses_s: Whom to kill, and how often; see `PAUSES_S`.
        most: How often a kind of child is killed at most; as often as it comes if it is absent.
        is_gentle: Whether they are asked to end (SIGTERM) in place of being killed.
    """

    seed: int
    kills: int
    seconds: float
    runs_at_a_time: int = 32
    patience_s: float = 600.0
    pauses_s: Mapping[str, tuple[float, float]] = field(default_factory=lambda: PAUSES_S)
    most: Mapping[str, int] = field(default_factory=dict[str, int])
    is_gentle: bool = False


@dataclass
class Report:
    """What came of it.

    Attributes:
        not_accepted: Requests that nobody answered for as long as their sender asked.
        lost: Runs that did not end, not even when all was calm again.
        quarantined: Runs that ended as failed because their worker died three times in a row.
        wrong: Runs that ended otherwise than they should have.
        faults: What a worker logged of the engine's own faults, though their runs went on.
    """

    seed: int
    kills: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0
    accepted: int = 0
    ended: int = 0
    settled: int = 0
    repeated_effects: int = 0
    repeated_model_calls: int = 0
    not_accepted: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])
    quarantined: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])
    resume_s: list[float] = field(default_factory=list[float])
    first_s: list[float] = field(default_factory=list[float])

    @property
    def total_kills(self) -> int:
        return sum(self.kills.values())

    def summary(self) -> dict[str, object]:
        """As it is published."""
        shown = asdict(self)
        for name in ("resume_s", "first_s"):
            shown[name] = quantiles(getattr(self, name))
        return {**shown, "total_kills": self.total_kills, "kills": dict(self.kills)}


def quantiles(values: list[float]) -> dict[str, float]:
    """p50, p95 and the largest."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {
        "count": len(ordered),
        "p50": round(statistics.median(ordered), 3),
        "p95": round(p95, 3),
        "max": round(ordered[-1], 3),
    }


class ResumeClock:
    """From the kill of a worker to the next call that a run under way makes at the sink."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._moving: set[str] = set()
        self._stopped: dict[str, float] = {}
        self._killed_at: float | None = None
        self.last_arrival = 0.0
        self._lock = threading.Lock()

    def killed(self) -> None:
        """Note that the worker was killed just now."""
        now = time.monotonic()
        with self._lock:
            self._killed_at = self._killed_at or now
            for tag in self._moving:
                self._stopped.setdefault(tag, now)

    def arrived(self, arrival: Arrival) -> None:
        """Note a call; runs that wait for people or time do not count."""
        tag = arrival.path.split("/")[2]
        self.last_arrival = arrival.at
        with self._lock:
            if self._killed_at is not None:
                self._report.first_s.append(arrival.at - self._killed_at)
                self._killed_at = None
            since = self._stopped.pop(tag, None)
            if since is not None:
                self._report.resume_s.append(arrival.at - since)
            elif tag.startswith("steady-"):
                self._moving.add(tag)

    def ended(self, tag: str) -> None:
        """Note that a run needs nothing more."""
        with self._lock:
            self._moving.discard(tag)
            self._stopped.pop(tag, None)


class Storm:
    """Drivers that run scenarios, and one executioner for each kind of child."""

    def __init__(self, around: World, plan: Plan) -> None:
        self._world = around
        self._plan = plan
        self.report = Report(plan.seed)
        self._clock = ResumeClock(self.report)
        self._calm = threading.Event()  # nobody is killed any more
        self._full = threading.Event()  # no run is started any more
        self._lock = threading.Lock()
        self._unheard: list[_Accepted] = []

    def run(self) -> Report:
        """Kill as planned, let everything come to its end, and say what came of it."""
        prepare(self._world)
        self._world.sink.on_arrival = self._clock.arrived
        began = time.monotonic()
        drivers = [self._thread(self._drive, n) for n in range(self._plan.runs_at_a_time)]
        time.sleep(FIRST_KILL_S)
        killers = [self._thread(self._execute, name) for name in self._plan.pauses_s]
        self._calm.wait(self._plan.seconds)
        self._calm.set()
        for thread in killers:
            thread.join()
        self._full.set()
        for thread in drivers:
            thread.join()
        for one in self._unheard:
            try:
                self._judge(one)
            except AssertionError as error:
                self.report.lost.append(f"{one.scenario.name} {one.run}: {error}"[:2000])
        self._world.sink.on_arrival = None
        self.report.seconds = round(time.monotonic() - began, 1)
        return self.report

    def _thread(self, target: object, *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]  # bound methods of ours
        thread.start()
        return thread

    def _execute(self, name: str) -> None:
        """Kill one child again and again, each time another process."""
        random_ = random.Random(f"{self._plan.seed} {name}")
        low, high = self._plan.pauses_s[name]
        last = 0
        most = self._plan.most.get(name, self._plan.kills)
        while not self._calm.is_set() and self.report.kills[name] < most:
            with suppress(AssertionError, psutil.Error, ProcessLookupError):
                last = self._world.replaced(name, last)
                self._sign_of_life(name)
                if not self._calm.wait(random_.uniform(low, high)):
                    self._strike(name)

    def _sign_of_life(self, name: str) -> None:
        """Return when a child is seen to do its work, or could have been for long enough."""
        since, until = time.monotonic(), time.monotonic() + SIGN_WITHIN_S
        while not self._calm.is_set() and time.monotonic() < until:
            if name == "worker" and self._clock.last_arrival > since:
                return
            if name == "api" and self._world.is_answering():
                return
            if name not in {"worker", "api"} and time.monotonic() - since > UNSEEN_S:
                return
            time.sleep(0.1)

    def _strike(self, name: str) -> None:
        with self._lock:
            if self._calm.is_set():
                return
            self._world.kill_known(name, signal.SIGTERM if self._plan.is_gentle else signal.SIGKILL)
            self.report.kills[name] += 1
            if self.report.total_kills >= self._plan.kills:
                self._calm.set()
        if name == "worker":
            self._clock.killed()

    def _drive(self, number: int) -> None:
        random_ = random.Random(f"{self._plan.seed} driver {number}")
        turn = 0
        while not self._full.is_set():
            scenario = random_.choice(SCENARIOS)
            kind = "steady" if scenario.is_steady else "patient"
            self._one(scenario, f"{kind}-{self._plan.seed}-{number}-{turn}")
            turn += 1

    def _one(self, scenario: Scenario, tag: str) -> None:
        around, report = self._world, self.report
        kills_before = report.total_kills
        try:
            run = start(around, scenario, tag, ms=EFFECT_MS)
        except (Unanswered, httpx.HTTPError) as error:
            with self._lock:
                report.not_accepted.append(f"{tag}: {error}"[:500])
            return
        with self._lock:
            report.accepted += 1
        accepted = _Accepted(scenario, run, tag, kills_before)
        try:
            self._judge(accepted)
        except AssertionError:  # nobody could be asked for so long; when all is calm, somebody can
            with self._lock:
                self._unheard.append(accepted)

    def _judge(self, one: "_Accepted") -> None:
        """See a run to its end and look into the books; raises `AssertionError` without one."""
        around, report, scenario, tag = self._world, self.report, one.scenario, one.tag
        people = People(around)
        try:
            shown = people.look_after(one.run, tag, within_s=self._plan.patience_s, pause_s=0.8)
        finally:
            self._clock.ended(tag)
        found = faults(
            around, scenario, tag, shown, spare_calls=report.total_kills - one.kills_before
        )
        named = f"{scenario.name} {one.run} {tag}"
        with self._lock:
            report.ended += 1
            report.settled += people.settled
            error: Json = shown["error"] or {}
            if error.get("code") == "worker_crash":
                report.quarantined.append(named)
                found = [problem for problem in found if _is_doubled(problem)]
            report.wrong.extend(f"{named}: {problem}"[:2000] for problem in found)
            report.repeated_model_calls += max(0, around.models.calls(tag) - scenario.model_calls)
            sent = around.sink.below(f"/keyed/{tag}/")
            report.repeated_effects += sum(arrival.is_repeat for arrival in sent)
        around.models.forget(tag)
        around.sink.forget_below(*(f"/{kind}/{tag}/" for kind in ("keyed", "once", "read")))


@dataclass(frozen=True)
class _Accepted:
    """A run that was promised; `kills_before` were carried out when it was."""

    scenario: Scenario
    run: str
    tag: str
    kills_before: int


def _is_doubled(problem: str) -> bool:
    """Whether more was done than was asked for: that holds for a run that failed, too."""
    words = problem.split()
    if problem.startswith("once"):
        return int(words[-2]) > 1
    return problem.startswith("keyed") and int(words[2]) > int(words[-1])


def run_storm(around: World, plan: Plan) -> Report:
    """Do it in a world that runs already."""
    report = Storm(around, plan).run()
    report.faults = [
        line for line in around.service.lines if '"run.crashed"' in line or '"loop.fault"' in line
    ]
    return report


def problems(report: Report, *, is_timed: bool = True) -> list[str]:
    """What of the promise was broken; the time of resume only where the machine is our own."""
    found = [*(f"lost: {one}" for one in report.lost), *report.wrong, *report.faults]
    found += [f"quarantined: {one}" for one in report.quarantined]
    resumed = quantiles(report.resume_s)
    if is_timed and resumed["count"] and resumed["p95"] > LEASE_S + 10:
        found.append(f"resume p95 {resumed['p95']} s is above lease + 10 s")
    return found


def main(arguments: list[str]) -> int:
    """Run one storm from the command line; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--runs-at-a-time", type=int, default=32)
    parser.add_argument("--port", type=int, default=None)
    parser.add_argument("--only", help="kill this kind of child alone, once it lived this long")
    parser.add_argument("--pause", type=float, default=10.5)
    options = parser.parse_args(arguments)
    pauses = {options.only: (options.pause, options.pause + 1)} if options.only else PAUSES_S
    plan = Plan(
        options.seed,
        options.kills,
        options.minutes * 60,
        runs_at_a_time=options.runs_at_a_time,
        pauses_s=pauses,
    )
    with world(port=options.port, patience_s=300) as around:
        report = run_storm(around, plan)
    sys.stdout.write(json.dumps(report.summary(), indent=1) + "\n")
    return 1 if problems(report) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
