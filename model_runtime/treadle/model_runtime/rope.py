"""Rotary positions: frequencies, YaRN, and the two ways of pairing values.

Sources: RoFormer, arXiv:2104.09864, section 3.2; YaRN, arXiv:2309.00071, section 3;
DeepSeek-V3 reference, inference/model.py, `precompute_freqs_cis` and `MLA.__init__`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from treadle.model_runtime.config import Llama3Scaling, Rope, Yarn


@dataclass(frozen=True, slots=True)
class Rotation:
    """The turn of each token: `cos` and `sin` are (tokens, dim / 2), float32."""

    cos: Tensor
    sin: Tensor


def frequencies(rope: Rope) -> Tensor:
    """Radians per position, (dim / 2), float32, stretched as the config asks."""
    exponents = torch.arange(0, rope.dim, 2, dtype=torch.float32) / rope.dim
    plain = 1.0 / (rope.theta**exponents)
    match rope.scaling:
        case None:
            return plain
        case Yarn():
            return _yarn(plain, rope, rope.scaling)
        case Llama3Scaling():
            return _llama3(plain, rope.scaling)


def rotation_scale(rope: Rope) -> float:
    """The factor on cosines and sines: m(mscale) / m(mscale_all_dim), and m(1) if either is 0."""
    if not isinstance(rope.scaling, Yarn):
        return 1.0
    yarn = rope.scaling
    if yarn.attention_factor is not None:
        return yarn.attention_factor
    if yarn.mscale and yarn.mscale_all_dim:
        return _m(yarn.factor, yarn.mscale) / _m(yarn.factor, yarn.mscale_all_dim)
    return _m(yarn.factor, 1.0)


def softmax_scale(rope: Rope, head_dim: int) -> float:
    """The factor on attention scores; YaRN multiplies it by m(mscale_all_dim) squared, once.

    Source: inference/model.py, `MLA.__init__` (`softmax_scale * mscale * mscale`).
    """
    scale = 1 / math.sqrt(head_dim)
    if isinstance(rope.scaling, Yarn) and rope.scaling.mscale_all_dim:
        mscale = _m(rope.scaling.factor, rope.scaling.mscale_all_dim)
        scale *= mscale * mscale
    return scale


def rotation(angles_per_position: Tensor, positions: Tensor, *, scale: float) -> Rotation:
    """Cosines and sines for `positions`, (tokens), from frequencies, (dim / 2)."""
    angles = positions.to(torch.float32)[:, None] * angles_per_position
    return Rotation(angles.cos() * scale, angles.sin() * scale)


def rotate_pairs(x: Tensor, turn: Rotation) -> Tensor:
    """Turn the pairs (0, 1), (2, 3), … of the last dimension, as DeepSeek's weights expect.

    Args:
        x: (tokens, heads, dim).
        turn: One rotation per token.

    Returns:
        (tokens, heads, dim), in the dtype of `x`.
    """
    cos, sin = turn.cos[:, None], turn.sin[:, None]
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    turned = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1)
    return turned.flatten(-2).to(x.dtype)


def rotate_halves(x: Tensor, turn: Rotation) -> Tensor:
    """Turn the pairs (0, dim/2), (1, dim/2 + 1), …; (tokens, heads, dim) to the same.

    For Llama and Qwen2, and DeepSeek checkpoints saved with `rope_interleave: false`.
    """
    cos, sin = turn.cos[:, None], turn.sin[:, None]
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x.dtype)


def _m(factor: float, mscale: float) -> float:
    """YaRN's attention temperature, arXiv:2309.00071, eq. 22, with DeepSeek's `mscale`."""
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0


def correction_range(rope: Rope, yarn: Yarn) -> tuple[float, float]:
    """First and last frequency of YaRN's ramp; clamped to dim - 1 (not dim / 2 - 1)."""

    def turning(rotations: float) -> float:
        reach = yarn.original_max_positions / (rotations * 2 * math.pi)
        return rope.dim * math.log(reach) / (2 * math.log(rope.theta))

    low, high = turning(yarn.beta_fast), turning(yarn.beta_slow)
    if yarn.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rope.dim - 1)
    return low, high + 0.001 if low == high else high


def _yarn(plain: Tensor, rope: Rope, yarn: Yarn) -> Tensor:
    """Keep fast frequencies, divide slow ones by the factor, blend between; (dim / 2)."""
    low, high = correction_range(rope, yarn)
    index = torch.arange(rope.dim // 2, dtype=torch.float32)
    stretched = ((index - low) / (high - low)).clamp(0, 1)
    return plain * (1 - stretched) + plain / yarn.factor * stretched


def _llama3(plain: Tensor, scaling: Llama3Scaling) -> Tensor:
    """Llama 3.1's rule: divide long waves by the factor, blend the middle; (dim / 2).

    Source: meta-llama/llama-models, `apply_scaling`.
    """
    waves = scaling.original_max_positions * plain / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((waves - low) / (high - low)).clamp(0, 1)
    return plain / scaling.factor * (1 - kept) + plain * kept
