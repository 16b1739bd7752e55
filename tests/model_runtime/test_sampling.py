"""Tokens come out as often as their probabilities say, and under a seed always the same."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from treadle.model_runtime.noise import gumbel
from treadle.model_runtime.request import Sampling
from treadle.model_runtime.sampling import Place, choose
from treadle.model_runtime.speculate import look_up, verified

VOCABULARY = 50
DRAWS = 100_000
# The 99.9th percentile of chi-squared with 49 degrees of freedom.
LIMIT = 85.35


def logits(seed: int = 0) -> Tensor:
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 1.5


def place(sampling: Sampling, position: int = 0, history: Sequence[int] = ()) -> Place:
    return Place(sampling, position, history, prompt=0)


def draw(scores: Tensor, sampling: Sampling, count: int) -> Tensor:
    """One draw at each of `count` positions, as counts per token."""
    drawn: list[int] = []
    for start in range(0, count, 10_000):
        places = [place(sampling, position) for position in range(start, start + 10_000)]
        drawn += [choice.token for choice in choose(scores.expand(10_000, -1), places)]
    return torch.bincount(torch.tensor(drawn), minlength=VOCABULARY)


def chi_squared(counts: Tensor, probabilities: Tensor) -> float:
    expected = probabilities.double() * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_follow_the_distribution(temperature: float) -> None:
    counts = draw(logits(), Sampling(temperature=temperature, seed=3), DRAWS)
    assert chi_squared(counts, (logits() / temperature).softmax(dim=0)) < LIMIT


def test_noise_over_seeds_is_as_random_as_over_positions() -> None:
    noise = gumbel(list(range(20_000)), [0] * 20_000, 1)[:, 0].double()
    assert noise.mean() == pytest.approx(0.5772, abs=0.03)
    assert noise.var() == pytest.approx(math.pi**2 / 6, abs=0.06)


def test_noise_depends_on_its_own_row_alone() -> None:
    together = gumbel([1, 2, 2**63 + 5], [10, 20, 30], VOCABULARY)
    assert torch.equal(together[2:], gumbel([2**63 + 5], [30], VOCABULARY))


@pytest.mark.slow
def test_coupled_drafts_are_accepted_often_and_leave_the_distribution_alone() -> None:
    target, draft = logits(), logits() + 0.3 * logits(1)
    sampling = Sampling(seed=9)
    places = [place(sampling, position) for position in range(20_000)]
    chosen = [choice.token for choice in choose(target.expand(20_000, -1), places)]
    guessed = [choice.token for choice in choose(draft.expand(20_000, -1), places)]
    agreed = sum(a == b for a, b in zip(chosen, guessed, strict=True)) / 20_000
    distance = float((target.softmax(0) - draft.softmax(0)).abs().sum() / 2)
    # The bound of drafter-invariant decoding, less the noise of 20,000 draws.
    assert agreed >= (1 - distance) / (1 + distance) - 0.01
    counts = torch.bincount(torch.tensor(chosen), minlength=VOCABULARY)
    assert chi_squared(counts, target.softmax(dim=0)) < LIMIT


def test_without_temperature_the_best_token_is_taken() -> None:
    (choice,) = choose(logits()[None], [place(Sampling(temperature=0))])
    assert choice.token == int(logits().argmax())


def allowed_tokens(sampling: Sampling, scores: Tensor) -> set[int]:
    places = [place(replace(sampling, seed=seed)) for seed in range(3_000)]
    return {choice.token for choice in choose(scores.expand(3_000, -1), places)}


def test_top_k_leaves_k() -> None:
    best = set(logits().topk(3).indices.tolist())
    assert allowed_tokens(Sampling(top_k=3), logits()) == best


def test_top_p_leaves_the_smallest_set_that_holds_p() -> None:
    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert allowed_tokens(Sampling(top_p=0.75), scores) == {0, 1}
    assert allowed_tokens(Sampling(top_p=0.85), scores) == {0, 1, 2}
    assert allowed_tokens(Sampling(top_p=0.01), scores) == {0}


def test_min_p_is_relative_to_the_best() -> None:
    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert allowed_tokens(Sampling(min_p=0.5), scores) == {0, 1}


def test_rows_with_other_cut_offs_do_not_disturb_each_other() -> None:
    rows = [Sampling(seed=1), Sampling(seed=1, top_k=2), Sampling(temperature=0), Sampling(seed=1)]
    together = choose(logits().expand(4, -1), [place(row) for row in rows])
    alone = [choose(logits()[None], [place(row)])[0] for row in rows]
    assert together == alone


def test_bias_can_forbid_and_force() -> None:
    best, second = logits().topk(2).indices.tolist()
    greedy = Sampling(temperature=0)
    (choice,) = choose(logits()[None], [place(replace(greedy, logit_bias={best: -100}))])
    assert choice.token == second
    (choice,) = choose(logits()[None], [place(replace(greedy, logit_bias={7: 100}))])
    assert choice.token == 7


def test_the_repetition_penalty_counts_the_prompt_and_the_others_do_not() -> None:
    scores = torch.tensor([2.0, 1.9, -1.0])
    greedy = Sampling(temperature=0)

    def best(sampling: Sampling, prompt: int) -> int:
        history = Place(sampling, 1, [0], prompt)
        return choose(scores[None], [history])[0].token

    assert best(replace(greedy, repetition_penalty=1.5), prompt=1) == 1
    assert best(replace(greedy, presence_penalty=1), prompt=1) == 0
    assert best(replace(greedy, presence_penalty=1), prompt=0) == 1
    assert best(replace(greedy, frequency_penalty=1), prompt=0) == 1


def test_logprobs_are_the_models_own() -> None:
    sampling = Sampling(temperature=0, logprobs=2, logit_bias={7: 100})
    (choice,) = choose(logits()[None], [place(sampling)])
    own = logits().log_softmax(dim=0)
    assert choice.logprob == pytest.approx(float(own[7]))
    assert [item.token for item in choice.likeliest] == logits().topk(2).indices.tolist()


def test_what_the_grammar_forbids_is_never_taken() -> None:
    allowed = torch.zeros(VOCABULARY, dtype=torch.bool)
    allowed[[4, 5]] = True
    places = [Place(Sampling(seed=seed), 0, (), 0, allowed) for seed in range(500)]
    assert {item.token for item in choose(logits().expand(500, -1), places)} == {4, 5}


def test_choices_hold_up_to_the_first_wrong_draft() -> None:
    chosen = choose(torch.eye(VOCABULARY)[[3, 4, 9]], [place(Sampling(temperature=0))] * 3)
    assert [item.token for item in verified([3, 4], chosen)] == [3, 4, 9]
    assert [item.token for item in verified([3, 5], chosen)] == [3, 4]
    assert [item.token for item in verified([8, 4], chosen)] == [3]


def test_look_up_finds_the_latest_match() -> None:
    assert look_up([1, 2, 3, 9, 1, 2, 4, 8, 1, 2], 2) == [4, 8]
    assert look_up([5, 6, 7, 5, 6, 7, 8, 6, 7], 3) == [8, 6, 7]
    assert look_up([1, 2, 3], 3) == []
