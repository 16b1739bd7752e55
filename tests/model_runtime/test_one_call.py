"""A whole step in one call of the fused kernel: what the calls in turn give, to the bit."""

from dataclasses import replace

import pytest
import torch
from tests.model_runtime.serving import small_model
from tests.model_runtime.shapes import empty_cache
from torch import Tensor

from treadle.model_runtime.acceleration import accelerated
from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.kernels.abi import RowOutside
from treadle.model_runtime.kernels.fused import FusedModel
from treadle.model_runtime.model import Guessed, Wanted
from treadle.model_runtime.request import Sampling
from treadle.model_runtime.sampling import Place, choose

ROWS, SIZE, TOKENS = 96, 4, 97
DRAWN = Sampling(temperature=0.8, seed=5)
CONTEXT = [3, 14, 15, 92, 65, 35, 89]


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=str)
def model(request: pytest.FixtureRequest) -> FusedModel:
    """Random, with one MTP module."""
    dtype: torch.dtype = request.param
    model = accelerated(small_model(dtype=dtype, qk_rope_head_dim=16, v_head_dim=16))
    if not isinstance(model, FusedModel):
        pytest.skip("no C++ compiler")
    assert model.reads_ahead
    return model


@pytest.fixture
def cache(model: FusedModel) -> Tensor:
    """Two requests have read the context, trunk and module."""
    cache = empty_cache(model, ROWS)
    for blocks in ([0, 1, 2, 3], [9, 8, 7, 6]):
        states = model.states(lay_out([Span(CONTEXT, 0, blocks)], block_size=SIZE), cache)
        pairs = Span(CONTEXT[1:], 1, blocks, first=1)
        model.draft_states(lay_out([pairs], block_size=SIZE), states[:-1], cache)
    return cache


def choice(logits: Tensor, sampling: Sampling, position: int) -> int:
    return choose(logits[None, :TOKENS], [Place(sampling, position, [], 0)])[0].token


def in_turn(
    model: FusedModel, span: Span, cache: Tensor, scored: int, sampling: Sampling, drafts: int
) -> Guessed:
    """Trunk, head, module and head again, each in a call of its own."""
    states = model.states(lay_out([span], block_size=SIZE), cache)
    held, newest = len(span.tokens) - scored, -1
    for row in model.logits(states[held:]):
        held += 1
        newest = choice(row, sampling, span.start + held)
        if held == len(span.tokens) or span.tokens[held] != newest:
            break
    tokens, start, before = [*span.tokens[1:held], newest], span.start + 1, states[:held]
    found: list[int] = []
    while True:
        pairs = Span(tokens, start, span.blocks, first=1)
        after = model.draft_states(lay_out([pairs], block_size=SIZE), before, cache)[-1:]
        start += len(tokens)
        tokens, before = [choice(model.logits(after)[0], sampling, start)], after
        found += tokens
        if len(found) == drafts:
            return Guessed(held, newest, found)


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), DRAWN])
@pytest.mark.parametrize("right", [0, 1, 2])
def test_a_step_in_one_call_gives_what_calls_in_turn_give(
    model: FusedModel, cache: Tensor, sampling: Sampling, right: int
) -> None:
    """Two requests, with `right` of two drafts right and with none."""
    known = Span([79], len(CONTEXT), [0, 1, 2, 3])
    while len(known.tokens) <= right:
        states = model.states(lay_out([known], block_size=SIZE), cache.clone())
        token = choice(model.logits(states[-1:])[0], sampling, known.end)
        known = replace(known, tokens=[*known.tokens, token])
    wrong = [(known.tokens[-1] + 1) % TOKENS] * (3 - len(known.tokens))
    spans = [replace(known, tokens=[*known.tokens, *wrong]), Span([32], 7, [9, 8, 7, 6])]
    batch, alone = lay_out(spans, block_size=SIZE), cache.clone()
    wanted = [Wanted(2, sampling.temperature, sampling.seed)] * 2
    states, logits, found = model.read(batch, cache, [1, 3], wanted, tokens=TOKENS)
    assert torch.equal(states, model.states(batch, cache.clone()))
    assert torch.equal(logits, model.logits(states))
    expected = [in_turn(model, span, alone, len(span.tokens), sampling, 2) for span in spans]
    assert batch.as_given(found) == expected
    assert expected[0].held == 1 + right
    assert torch.equal(cache, alone)


def test_a_piece_of_a_prompt_is_followed_by_the_token_that_is_known(
    model: FusedModel, cache: Tensor
) -> None:
    """No head, no draft; the module reads, and what it leaves in the cache is the same."""
    span = Span([79, 32, 38], len(CONTEXT), [0, 1, 2, 3])
    batch, alone = lay_out([span], block_size=SIZE), cache.clone()
    _, logits, found = model.read(batch, cache, [0], [Wanted(0, following=46)], tokens=TOKENS)
    assert logits.shape[0] == 0
    assert found == [Guessed(3, 46, [])]
    states = model.states(batch, alone)
    pairs = Span([32, 38, 46], span.start + 1, span.blocks, first=1)
    model.draft_states(lay_out([pairs], block_size=SIZE), states, alone)
    assert torch.equal(cache, alone)


def test_the_module_begins_where_others_have_read_before(model: FusedModel, cache: Tensor) -> None:
    """It needs the state before the first token, which is not in the batch."""
    state = model.states(lay_out([Span(CONTEXT, 0, [0, 1, 2, 3])], block_size=SIZE), cache)[3]
    alone = cache.clone()
    cache[model.config.layers, 4:8] = 0
    span = Span(CONTEXT[4:], 4, [0, 1, 2, 3])
    wanted = Wanted(0, following=79, before=state)
    model.read(lay_out([span], block_size=SIZE), cache, [0], [wanted], tokens=TOKENS)
    assert torch.equal(cache[:, :7], alone[:, :7])
    assert not torch.equal(cache[:, 7], alone[:, 7])


def test_whoever_does_not_want_it_is_not_read_on(model: FusedModel, cache: Tensor) -> None:
    """Its neighbour is, and the module's rows of the one stay as they were."""
    spans = [Span([79], 7, [0, 1, 2, 3]), Span([79], 7, [9, 8, 7, 6])]
    batch, before = lay_out(spans, block_size=SIZE), cache.clone()
    found = model.read(batch, cache, [1, 1], [Wanted(-1), Wanted(1)], tokens=TOKENS)[2]
    assert found[0].held == 0
    assert found[0].drafts == []
    assert found[1].held == 1
    assert len(found[1].drafts) == 1
    changed = (cache != before)[model.config.layers].any(dim=1).nonzero().flatten().tolist()
    assert changed == [7 * SIZE]


@pytest.mark.parametrize(
    ("scored", "wanted"),
    [
        ([2], []),
        ([1], [Wanted(9)]),
        ([0], [Wanted(1)]),
        ([1], [Wanted(0, following=TOKENS + 1)]),
    ],
    ids=["scored-more", "no-room", "nothing-chosen", "no-such-token"],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    model: FusedModel, cache: Tensor, scored: list[int], wanted: list[Wanted]
) -> None:
    batch, before = lay_out([Span([79], 7, [0, 1, 2])], block_size=SIZE), cache.clone()
    with pytest.raises(RowOutside, match="96"):
        model.read(batch, cache, scored, wanted, tokens=TOKENS)
    assert torch.equal(cache, before)
