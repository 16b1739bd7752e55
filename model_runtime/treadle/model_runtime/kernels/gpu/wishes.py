"""What can be asked of kernels for GPUs."""

from dataclasses import dataclass
from typing import Literal

AttentionWish = Literal["auto", "flashmla", "flashinfer", "triton", "plain"]
Fp8Wish = Literal["auto", "deepgemm", "triton", "wide"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the settings ask for.

    Attributes:
        attention: Of decode over the latent cache.
        fp8: Of FP8 weights; `wide` multiplies widened weights and rounds no activations.
        graphs: Tokens of the largest decode step to capture; none if 0.
        block_size: Of the cache.
    """

    attention: AttentionWish = "auto"
    fp8: Fp8Wish = "auto"
    graphs: int = 0
    block_size: int = 64
