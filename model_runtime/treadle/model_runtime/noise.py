"""Noise that depends on seed, position and token alone: the same in any batch, and in a draft.

Adding Gumbel noise to log-probabilities and taking the best draws from the distribution. With the
noise keyed by position, a draft that sees other probabilities for the same position tends to pick
the same token, and verifying a draft is comparing two tokens.

Sources: Gumbel-max, Maddison et al., arXiv:1411.0030; drafter-invariant decoding,
arXiv:2408.07978; the mixing function is splitmix64, Steele et al., OOPSLA 2014.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """The 64-bit pattern as the signed number that torch wants."""
    return value - (1 << 64) if value >> 63 else value


STRIDE = _signed(0x9E3779B97F4A7C15)
FIRST = _signed(0xBF58476D1CE4E5B9)
SECOND = _signed(0x94D049BB133111EB)
BITS = 53  # of a float64's significand


def gumbel(seeds: Sequence[int], positions: Sequence[int], vocabulary: int) -> Tensor:
    """Standard Gumbel noise, (rows, vocabulary), float32; one seed and position per row."""
    keys = _mix(_mix(_int64(seeds)) + _int64(positions) * STRIDE)
    tokens = torch.arange(1, vocabulary + 1) * STRIDE
    bits = _shift(_mix(keys[:, None] + tokens), 64 - BITS)
    # Uniform in (0, 1). The largest noise comes from the smallest values, where float32 is
    # finest; log1p keeps it so.
    uniform = ((bits.double() + 0.5) * 2.0**-BITS).float()
    return -torch.log(-torch.log1p(-uniform))


def _int64(values: Sequence[int]) -> Tensor:
    return torch.tensor([_signed(value & ((1 << 64) - 1)) for value in values])


def _mix(x: Tensor) -> Tensor:
    """Scatter 64 bits; products wrap."""
    x = (x ^ _shift(x, 30)) * FIRST
    x = (x ^ _shift(x, 27)) * SECOND
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Right shift that brings in zeros."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
