"""The tokens of an answer depend on its request alone: not on company, chunks, cache or drafts.

The plain path's sums differ in their last bits between batch shapes, so these tests also hold
that no choice was so close that such a bit could turn it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from tests.model_runtime.serving import (
    GREEDY,
    OPTIONS,
    VOCABULARY,
    Letters,
    drain,
    request,
    run,
    small_model,
)
from tests.model_runtime.shapes import tokens_of

from treadle.model_runtime.acceleration import accelerated
from treadle.model_runtime.engine import Engine, EngineOptions
from treadle.model_runtime.kernels.fused import FusedModel
from treadle.model_runtime.model import Decoder
from treadle.model_runtime.request import Choice, Request, Sampling, Usage
from treadle.model_runtime.speculate import Speculation

MODEL = small_model()
SEEDED = Sampling(temperature=0.8, top_p=0.95, top_k=40, seed=11)
PENALISED = Sampling(temperature=1.0, repetition_penalty=1.3, presence_penalty=0.4, seed=5)


def requests(count: int = 8) -> list[Request]:
    """Greedy, seeded and penalised by turns."""
    kinds = (GREEDY, SEEDED, PENALISED, replace(SEEDED, seed=12, min_p=0.02))
    return [request(f"r{number}", sampling=kinds[number % 4]) for number in range(count)]


def answers(items: Sequence[Request], options: EngineOptions = OPTIONS) -> dict[str, list[int]]:
    return run(engine(options), items)


def engine(options: EngineOptions = OPTIONS) -> Engine:
    return Engine(MODEL, options, tokenizer=Letters())


@cache
def alone(name: str) -> list[int]:
    """What the request of this name is answered when there is no other."""
    (item,) = (item for item in requests(32) if item.id == name)
    return answers([item])[name]


@pytest.mark.parametrize("size", [8, pytest.param(32, marks=pytest.mark.slow)])
def test_company_changes_nothing(size: int) -> None:
    found = answers(requests(size))
    assert found == {name: alone(name) for name in found}
    assert len(found) == size


def test_order_changes_nothing() -> None:
    assert answers(requests()[::-1]) == answers(requests())


@pytest.mark.parametrize("step_tokens", [pytest.param(1, marks=pytest.mark.slow), 7, 64])
def test_chunks_change_nothing(step_tokens: int) -> None:
    found = answers(requests(4), replace(OPTIONS, step_tokens=step_tokens))
    assert found == {name: alone(name) for name in found}


@pytest.mark.parametrize("step_tokens", [pytest.param(9, marks=pytest.mark.slow), 64])
def test_drafts_of_the_mtp_module_change_nothing(step_tokens: int) -> None:
    options = replace(OPTIONS, speculation=Speculation.MTP, step_tokens=step_tokens)
    drafting = engine(options)
    found = run(drafting, requests())
    assert found == {name: alone(name) for name in found}
    assert drafting.counts.accepted > 0


def test_drafts_by_look_up_change_nothing() -> None:
    """Greedy answers of a random model soon repeat themselves."""
    items = [request(f"g{number}", max_tokens=60) for number in range(4)]
    drafting = engine(replace(OPTIONS, speculation=Speculation.LOOKUP))
    assert run(drafting, items) == answers(items)
    assert drafting.counts.accepted > 0


@pytest.mark.parametrize(
    "speculation",
    [Speculation.OFF, pytest.param(Speculation.MTP, marks=pytest.mark.slow)],
)
def test_preemption_changes_nothing(speculation: Speculation) -> None:
    crowded = engine(replace(OPTIONS, blocks=12, speculation=speculation, mtp_tokens=1))
    found = run(crowded, requests())
    assert found == {name: alone(name) for name in found}
    assert crowded.scheduler.preemptions > 0
    assert crowded.pool.free == 12


@pytest.mark.parametrize(
    "speculation",
    [Speculation.OFF, pytest.param(Speculation.MTP, marks=pytest.mark.slow)],
)
def test_reuse_of_a_beginning_changes_nothing(speculation: Speculation) -> None:
    start = tokens_of(VOCABULARY, 40, seed=3)
    prompts = [start + tokens_of(VOCABULARY, 5, seed=seed) for seed in (4, 5, 6)]
    items = [request(f"p{i}", prompt, sampling=SEEDED) for i, prompt in enumerate(prompts)]
    fresh = {item.id: answers([item])[item.id] for item in items}
    shared = engine(replace(OPTIONS, speculation=speculation))
    found: dict[str, list[int]] = {}
    for item in items:
        found |= run(shared, [item])
    assert found == fresh
    assert shared.counts.cached == 2 * 40


@pytest.mark.slow
def test_drafts_are_as_good_after_a_reused_beginning() -> None:
    """A wrong row of the MTP module in a shared block would only show in its acceptance."""
    item = request("again", tokens_of(VOCABULARY, 64, seed=7), max_tokens=40)
    options = replace(OPTIONS, speculation=Speculation.MTP)
    warm = engine(options)
    run(warm, [replace(item, id="first", limits=replace(item.limits, max_tokens=1))])
    reused, fresh = usage(warm, item), usage(engine(options), item)
    assert reused.cached == 56
    assert replace(reused, cached=0) == fresh


def usage(serving: Engine, item: Request) -> Usage:
    serving.submit(item)
    return drain(serving)[-1].usage


def test_no_choice_was_close() -> None:
    """The gap between the two best logits, where the greedy answers were chosen."""
    probed = replace(GREEDY, logprobs=2)
    serving = engine()
    serving.submit(request("r0", sampling=probed))
    serving.submit(request("r4", sampling=probed))
    gaps = [
        choice.likeliest[0].logprob - choice.likeliest[1].logprob
        for item in drain(serving)
        for choice in item.choices
    ]
    assert len(gaps) == 24
    assert min(gaps) > 1e-4


@pytest.fixture(scope="module")
def fused() -> Decoder:
    """The fused kernels, at widths that fit them."""
    model = accelerated(small_model(qk_rope_head_dim=16, v_head_dim=16))
    if not isinstance(model, FusedModel):
        pytest.skip("no C++ compiler")
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        replace(OPTIONS, running=1),
        replace(OPTIONS, step_tokens=1),
        replace(OPTIONS, step_tokens=7),
        replace(OPTIONS, blocks=12),
        replace(OPTIONS, speculation=Speculation.MTP),
        replace(OPTIONS, speculation=Speculation.LOOKUP),
        replace(OPTIONS, speculation=Speculation.MTP, step_tokens=9, blocks=14),
    ],
    ids=["alone", "chunks of 1", "chunks of 7", "crowded", "mtp", "look-up", "all at once"],
)
def test_with_the_fused_kernels_even_log_probabilities_are_equal(
    fused: Decoder, options: EngineOptions
) -> None:
    items = [replace(item, sampling=replace(item.sampling, logprobs=1)) for item in requests(16)]

    def served(chosen: EngineOptions) -> dict[str, list[Choice]]:
        serving = Engine(fused, chosen, tokenizer=Letters())
        for item in items:
            serving.submit(item)
        found: dict[str, list[Choice]] = {}
        for part in drain(serving):
            found.setdefault(part.id, []).extend(part.choices)
        return found

    assert served(options) == served(OPTIONS)


DRAWN = Sampling(temperature=0.9, seed=21)
ONE_CALL = replace(OPTIONS, speculation=Speculation.MTP, mtp_confidence=0.0)


class InTurn:
    """The fused model without its one call for several drafts."""

    def __init__(self, model: Decoder) -> None:
        self.config, self.dtype, self.device = model.config, model.dtype, model.device
        self.cache_layers, self.cache_width = model.cache_layers, model.cache_width
        self.mtp_depth = model.mtp_depth
        self.states, self.logits, self.draft_states = model.states, model.logits, model.draft_states


def plainly_sampled(count: int) -> list[Request]:
    """Greedy and drawn by turns: what the kernels draft by themselves."""
    return [request(f"d{number}", sampling=(GREEDY, DRAWN)[number % 2]) for number in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_several_drafts_in_one_call_change_nothing(fused: Decoder, size: int, count: int) -> None:
    drafting = Engine(fused, replace(ONE_CALL, mtp_tokens=count), tokenizer=Letters())
    items = plainly_sampled(size)
    assert run(drafting, items) == run(Engine(fused, OPTIONS, tokenizer=Letters()), items)
    assert drafting.counts.drafted > 0


def test_one_call_drafts_what_calls_in_turn_draft(fused: Decoder) -> None:
    found: list[tuple[int, int, int]] = []
    for model in (fused, InTurn(fused)):
        drafting = Engine(model, ONE_CALL, tokenizer=Letters())
        run(drafting, plainly_sampled(8))
        found.append((drafting.counts.steps, drafting.counts.drafted, drafting.counts.accepted))
    assert found[0] == found[1]
    assert found[0][2] > 0


def test_unlikely_drafts_are_left_out(fused: Decoder) -> None:
    """A random model gives no token a high probability."""
    drafting = Engine(fused, replace(ONE_CALL, mtp_confidence=0.9), tokenizer=Letters())
    run(drafting, plainly_sampled(4))
    assert drafting.counts.drafted == 0
