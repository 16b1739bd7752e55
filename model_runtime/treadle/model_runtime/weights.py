"""From a checkpoint's tensors to a model's: names first, then bytes, straight into place.

A model is built from a `Source`. Built once from a `Manifest`, it says which tensors it wants;
built from a `Loader`, it gets them. So the list of names cannot drift from the code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import torch
from torch import Tensor

from treadle.model_runtime.archives import FP8, Archive
from treadle.model_runtime.pages import return_freed_memory
from treadle.model_runtime.quant import (
    BLOCK,
    GGUF_HEADS,
    BlockFp8,
    Matrix,
    Plain,
    RowInt8,
    gguf_blocks,
    narrow_rows,
    widen_blocks,
)

SCALE_SUFFIX = "_scale_inv"


class Storage(StrEnum):
    """The form in which matrices are kept in memory."""

    WIDE = "wide"  # in the compute dtype
    KEPT = "kept"  # FP8 blocks and those of GGUF stay as they are; all else is wide
    INT8 = "int8"  # rounded to signed bytes by rows


class Source(Protocol):
    """Gives a model its tensors by checkpoint name."""

    @property
    def dtype(self) -> torch.dtype:
        """The compute dtype."""
        ...

    def tensor(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """One tensor of this shape, widened, in `dtype` or the compute dtype."""
        ...

    def matrix(self, name: str, out: int, into: int, *, bias: bool = False) -> Matrix:
        """The weight `name.weight`, (out, into), and `name.bias` if asked for."""
        ...

    def table(self, name: str, out: int, into: int) -> Matrix:
        """The weight `name.weight` whose rows are looked up; never rounded here."""
        ...

    def stack(self, names: Sequence[str], out: int, into: int) -> Matrix:
        """Weights of one shape as one stack, (len(names), out, into)."""
        ...


@dataclass(frozen=True, slots=True)
class Manifest:
    """Records what a model asks for; holds no bytes."""

    dtype: torch.dtype = torch.float32
    wanted: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])

    def tensor(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """An empty tensor without memory."""
        self.wanted[name] = shape
        return torch.empty(shape, dtype=dtype or self.dtype, device="meta")

    def matrix(self, name: str, out: int, into: int, *, bias: bool = False) -> Matrix:
        """A plain matrix without memory."""
        weight = self.tensor(f"{name}.weight", out, into)
        return Plain(weight, self.tensor(f"{name}.bias", out) if bias else None)

    def table(self, name: str, out: int, into: int) -> Matrix:
        """A plain matrix without memory."""
        return self.matrix(name, out, into)

    def stack(self, names: Sequence[str], out: int, into: int) -> Matrix:
        """A plain stack without memory."""
        for name in names:
            self.tensor(f"{name}.weight", out, into)
        return Plain(torch.empty(len(names), out, into, dtype=self.dtype, device="meta"))


@dataclass(frozen=True, slots=True)
class Loader:
    """Copies tensors from an archive into memory of their own, one at a time."""

    archive: Archive
    dtype: torch.dtype
    storage: Storage = Storage.WIDE
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def tensor(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """One tensor; FP8 blocks are widened a strip at a time."""
        out = torch.empty(shape, dtype=dtype or self.dtype, device=self.device)
        self._fill(out, name)
        return out

    def matrix(self, name: str, out: int, into: int, *, bias: bool = False) -> Matrix:
        """One weight in the form that `storage` asks for."""
        added = self.tensor(f"{name}.bias", out) if bias else None
        match self._form([name]):
            case Storage.WIDE:
                return Plain(self.tensor(f"{name}.weight", out, into), added)
            case Storage.KEPT:
                stored = self.archive.entries[f"{name}.weight"].dtype
                if stored in GGUF_HEADS:
                    return gguf_blocks(self.archive.read(f"{name}.weight"), stored, added)
                blocks = self._kept([name], out, into)[0]
                return BlockFp8(blocks.weight, blocks.scale, added)
            case Storage.INT8:
                rows = self._narrowed([name], out, into)[0]
                return RowInt8(rows.weight, rows.scale, added)

    def table(self, name: str, out: int, into: int) -> Matrix:
        """GGUF's blocks if they are kept, or wide."""
        if self._form([name]) is Storage.KEPT:
            return self.matrix(name, out, into)
        return Plain(self.tensor(f"{name}.weight", out, into))

    def stack(self, names: Sequence[str], out: int, into: int) -> Matrix:
        """Weights of one shape in the form that `storage` asks for."""
        match self._form(names):
            case Storage.WIDE:
                return Plain(self._wide(names, out, into))
            case Storage.KEPT:
                return self._kept(names, out, into)
            case Storage.INT8:
                return self._narrowed(names, out, into)

    def _form(self, names: Sequence[str]) -> Storage:
        """`KEPT` needs blocks in the archive; a matrix stored wide stays wide."""
        stored = {self.archive.entries[f"{name}.weight"].dtype for name in names}
        blocks = stored == {FP8} or (len(names) == 1 and stored <= GGUF_HEADS.keys())
        if self.storage is Storage.KEPT and not blocks:
            return Storage.WIDE
        return self.storage

    def _wide(self, names: Sequence[str], out: int, into: int) -> Tensor:
        stack = torch.empty(len(names), out, into, dtype=self.dtype, device=self.device)
        for slot, name in zip(stack, names, strict=True):
            self._fill(slot, f"{name}.weight")
        return stack

    def _kept(self, names: Sequence[str], out: int, into: int) -> BlockFp8:
        blocks = (-(-out // BLOCK), -(-into // BLOCK))
        weight = torch.empty(len(names), out, into, dtype=torch.float8_e4m3fn, device=self.device)
        scale = torch.empty(len(names), *blocks, device=self.device)
        for index, name in enumerate(names):
            weight[index].copy_(self.archive.read(f"{name}.weight"))
            scale[index].copy_(self.archive.read(f"{name}.weight{SCALE_SUFFIX}").float())
        return BlockFp8(weight, scale)

    def _narrowed(self, names: Sequence[str], out: int, into: int) -> RowInt8:
        weight = torch.empty(len(names), out, into, dtype=torch.int8, device=self.device)
        scale = torch.empty(len(names), out, device=self.device)
        for index, name in enumerate(names):
            wide = self.tensor(f"{name}.weight", out, into, dtype=torch.float32)
            weight[index], scale[index] = narrow_rows(wide)
        return_freed_memory()
        return RowInt8(weight, scale)

    def _fill(self, out: Tensor, name: str) -> None:
        stored, kind = self.archive.read(name), self.archive.entries[name].dtype
        if kind in GGUF_HEADS:
            out.copy_(gguf_blocks(stored, kind).widen(out.dtype))
            return
        if stored.dtype != torch.float8_e4m3fn:
            out.copy_(stored)
            return
        scales = self.archive.read(name + SCALE_SUFFIX)
        strips = zip(torch.split(out, BLOCK), torch.split(stored, BLOCK), scales, strict=True)
        for strip, narrow, scale in strips:
            strip.copy_(widen_blocks(narrow, scale[None], out.dtype))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an archive lacks, has too much of, or has in another shape."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    misshapen: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Nothing to complain of."""
        return not (self.missing or self.extra or self.misshapen)


def compare(archive: Archive, wanted: Mapping[str, tuple[int, ...]]) -> Comparison:
    """Names and shapes of `archive` against those wanted; FP8 weights want their scales."""
    entries = archive.entries
    scales = {
        name + SCALE_SUFFIX: (*shape[:-2], -(-shape[-2] // BLOCK), -(-shape[-1] // BLOCK))
        for name, shape in wanted.items()
        if name in entries and entries[name].dtype == FP8
    }
    both = {**wanted, **scales}
    misshapen = [
        f"{name} {list(entries[name].shape)}, not {list(shape)}"
        for name, shape in both.items()
        if name in entries and entries[name].shape != shape
    ]
    return Comparison(
        missing=tuple(name for name in both if name not in entries),
        extra=tuple(name for name in entries if name not in both),
        misshapen=tuple(misshapen),
    )
