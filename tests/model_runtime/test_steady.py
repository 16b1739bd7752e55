"""Decode in steps of fixed shapes: the same answers, no word from the host, no row astray.

A step is recorded on a GPU only; here it is called as it is. That it can be recorded is held by
running it where the host could learn nothing: on tensors without numbers.
"""

from dataclasses import replace

import pytest
import torch
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
from tests.model_runtime.shapes import distance, tokens_of
from tests.model_runtime.steps import BLOCKS, SIZE, deaf, spans_of, step_on
from torch import Tensor
from typing_extensions import override

from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.engine import Engine, EngineOptions
from treadle.model_runtime.model import DeepseekModel
from treadle.model_runtime.moe import Experts, MaskedExperts
from treadle.model_runtime.parts import rebuilt
from treadle.model_runtime.request import Request, Sampling
from treadle.model_runtime.speculate import Speculation
from treadle.model_runtime.steady import Direct, SteadyModel, Step, ladder

TOLERANCE = 1e-5
MOST = 12
SEEDED = Sampling(temperature=0.8, top_p=0.95, seed=11)


def plain_model() -> DeepseekModel:
    model = small_model()
    assert isinstance(model, DeepseekModel)
    return model


def with_masked_experts(model: DeepseekModel) -> DeepseekModel:
    """Of fixed shapes: the ordinary experts count their tokens on the host."""

    def masked(part: object) -> object | None:
        if not isinstance(part, Experts):
            return None
        return MaskedExperts(part.gate, part.up, part.down, model.config.experts)

    return rebuilt(model, masked)


def without_numbers(model: DeepseekModel) -> DeepseekModel:
    """On the meta device, whose tensors are shapes alone and do not mix with the host's."""
    return rebuilt(model, lambda part: part.to("meta") if isinstance(part, Tensor) else None)


MODEL = plain_model()
FIXED = with_masked_experts(MODEL)


def steady(most: int = MOST) -> SteadyModel:
    return SteadyModel(FIXED, Direct(), most=most)


