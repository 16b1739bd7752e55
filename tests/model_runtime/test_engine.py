"""The engine's promises: endings, fairness, cancelling, deadlines, and no lost blocks."""

import random
from dataclasses import replace

import pytest
from tests.model_runtime.serving import (
    OPTIONS,
    VOCABULARY,
    Letters,
    drain,
    request,
    run,
    small_model,
    tokens_by_id,
)
from tests.model_runtime.shapes import tokens_of

from treadle.model_runtime.engine import Engine, EngineOptions
from treadle.model_runtime.errors import Overloaded, TooLong
from treadle.model_runtime.request import FinishReason, Progress, Request, Sampling
from treadle.model_runtime.speculate import Speculation

MODEL = small_model()


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def engine(options: EngineOptions = OPTIONS, *, ends: frozenset[int] = frozenset()) -> Engine:
    return Engine(MODEL, options, tokenizer=Letters(end_tokens=ends))


def last(engine: Engine, item: Request) -> Progress:
    engine.submit(item)
    return drain(engine)[-1]


PLAIN = run(engine(), [request("r", max_tokens=20)])["r"]


def test_an_answer_ends_at_max_tokens() -> None:
    ended = last(engine(), request("r", max_tokens=5))
    assert ended.finish is FinishReason.LENGTH
    assert ended.usage.completion == 5


def test_an_answer_ends_at_an_end_token_which_is_no_text() -> None:
    item = request("r", max_tokens=20)
    serving = engine(ends=frozenset({PLAIN[4]}))
    serving.submit(item)
    progress = drain(serving)
    assert progress[-1].finish is FinishReason.STOP
    assert tokens_by_id(progress)["r"] == PLAIN[: PLAIN.index(PLAIN[4]) + 1]
    assert "".join(part.text for part in progress) == Letters().decode(
        PLAIN[: PLAIN.index(PLAIN[4])]
    )


def test_end_tokens_can_be_ignored() -> None:
    item = request("r", max_tokens=20)
    item = replace(item, limits=replace(item.limits, ignore_eos=True))
    assert run(engine(ends=frozenset(PLAIN)), [item])["r"] == PLAIN


@pytest.mark.parametrize("speculation", Speculation)
def test_a_stop_string_cuts_the_text_even_between_two_verified_tokens(
    speculation: Speculation,
) -> None:
    item = request("r", max_tokens=20)
    text = Letters().decode(PLAIN)
    stop = text[6:9]
    item = replace(item, limits=replace(item.limits, stop=(stop, "never")))
    serving = engine(replace(OPTIONS, speculation=speculation))
    serving.submit(item)
    progress = drain(serving)
    assert "".join(part.text for part in progress) == text[: text.index(stop)]
    assert progress[-1].finish is FinishReason.STOP
    assert progress[-1].usage.completion == text.index(stop) + 3


def test_an_answer_ends_where_the_cache_ends() -> None:
    small = replace(OPTIONS, blocks=5)
    ended = last(engine(small), request("r", max_tokens=500))
    assert ended.finish is FinishReason.LENGTH
    assert ended.usage.prompt + ended.usage.completion == 5 * 8 - 1


def test_a_prompt_that_fills_the_cache_is_refused() -> None:
    with pytest.raises(TooLong, match="39 tokens and at most 38"):
        engine(replace(OPTIONS, blocks=5)).submit(request("r", tokens_of(VOCABULARY, 39)))


def test_a_full_queue_refuses() -> None:
    serving = engine(replace(OPTIONS, queue=2))
    serving.submit(request("a"))
    serving.submit(request("b"))
    with pytest.raises(Overloaded, match="2 requests are waiting"):
        serving.submit(request("c"))


def test_a_cancelled_request_frees_its_blocks_at_once() -> None:
    serving = engine()
    serving.submit(request("r", max_tokens=50))
    serving.step()
    assert serving.pool.free < OPTIONS.blocks
    serving.cancel("r")
    assert serving.pool.free == OPTIONS.blocks
    assert serving.idle


def test_a_request_ends_when_its_time_is_over() -> None:
    clock = Clock()
    serving = Engine(MODEL, OPTIONS, tokenizer=Letters(), clock=clock)
    item = request("r", max_tokens=50)
    serving.submit(replace(item, limits=replace(item.limits, deadline=10)))
    assert serving.step()[0].finish is None
    clock.now = 10
    (ended,) = serving.step()
    assert ended.finish is FinishReason.DEADLINE
    assert serving.idle
    assert serving.pool.free == OPTIONS.blocks


def test_the_cache_is_not_shared_across_salts() -> None:
    serving = engine()
    prompt = tokens_of(VOCABULARY, 40)
    assert last(serving, request("a", prompt)).usage.cached == 0
    assert last(serving, replace(request("b", prompt), salt="other")).usage.cached == 0
    assert last(serving, request("c", prompt)).usage.cached == 32


def test_an_answer_is_found_again_by_the_next_turn() -> None:
    serving = engine()
    prompt = tokens_of(VOCABULARY, 30)
    answer = run(serving, [request("a", prompt, max_tokens=20)])["a"]
    assert last(serving, request("b", prompt + answer + [1, 2])).usage.cached == 48


def first_steps(progress: list[list[Progress]]) -> dict[str, int]:
    """The step in which each request got its first token."""
    found: dict[str, int] = {}
    for number, items in enumerate(progress):
        for item in items:
            found.setdefault(item.id, number)
    return found


def served_in_order(serving: Engine, items: list[Request]) -> list[str]:
    for item in items:
        serving.submit(item)
    steps: list[list[Progress]] = []
    while not serving.idle:
        steps.append(serving.step())
    return list(first_steps(steps))


def test_a_flood_of_one_owner_does_not_starve_another() -> None:
    flood = [replace(request(f"flood{i}", max_tokens=2), owner="a") for i in range(10)]
    late = replace(request("late", max_tokens=2), owner="b")
    order = served_in_order(engine(replace(OPTIONS, running=1)), [*flood, late])
    assert order.index("late") <= 3


def test_background_requests_wait_for_all_others() -> None:
    items = [replace(request("batch", max_tokens=2), background=True)]
    items += [request(f"chat{i}", max_tokens=2) for i in range(3)]
    order = served_in_order(engine(replace(OPTIONS, running=1)), items)
    assert order[-1] == "batch"


def test_decoding_goes_on_while_a_long_prompt_is_read() -> None:
    serving = engine(replace(OPTIONS, step_tokens=16))
    serving.submit(request("short", tokens_of(VOCABULARY, 4), max_tokens=30))
    serving.step()
    serving.submit(request("long", tokens_of(VOCABULARY, 120)))
    for _ in range(5):
        assert [item.id for item in serving.step()] == ["short"]


@pytest.mark.slow
def test_no_block_is_lost_over_random_cancels() -> None:
    serving = engine(replace(OPTIONS, blocks=24, speculation=Speculation.MTP, running=6))
    source = random.Random(0)
    for number in range(400):
        if serving.scheduler.waiting < 4:
            item = request(f"r{number}", max_tokens=source.randint(1, 9))
            serving.submit(replace(item, sampling=Sampling(seed=number)))
        serving.step()
        if source.random() < 0.4:
            serving.cancel(f"r{source.randint(0, number)}")
    drain(serving)
    assert serving.pool.free == 24
