"""Weights in the order the CPU kernel reads them: 16 outputs side by side, then the next input.

One vector load then feeds every token of the batch, no sum crosses lanes, and each output is one
chain over the inputs in ascending order, whatever the batch. n outputs are padded to 16.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn import functional

from treadle.model_runtime.quant import BlockFp8, GgufBlocks, Matrix, Plain, RowInt8

LANES = 16
BLOCK = 32  # inputs that share a scale in Q4 and Q8


class Type(IntEnum):
    """How weights are stored; the numbers are those of `model.h`."""

    F32 = 0
    BF16 = 1
    I8 = 2
    Q4 = 3
    Q8 = 4
    ROWS_F32 = 5
    ROWS_BF16 = 6


@dataclass(frozen=True, slots=True)
class Stored:
    """A matrix as the checkpoint keeps it, (n, k); every tensor has n rows.

    Attributes:
        parts: F32 and BF16, the weight; I8, the weight and a scale per row; Q4, numbers, scale and
            minimum as in `GgufBlocks`; Q8, numbers and scale.
        bias: (n), float32.
    """

    type: Type
    k: int
    parts: tuple[Tensor, ...]
    bias: Tensor | None = None

    @property
    def n(self) -> int:
        """Outputs."""
        return self.parts[0].shape[0]

    def by_rows(self, change: Callable[[Tensor], Tensor]) -> "Stored":
        """The same change of rows to every part, without a bias."""
        return Stored(self.type, self.k, tuple(change(part) for part in self.parts))


def stored(matrix: Matrix) -> Stored:
    """The tensors of a weight; FP8 blocks are widened to bfloat16, which holds them nearly."""
    match matrix:
        case Plain(weight=weight, bias=bias):
            return plain(weight, bias)
        case RowInt8(weight=weight, scale=scale, bias=bias):
            return Stored(Type.I8, weight.shape[1], (weight, scale), _wide(bias))
        case BlockFp8(bias=bias):
            return plain(matrix.widen(torch.bfloat16), bias)
        case GgufBlocks(quants=quants, scale=scale, minimum=minimum, bias=bias):
            k = quants.shape[1] * BLOCK
            if minimum is None:
                return Stored(Type.Q8, k, (quants, scale), _wide(bias))
            return Stored(Type.Q4, k, (quants, scale, minimum), _wide(bias))
        case _:
            raise TypeError(f"no packing for {type(matrix).__name__}")


def plain(weight: Tensor, bias: Tensor | None = None) -> Stored:
    """Plain numbers: bfloat16 stays if the inputs come in pairs, all else becomes float32."""
    k = weight.shape[1]
    if weight.dtype == torch.bfloat16 and k % 2 == 0:
        return Stored(Type.BF16, k, (weight,), _wide(bias))
    return Stored(Type.F32, k, (weight.float(),), _wide(bias))


def stack(matrices: list[Matrix]) -> Stored:
    """Several matrices over the same inputs as one: their rows one below the other."""
    parts = [stored(matrix) for matrix in matrices]
    if len({part.type for part in parts}) > 1:
        parts = [
            plain(matrix.widen(torch.float32), part.bias)
            for matrix, part in zip(matrices, parts, strict=True)
        ]
    bias = None
    if any(part.bias is not None for part in parts):
        bias = torch.cat([torch.zeros(p.n) if p.bias is None else p.bias for p in parts])
    columns = zip(*(part.parts for part in parts), strict=True)
    return replace(parts[0], parts=tuple(torch.cat(column) for column in columns), bias=bias)


def alternate(gate: Matrix, up: Matrix) -> Stored:
    """Gate and up rows in turn, 16 of each, so that one pass makes SiLU(gate) · up."""
    both = stack([gate, up])
    n = both.n // 2

    def in_turn(rows: Tensor) -> Tensor:
        halves = [_tiles(half) for half in (rows[:n], rows[n:])]
        return torch.stack(halves, dim=1).flatten(0, 2)

    return both.by_rows(in_turn)


def widen_inputs(part: Stored) -> Stored:
    """Zero columns up to a multiple of 16, for inputs that come from `alternate`."""
    missing = -part.k % LANES
    if not missing:
        return part
    weight, *rest = part.parts  # blocks of 32 have nothing missing
    padded = functional.pad(weight, (0, missing))
    return replace(part, k=part.k + missing, parts=(padded, *rest))


@dataclass(frozen=True, slots=True)
class Packed:
    """One matrix, (n, k), ready for the kernel; the tensors own the memory it reads.

    Attributes:
        weights: F32 and I8 (n / 16, k, 16); BF16 (n / 16, k / 2, 16, 2); Q4 and Q8 bytes,
            (n / 16, k / 32, bytes of 16 blocks), which begin with the scales.
        scales: (n padded), for I8.
        bias: (n padded), or `None`.
    """

    weights: Tensor
    scales: Tensor | None
    bias: Tensor | None
    n: int
    k: int
    type: Type

    def rows(self, chosen: Tensor) -> Tensor:
        """Some of the n rows, (chosen, k), float32: the head's rows are embeddings too."""
        tile, lane = chosen // LANES, chosen % LANES
        match self.type:
            case Type.F32:
                return self.weights[tile, :, lane]
            case Type.BF16:
                return self.weights[tile, :, lane].flatten(1).float()
            case Type.I8 if self.scales is not None:
                return self.weights[tile, :, lane].float() * self.scales[chosen, None]
            case _:
                return _block_rows(self, tile, lane)


