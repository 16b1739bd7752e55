"""Weight matrices as they are kept: plain, FP8 in blocks, int8 by rows, blocks of GGUF."""

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

    def rows(self, chosen: Tensor) -> Tensor:
        """Some rows of one weight as plain numbers, (chosen, in)."""
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

    def rows(self, chosen: Tensor) -> Tensor:
        """(chosen, in), in the weight's own dtype."""
        return self.weight[chosen]


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

    def rows(self, chosen: Tensor) -> Tensor:
        """(chosen, in), float32."""
        return widen_blocks(self.weight, self.scale, torch.float32)[chosen]


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

    def rows(self, chosen: Tensor) -> Tensor:
        """(chosen, in), float32."""
        return self.weight[chosen].float() * self.scale[chosen, None]


@dataclass(frozen=True, slots=True)
class GgufBlocks:
    """GGUF's Q4_1 and Q8_0: blocks of 32 along a row, each a scale times whole numbers.

    Attributes:
        quants: Q8_0 signed bytes, (out, blocks, 32); Q4_1 two numbers a byte, (out, blocks, 16):
            the first half of the block in the low four bits.
        scale: (out, blocks), float16.
        minimum: What Q4_1 adds, (out, blocks), float16; `None` for Q8_0.

    Source: ggml-org/ggml, src/ggml-common.h, `block_q4_1` and `block_q8_0`.
    """

    quants: Tensor
    scale: Tensor
    minimum: Tensor | None
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, in) to (tokens, out), multiplied after widening."""
        return functional.linear(x, self.widen(x.dtype), self.bias)

    def __getitem__(self, expert: int) -> "GgufBlocks":
        """Never called: no GGUF architecture served here has experts."""
        raise NotImplementedError("GGUF blocks come in no stacks")

    def widen(self, dtype: torch.dtype) -> Tensor:
        """The weight in `dtype`, exact in float32."""
        wide = self._numbers() * self.scale.float()[..., None]
        if self.minimum is not None:
            wide += self.minimum.float()[..., None]
        return wide.flatten(1).to(dtype)

    def rows(self, chosen: Tensor) -> Tensor:
        """(chosen, in), float32."""
        minimum = None if self.minimum is None else self.minimum[chosen]
        return GgufBlocks(self.quants[chosen], self.scale[chosen], minimum).widen(torch.float32)

    def _numbers(self) -> Tensor:
        """(out, blocks, 32), float32."""
        if self.minimum is None:
            return self.quants.float()
        return torch.cat((self.quants & 15, self.quants >> 4), dim=-1).float()


GGUF_BLOCK = 32
GGUF_HEADS = {"Q4_1": 4, "Q8_0": 2}  # bytes of scale and minimum before a block's numbers


def gguf_blocks(stored: Tensor, kind: str, bias: Tensor | None = None) -> GgufBlocks:
    """Take apart a file's bytes, (out, bytes of a row), of the kind Q4_1 or Q8_0."""
    head = GGUF_HEADS[kind]
    body = GGUF_BLOCK // 2 if kind == "Q4_1" else GGUF_BLOCK
    blocks = stored.view(stored.shape[0], -1, head + body)
    halves = blocks[..., :head].contiguous().view(torch.float16)
    quants = blocks[..., head:].contiguous()
    if kind == "Q8_0":
        return GgufBlocks(quants.view(torch.int8), halves[..., 0].contiguous(), None, bias)
    return GgufBlocks(quants, halves[..., 0].contiguous(), halves[..., 1].contiguous(), bias)


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
