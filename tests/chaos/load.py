"""A steady load while something else is broken, and the verdict after it."""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.scenarios import SCENARIOS, People, Scenario, faults, start
from tests.chaos.world import World

WITHIN_S = 300.0
_JUDGES = 16  # at a time: each asks the API all the time, which has the runs to move, too
_numbers = itertools.count(1)


class Load:
    """Runs of every scenario that were accepted, to be judged later.

    Args:
        ms: How long their effects take.
    """

    def __init__(self, around: World, *, ms: int = 300) -> None:
        self._around = around
        self._ms = ms
        self._runs: list[tuple[Scenario, str, str]] = []

    def add(self, scenarios: Sequence[Scenario] = SCENARIOS) -> None:
        """Start one run of each."""
        for scenario in scenarios:
            tag = f"steady-load-{next(_numbers)}"
            run = start(self._around, scenario, tag, ms=self._ms)
            self._runs.append((scenario, tag, run))

    def verdict(self, *, within_s: float = WITHIN_S, spare_calls: int = 1) -> list[str]:
        """Let them end; what is wrong with them. Whoever does not end is lost."""
        with ThreadPoolExecutor(_JUDGES) as pool:
            judged = [
                pool.submit(self._judge, *one, within_s=within_s, spare_calls=spare_calls)
                for one in self._runs
            ]
            return [problem for one in judged for problem in one.result()]

    def _judge(
        self, scenario: Scenario, tag: str, run: str, *, within_s: float, spare_calls: int
    ) -> list[str]:
        people = People(self._around)
        try:
            shown = people.look_after(run, tag, within_s=within_s, pause_s=0.5)
        except AssertionError as error:
            return [f"{scenario.name} {run}: lost: {error}"]
        found = faults(self._around, scenario, tag, shown, spare_calls=spare_calls)
        return [f"{scenario.name} {run}: {one}" for one in found]
