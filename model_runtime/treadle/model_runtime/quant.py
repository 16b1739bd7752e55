"""Weight matrices in the forms they are kept in: plain, FP8 in blocks, int8 by rows."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 128  # `weight_block_size` of every FP8 checkpoint of the family


class Matrix(Protocol):
    """A weight, (out, in), or a stack of them, (experts, out, in)."""

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply: (tokens, in) to (tokens, out), in the dtype of `x`."""
        ...

    def __getitem__(self, expert: int) -> "Matrix":
        """One weight of a stack."""
        ...

    def widen(self, dtype: torch.dtype) -> Tensor:
        """The weight as plain numbers, in its own shape."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """Numbers as they are; `bias` is (out) or absent."""

    weight: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, in) to (tokens, out)."""
        return functional.linear(x, self.weight, self.bias)

    def __getitem__(self, expert: int) -> "Plain":
        """One weight of a stack."""
        return Plain(self.weight[expert])

    def widen(self, dtype: torch.dtype) -> Tensor:
        """The weight in `dtype`."""
        return self.weight.to(dtype)


@dataclass(frozen=True, slots=True)
class BlockFp8:
    """FP8 e4m3 with one scale per 128×128 block, multiplied after widening.

    `scale` is (ceil(out / 128), ceil(in / 128)), float32. The checkpoint calls it
    `weight_scale_inv`, and yet it is multiplied.

    Source: DeepSeek-V3 technical report, arXiv:2412.19437, section 3.3.2; README_WEIGHTS.md.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, in) to (tokens, out); a strip of 128 rows is widened at a time."""
        strips = [
            functional.linear(x, widen_blocks(weight, scale[None], x.dtype))
            for weight, scale in zip(torch.split(self.weight, BLOCK), self.scale, strict=True)
        ]
        out = torch.cat(strips, dim=-1)
        return out if self.bias is None else out + self.bias

    def __getitem__(self, expert: int) -> "BlockFp8":
        """One weight of a stack."""
        return BlockFp8(self.weight[expert], self.scale[expert])

    def widen(self, dtype: torch.dtype) -> Tensor:
        """The weight in `dtype`."""
        return widen_blocks(self.weight, self.scale, dtype)


@dataclass(frozen=True, slots=True)
class RowInt8:
    """Signed bytes with one float32 scale per row, (out); rounded here at load."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, in) to (tokens, out); the scale is applied to the sums."""
        out = functional.linear(x, self.weight.to(x.dtype)) * self.scale.to(x.dtype)
        return out if self.bias is None else out + self.bias

    def __getitem__(self, expert: int) -> "RowInt8":
        """One weight of a stack."""
        return RowInt8(self.weight[expert], self.scale[expert])

    def widen(self, dtype: torch.dtype) -> Tensor:
        """The weight in `dtype`."""
        return (self.weight.float() * self.scale[..., None]).to(dtype)


def widen_blocks(weight: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """FP8 blocks as plain numbers, (…, out, in) in `dtype`; blocks at the edges may be partial.

    `scale` is (…, ceil(out / 128), ceil(in / 128)), float32 or float8_e8m0fnu.
    """
    rows, columns = weight.shape[-2:]
    spread = scale.float().repeat_interleave(BLOCK, dim=-2)[..., :rows, :]
    spread = spread.repeat_interleave(BLOCK, dim=-1)[..., :columns]
    return (weight.float() * spread).to(dtype)


def narrow_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round (…, out, in) to signed bytes and a scale, (…, out): absmax / 127 per row."""
    wide = weight.float()
    scale = wide.abs().amax(dim=-1).clamp(min=1e-12) / 127
    return (wide / scale[..., None]).round().clamp(-127, 127).to(torch.int8), scale


def narrow_blocks(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round (out, in) to FP8 blocks and their scales: absmax / 448 per 128×128 block."""
    rows, columns = weight.shape
    high, wide = -(-rows // BLOCK), -(-columns // BLOCK)
    padded = functional.pad(weight.float(), (0, wide * BLOCK - columns, 0, high * BLOCK - rows))
    blocks = padded.view(high, BLOCK, wide, BLOCK)
    scale = blocks.abs().amax(dim=(1, 3)).clamp(min=1e-12) / torch.finfo(torch.float8_e4m3fn).max
    narrow = (blocks / scale[:, None, :, None]).view(high * BLOCK, wide * BLOCK)
    return narrow[:rows, :columns].to(torch.float8_e4m3fn), scale
