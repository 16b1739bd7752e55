"""From logits to tokens: bias, penalties, grammar, temperature, cut-offs, noise, in this order."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from treadle.model_runtime.noise import gumbel
from treadle.model_runtime.request import Alternative, Choice, Sampling


@dataclass(frozen=True, slots=True)
class Place:
    """One token to choose.

    Attributes:
        position: Of the token to choose; with the seed it keys the noise.
        history: All tokens before it, read only where penalties ask.
        prompt: How many of them are the prompt.
        allowed: What the grammar allows, (vocabulary), bool.
    """

    sampling: Sampling
    position: int
    history: Sequence[int]
    prompt: int
    allowed: Tensor | None = None


def choose(logits: Tensor, places: Sequence[Place]) -> list[Choice]:
    """Choose one token per row of `logits`, (places, vocabulary), float32."""
    scores = _adjusted(logits.cpu(), places)
    noisy = [i for i, place in enumerate(places) if not place.sampling.greedy]
    if noisy:
        scores[noisy] = _drawn(scores[noisy], [places[i] for i in noisy])
    tokens: list[int] = scores.argmax(dim=-1).tolist()
    return [
        Choice(token)
        if (wanted := place.sampling.logprobs) is None
        else _choice(logits[row], token, wanted)
        for row, (token, place) in enumerate(zip(tokens, places, strict=True))
    ]


def _adjusted(logits: Tensor, places: Sequence[Place]) -> Tensor:
    """(places, vocabulary) with bias, penalties and grammar applied row by row to a copy."""
    if all(_plain(place) for place in places):
        return logits
    scores = logits.clone()
    for row, place in zip(scores, places, strict=True):
        if place.sampling.penalises:
            _penalise(row, place)
        for token, bias in place.sampling.logit_bias.items():
            row[token] += bias
        if place.allowed is not None:
            row.masked_fill_(~place.allowed, -torch.inf)
    return scores


def _plain(place: Place) -> bool:
    """The best token is taken as it is."""
    sampling = place.sampling
    shaped = sampling.penalises or sampling.logit_bias or place.allowed is not None
    return sampling.greedy and not shaped


def _penalise(row: Tensor, place: Place) -> None:
    """Make tokens that occurred less likely, in place; (vocabulary).

    The repetition penalty counts the prompt too, the other two only the answer.

    Sources: CTRL, arXiv:1909.05858, section 4.1; OpenAI's API reference for the other two.
    """
    sampling, vocabulary = place.sampling, row.shape[0]
    if sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(place.history)))
        found = row[seen]
        penalty = sampling.repetition_penalty
        row[seen] = torch.where(found > 0, found / penalty, found * penalty)
    answer = torch.tensor(place.history[place.prompt :], dtype=torch.int64)
    counts = torch.bincount(answer, minlength=vocabulary)
    row -= counts * sampling.frequency_penalty + (counts > 0) * sampling.presence_penalty


def _drawn(scores: Tensor, places: Sequence[Place]) -> Tensor:
    """Scores whose best token is a draw from the distribution; (places, vocabulary)."""
    temperatures = torch.tensor([[place.sampling.temperature] for place in places])
    scores = scores / temperatures
    cut = [i for i, place in enumerate(places) if place.sampling.filters]
    if cut:
        scores[cut] = _cut_off(scores[cut], [places[i].sampling for i in cut])
    noise = gumbel(
        [place.sampling.seed for place in places],
        [place.position for place in places],
        scores.shape[1],
    )
    return scores + noise


def _cut_off(scores: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """Leave the likeliest tokens by top-k, then top-p, then min-p; the best one always stays.

    Sources: nucleus sampling, arXiv:1904.09751, section 3.1; min-p, arXiv:2407.01082, section 3.
    """
    vocabulary = scores.shape[1]
    ranked, order = scores.sort(dim=-1, descending=True, stable=True)
    top_k = torch.tensor([[sampling.top_k or vocabulary] for sampling in samplings])
    ranked = ranked.masked_fill(torch.arange(vocabulary) >= top_k, -torch.inf)
    probabilities = ranked.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    top_p = torch.tensor([[sampling.top_p] for sampling in samplings])
    min_p = torch.tensor([[sampling.min_p] for sampling in samplings])
    left_out = (before >= top_p) | (probabilities < min_p * probabilities[:, :1])
    left_out[:, 0] = False
    ranked = ranked.masked_fill(left_out, -torch.inf)
    return torch.empty_like(scores).scatter_(1, order, ranked)


def _choice(logits: Tensor, token: int, wanted: int) -> Choice:
    """The token with log-probabilities as the model gave them; `logits` is (vocabulary)."""
    logprobs = logits.log_softmax(dim=-1)
    best = logprobs.topk(wanted)
    likeliest = tuple(
        Alternative(int(index), float(value))
        for value, index in zip(best.values, best.indices, strict=True)
    )
    return Choice(token, float(logprobs[token]), likeliest)
