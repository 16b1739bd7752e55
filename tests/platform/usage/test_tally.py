"""What a lease counts, and when it is written."""

import json

from treadle.agents.ports import StepRecord, StepStatus, Usage
from treadle.platform.usage.tally import Count, Tally


def record(path: str, *, call: str | None = None, usage: Usage | None = None) -> StepRecord:
    return StepRecord(
        path=path,
        node=path,
        item=None,
        status=StepStatus.SUCCEEDED,
        call=call,
        usage=usage,
        extra={"model": "m"} if call else {},
    )


def drained(tally: Tally, *, is_release: bool = False, is_end: bool = False) -> list[list[object]]:
    text = tally.drain(is_release=is_release, is_end=is_end)
    rows: list[list[object]] = [] if text is None else json.loads(text)
    return rows


def test_tokens_are_written_with_the_commit_of_their_call() -> None:
    tally = Tally()
    used = Usage(input_tokens=3, output_tokens=2, model_calls=1, cost_usd=0.5)
    tally.add([Count.of(record("a", call="model.0", usage=used))])
    assert drained(tally) == [["m", 0, 0, 1, 3, 2, 0, 0.5]]
    assert drained(tally) == []


def test_a_step_repeats_what_its_calls_used_and_counts_once() -> None:
    used = Usage(input_tokens=3, model_calls=1)
    assert Count.of(record("a", usage=used)) == Count(steps=1)
    assert Count.of(record("a", call="tool.0")) is None


def test_steps_and_the_run_are_written_at_the_end_under_the_first_model() -> None:
    tally = Tally()
    tally.add([Count.of(record("a")), Count.of(record("b"))])
    assert drained(tally) == []
    assert drained(tally, is_release=True, is_end=True) == [["", 1, 2, 0, 0, 0, 0, None]]


def test_a_run_that_parks_writes_its_steps_and_is_not_counted_yet() -> None:
    tally = Tally()
    tally.add([Count.of(record("a"))])
    assert drained(tally, is_release=True) == [["", 0, 1, 0, 0, 0, 0, None]]
    assert drained(tally, is_release=True) == []
