"""A run that kills its worker every time is quarantined, and nobody who runs beside it."""

import pytest
from tests.chaos.load import Load
from tests.chaos.scenarios import SCENARIOS, start
from tests.chaos.sink import Arrival
from tests.chaos.world import World

pytestmark = pytest.mark.chaos
SLOW_MS = 4_000
STEPS = [one for one in SCENARIOS if one.name in {"chain", "set", "switch", "llm"}]


def test_poison_is_quarantined_and_nobody_else(around: World) -> None:
    """The others are in the middle of a slow step whenever it strikes: they get nowhere either."""
    tag = "steady-poison"
    strikes: list[str] = []

    def strike(arrival: Arrival) -> None:
        if arrival.path == f"/keyed/{tag}/first":
            strikes.append(arrival.path)
            around.kill("worker")

    load = Load(around, ms=SLOW_MS)
    for _ in range(3):
        load.add(STEPS)
    around.sink.on_arrival = strike
    poison = start(around, SCENARIOS[0], tag, ms=SLOW_MS)
    shown = around.rest.ended(poison, within_s=120)
    assert shown["error"]["code"] == "worker_crash"
    assert len(strikes) == 3
    assert load.verdict(spare_calls=3) == []
    around.sink.on_arrival = None
