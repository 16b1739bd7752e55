"""Weights in the order the CPU kernel reads them: 16 outputs side by side, then the next input.

One vector load then feeds every token of the batch, no sum crosses lanes, and each output is one
chain over the inputs in ascending order, whatever the batch. n outputs are padded to 16.
"""

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn import functional

from treadle.model_runtime.quant import BlockFp8, Matrix, Plain, RowInt8

LANES = 16


class Type(IntEnum):
    """How weights are stored; the numbers are those of `model.h`."""

    F32 = 0
    BF16 = 1
    I8 = 2


@dataclass(frozen=True, slots=True)
class Packed:
    """One matrix, (n, k), ready for the kernel; the tensors own the memory it reads.

    Attributes:
        weights: F32 and I8 (n / 16, k, 16); BF16 (n / 16, k / 2, 16, 2).
        scales: (n padded), for I8.
        bias: (n padded), or `None`.
    """

    weights: Tensor
    scales: Tensor | None
    bias: Tensor | None
    n: int
    k: int
    type: Type


@dataclass(frozen=True, slots=True)
class Stored:
    """A matrix as the checkpoint keeps it: (n, k), scales per row for int8."""

    weight: Tensor
    scale: Tensor | None = None
    bias: Tensor | None = None


def stored(matrix: Matrix) -> Stored:
    """The tensors of a weight; FP8 blocks are widened to bfloat16, which holds them nearly."""
    match matrix:
        case Plain(weight=weight, bias=bias):
            return Stored(weight, None, bias)
        case RowInt8(weight=weight, scale=scale, bias=bias):
            return Stored(weight, scale, bias)
        case BlockFp8(bias=bias):
            return Stored(matrix.widen(torch.bfloat16), None, bias)
        case _:
            raise TypeError(f"no packing for {type(matrix).__name__}")


def stack(parts: list[Stored]) -> Stored:
    """Several matrices over the same inputs as one: their rows one below the other."""
    biases = [part.bias for part in parts]
    bias = None
    if any(b is not None for b in biases):
        bias = torch.cat([_bias(part) for part in parts])
    scales = [part.scale for part in parts if part.scale is not None]
    return Stored(
        torch.cat([part.weight for part in parts]), torch.cat(scales) if scales else None, bias
    )


def alternate(gate: Stored, up: Stored) -> Stored:
    """Gate and up rows in turn, 16 of each, so that one pass makes SiLU(gate) · up."""
    rows = [_pad_rows(part.weight) for part in (gate, up)]
    weight = torch.stack([part.view(-1, LANES, part.shape[1]) for part in rows], dim=1)
    if gate.scale is None or up.scale is None:
        return Stored(weight.flatten(0, 2))
    scales = [_pad_rows(scale[:, None]).view(-1, LANES) for scale in (gate.scale, up.scale)]
    return Stored(weight.flatten(0, 2), torch.stack(scales, dim=1).flatten())


def widen_inputs(part: Stored) -> Stored:
    """Zero columns up to a multiple of 16, for inputs that come from `alternate`."""
    missing = -part.weight.shape[1] % LANES
    return Stored(functional.pad(part.weight, (0, missing)), part.scale, part.bias)


def pack(part: Stored) -> Packed:
    """Lay (n, k) out for the kernel; float32, bfloat16 and int8 keep their type."""
    n, k = part.weight.shape
    rows = _pad_rows(part.weight).view(-1, LANES, k)
    bias = None if part.bias is None else _pad_rows(part.bias.float()[:, None]).flatten()
    match part.weight.dtype:
        case torch.bfloat16:
            pairs = rows.view(-1, LANES, k // 2, 2).permute(0, 2, 1, 3).contiguous()
            return Packed(pairs, None, bias, n, k, Type.BF16)
        case torch.int8 if part.scale is not None:
            scales = _pad_rows(part.scale.float()[:, None]).flatten()
            return Packed(rows.transpose(1, 2).contiguous(), scales, bias, n, k, Type.I8)
        case _:
            return Packed(rows.float().transpose(1, 2).contiguous(), None, bias, n, k, Type.F32)


def _bias(part: Stored) -> Tensor:
    return torch.zeros(part.weight.shape[0]) if part.bias is None else part.bias.float()


def _pad_rows(weight: Tensor) -> Tensor:
    """(n, k) to (n padded to 16, k); the added rows are zero."""
    missing = -weight.shape[0] % LANES
    return functional.pad(weight, (0, 0, 0, missing)) if missing else weight