def pack(part: Stored) -> Packed:
    """Lay (n, k) out for the kernel."""
    tiles = [_tiles(tensor) for tensor in part.parts]
    scales = None
    match part.type:
        case Type.BF16:
            weights = tiles[0].reshape(-1, LANES, part.k // 2, 2).transpose(1, 2)
        case Type.Q4 | Type.Q8:
            weights = _blocks(tiles)
        case Type.I8:
            weights, scales = tiles[0].transpose(1, 2), tiles[1].float().flatten()
        case _:
            weights = tiles[0].transpose(1, 2)
    bias = None if part.bias is None else _pad_rows(part.bias)
    return Packed(weights.contiguous(), scales, bias, part.n, part.k, part.type)


def _blocks(tiles: list[Tensor]) -> Tensor:
    """Scales as float32, then numbers, 16 rows side by side; (n / 16, k / 32, bytes)."""
    numbers, *scales = tiles
    heads = [scale.float().transpose(1, 2).contiguous().view(torch.uint8) for scale in scales]
    body = numbers.permute(0, 2, 3, 1).flatten(2).contiguous().view(torch.uint8)
    return torch.cat([*heads, body], dim=2)


def _block_rows(packed: Packed, tile: Tensor, lane: Tensor) -> Tensor:
    """Undo `_blocks` for some rows; (rows, k), float32."""
    heads = 2 if packed.type is Type.Q4 else 1
    found = packed.weights[tile]
    floats = found[..., : heads * LANES * 4].contiguous().view(torch.float32)
    body = found[..., heads * LANES * 4 :]
    body = body.reshape(*body.shape[:2], -1, LANES)
    row = torch.arange(len(lane))
    scales = [floats[row, :, head * LANES + lane] for head in range(heads)]
    quants = body[row, :, :, lane]
    if packed.type is Type.Q4:
        return GgufBlocks(quants, scales[0], scales[1]).widen(torch.float32)
    return GgufBlocks(quants.view(torch.int8), scales[0], None).widen(torch.float32)


def _wide(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.float()


def _tiles(rows: Tensor) -> Tensor:
    """(n, …) to (n / 16, 16, …)."""
    padded = _pad_rows(rows)
    return padded.reshape(-1, LANES, *padded.shape[1:])


def _pad_rows(rows: Tensor) -> Tensor:
    """(n, …) to (n padded to 16, …); the added rows are zero."""
    missing = -rows.shape[0] % LANES
    return torch.cat((rows, rows.new_zeros(missing, *rows.shape[1:]))) if missing else rows
