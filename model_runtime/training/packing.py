"""Examples laid side by side in rows of tokens, each of them blind to its neighbours."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.examples import Example
from treadle.model_runtime.batch import Batch, Group


@dataclass(frozen=True, slots=True)
class Rows:
    """Each (rows, length).

    Attributes:
        tokens: Examples one after the other.
        positions: Within the example.
        documents: Number of the example; 0 is the padding.
        weights: Whether a token is to be predicted.
    """

    tokens: Tensor
    positions: Tensor
    documents: Tensor
    weights: Tensor

    def batch(self, *, shift: int) -> Batch:
        """For the model: without the first `shift` tokens of each row.

        An MTP module has no row for a position below `shift`; such a token sees itself alone,
        and nobody sees it.
        """
        positions, documents = self.positions[:, shift:], self.documents[:, shift:]
        rows, length = positions.shape
        order = torch.arange(length)
        same = documents[:, :, None] == documents[:, None, :]
        mask = same & (order[:, None] >= order[None, :]) & (positions >= shift)[:, None, :]
        mask |= torch.eye(length, dtype=torch.bool)
        slots = torch.arange(rows * length)
        group = Group.of(slice(0, rows * length), length, slots.view(rows, length), mask)
        tokens = self.tokens[:, shift:].flatten()
        return Batch.of(tokens, positions.flatten(), slots, [group])

    def targets(self, ahead: int) -> tuple[Tensor, Tensor]:
        """The token `ahead` of each, and whether it counts; (rows, length - ahead)."""
        same = self.documents[:, ahead:] == self.documents[:, :-ahead]
        return self.tokens[:, ahead:], self.weights[:, ahead:] * same


def rows_of(
    source: Iterator[Example], tokenizer: Tokenizer, *, rows: int, length: int
) -> Iterator[Rows]:
    """Without end; every second prompt is predicted too, the others only read."""
    number = 0
    while True:
        made = torch.zeros(4, rows, length, dtype=torch.int64)
        for row in range(rows):
            filled = 0
            while filled < length:
                number += 1
                example = next(source)
                prompt = tokenizer.encode(example.prompt).ids
                answer = tokenizer.encode(example.answer).ids
                tokens = (prompt + answer)[: length - filled]
                count = len(tokens)
                part = made[:, row, filled : filled + count]
                part[0] = torch.tensor(tokens)
                part[1] = torch.arange(count)
                part[2] = number
                part[3] = 1
                if number % 2:
                    part[3, : len(prompt)] = 0
                filled += count
        yield Rows(*made)
