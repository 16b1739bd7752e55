"""Random kills under load."""

import json
import sys

import pytest
from tests.chaos.storm import Plan, problems, run_storm
from tests.chaos.world import World

IN_SAMPLE = 12
IN_FULL = 1_000


def test_random_kills_lose_and_double_nothing(
    around: World, chaos_seed: int, *, is_full: bool
) -> None:
    kills = IN_FULL if is_full else IN_SAMPLE
    plan = Plan(
        chaos_seed,
        kills,
        seconds=8.0 * kills,
        runs_at_a_time=32 if is_full else 8,
        # On a crowded machine a worker may get nowhere between two kills, and after a third
        # one its runs are taken for poison.
        most={} if is_full else {"worker": 2},
    )
    report = run_storm(around, plan)
    sys.stdout.write(json.dumps(report.summary()) + "\n")
    found = problems(report, is_timed=is_full)
    assert not found, "\n".join(found)
    assert report.total_kills > 0
    assert report.ended == report.accepted > 0


@pytest.mark.chaos
def test_a_rolling_restart_repeats_nothing(around: World, chaos_seed: int) -> None:
    """SIGTERM hands over: no effect is even tried twice, and no run fails."""
    plan = Plan(chaos_seed, 12, seconds=180, pauses_s={"worker": (5.0, 10.0)}, is_gentle=True)
    report = run_storm(around, plan)
    found = problems(report)
    assert not found, "\n".join(found)
    assert report.settled == 0
    assert report.repeated_effects == 0
    assert report.repeated_model_calls == 0