def cache_of(seed: int = 0) -> Tensor:
    """Rows that could be a model's own."""
    shape = (MODEL.cache_layers, BLOCKS * SIZE, MODEL.cache_width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_ladder_ends_where_it_is_told() -> None:
    assert ladder(20) == (1, 2, 4, 8, 16, 20)
    assert ladder(1) == (1,)
    assert ladder(0) == ()


@pytest.mark.parametrize("count", range(1, MOST + 1))
def test_every_size_gives_the_ordinary_numbers(count: int) -> None:
    lengths = [(7 * number) % 50 for number in range(count)]
    batch = lay_out(spans_of(lengths), block_size=SIZE)
    ours, theirs = cache_of(), cache_of()
    model = steady()
    with torch.inference_mode():
        found, wanted = model.states(batch, ours), MODEL.states(batch, theirs)
    assert model.replayed == 1
    assert found.shape == wanted.shape
    assert distance(MODEL.logits(found), MODEL.logits(wanted)) <= TOLERANCE


@pytest.mark.parametrize("new", [2, 4])
def test_drafts_are_rows_that_see_those_before_them(new: int) -> None:
    batch = lay_out(spans_of([0, 9, 30], new), block_size=SIZE)
    model = steady()
    with torch.inference_mode():
        found, wanted = model.states(batch, cache_of()), MODEL.states(batch, cache_of())
    assert model.replayed == 1
    assert distance(found, wanted) <= TOLERANCE


def test_the_module_reads_on_in_such_steps_too() -> None:
    batch = lay_out(spans_of([1, 9, 30], first=1), block_size=SIZE)
    hidden = torch.randn(3, MODEL.config.hidden_size)
    model = steady()
    with torch.inference_mode():
        found = model.draft_states(batch, hidden, cache_of())
        wanted = MODEL.draft_states(batch, hidden, cache_of())
    assert model.replayed == 1
    assert distance(found, wanted) <= TOLERANCE


def test_rows_that_fill_up_write_to_the_last_block_alone() -> None:
    spans = spans_of([5, 16, 40])
    before, cache = cache_of(), cache_of()
    with torch.inference_mode():
        steady(most=8).states(lay_out(spans, block_size=SIZE), cache)
    written = {span.blocks[span.start // SIZE] * SIZE + span.start % SIZE for span in spans}
    changed = (cache != before).any(dim=-1)[: len(MODEL.blocks)].any(dim=0).nonzero().flatten()
    spare = range((BLOCKS - 1) * SIZE, BLOCKS * SIZE)
    assert {row for row in changed.tolist() if row not in spare} == written


class Overwriting(Direct):
    """Has one place for what a step returns, as a graph does."""

    @override
    def record(self, step: Step) -> Step:
        kept = step()

        def again() -> Tensor:
            return kept.copy_(step())

        return again


def test_what_is_returned_outlives_the_next_step() -> None:
    model, cache = SteadyModel(FIXED, Overwriting(), most=4), cache_of()
    batches = [lay_out(spans_of([length]), block_size=SIZE) for length in (3, 20)]
    with torch.inference_mode():
        first = model.states(batches[0], cache)
        kept = first.clone()
        model.states(batches[1], cache)
    assert torch.equal(first, kept)


def test_prompts_and_large_batches_take_the_ordinary_path() -> None:
    model = steady(most=4)
    with torch.inference_mode():
        for spans in (spans_of([3] * 5), spans_of([0], 18), [past_the_end()]):
            model.states(lay_out(spans, block_size=SIZE), cache_of())
    assert model.replayed == 0


def test_all_sizes_are_there_before_the_first_request() -> None:
    """Recorded in advance, and no row of a request is touched by that."""
    recorder = Counting()
    model = SteadyModel(FIXED, recorder, most=4)
    cache = cache_of()
    with torch.inference_mode():
        model.warm(cache, block_size=SIZE)
        assert recorder.recorded == 2 * len(ladder(4))  # the trunk's and the module's
        spare = (BLOCKS - 1) * SIZE
        assert torch.equal(cache[:, :spare], cache_of()[:, :spare])
        model.states(lay_out(spans_of([3]), block_size=SIZE), cache)
    assert recorder.recorded == 2 * len(ladder(4))


def past_the_end() -> Span:
    """A token behind the last position that fixed inputs have room for."""
    return Span([1], BLOCKS * SIZE, [*range(BLOCKS - 1), 0, 0])


class Counting(Direct):
    """Counts what it is given to record."""

    recorded = 0

    @override
    def record(self, step: Step) -> Step:
        self.recorded += 1
        return step


def requests(count: int) -> list[Request]:
    kinds = (GREEDY, SEEDED)
    return [request(f"r{number}", sampling=kinds[number % 2]) for number in range(count)]


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        replace(OPTIONS, blocks=12),
        pytest.param(
            replace(OPTIONS, speculation=Speculation.MTP, mtp_tokens=1, blocks=12),
            marks=pytest.mark.slow,
        ),
        pytest.param(replace(OPTIONS, speculation=Speculation.LOOKUP), marks=pytest.mark.slow),
    ],
    ids=["roomy", "crowded", "mtp", "look-up"],
)
def test_answers_are_the_same(options: EngineOptions) -> None:
    model = steady(most=16)
    ours = Engine(model, options, tokenizer=Letters())
    theirs = Engine(MODEL, options, tokenizer=Letters())
    assert run(ours, requests(6)) == run(theirs, requests(6))
    assert model.replayed > 0
    assert ours.scheduler.preemptions == theirs.scheduler.preemptions
    assert (ours.scheduler.preemptions > 0) == (options.blocks < OPTIONS.blocks)


def test_a_reused_beginning_changes_nothing() -> None:
    start = tokens_of(VOCABULARY, 40, seed=3)
    items = [request(f"p{seed}", start + tokens_of(VOCABULARY, 5, seed=seed)) for seed in (4, 5)]
    ours, theirs = (Engine(model, OPTIONS, tokenizer=Letters()) for model in (steady(), MODEL))
    for item in items:
        assert run(ours, [item]) == run(theirs, [item])
    assert ours.counts.cached == theirs.counts.cached == 40


def test_no_choice_was_close() -> None:
    serving = Engine(steady(), OPTIONS, tokenizer=Letters())
    serving.submit(request("r0", sampling=replace(GREEDY, logprobs=2)))
    gaps = [
        choice.likeliest[0].logprob - choice.likeliest[1].logprob
        for item in drain(serving)
        for choice in item.choices
    ]
    assert min(gaps) > 1e-4


@pytest.mark.parametrize("module", [False, True])
@torch.inference_mode()
def test_a_step_asks_nothing_of_the_host(module: bool) -> None:
    step = step_on(FIXED, module=module)
    with deaf():
        step()


@pytest.mark.parametrize("module", [False, True])
@torch.inference_mode()
def test_a_step_needs_no_numbers_and_stays_on_one_device(module: bool) -> None:
    found = step_on(without_numbers(FIXED), module=module)()
    assert found.device.type == "meta"
    assert found.shape[0] == 4


@torch.inference_mode()
def test_these_checks_find_the_ordinary_experts() -> None:
    """They count their tokens on the host."""
    with pytest.raises(AssertionError, match="asks the host"), deaf():
        step_on(MODEL)()
    with pytest.raises((NotImplementedError, RuntimeError), match=r"[Mm]eta"):
        step_on(without_numbers(MODEL))()
