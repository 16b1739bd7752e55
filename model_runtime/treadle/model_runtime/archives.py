"""Where tensors lie: a folder of safetensors shards, or memory. Reading copies nothing."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from treadle.model_runtime.errors import BadCheckpoint, BadConfig
from treadle.model_runtime.pages import give_back

FP8 = "F8_E4M3"  # safetensors' name; `Entry.dtype` uses its spelling
DTYPE_NAMES = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float8_e4m3fn: FP8,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header says of one tensor."""

    shape: tuple[int, ...]
    dtype: str


class Archive(Protocol):
    """Named tensors, listed before any is read."""

    @property
    def where(self) -> str:
        """For messages."""
        ...

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All tensors by name."""
        ...

    def read(self, name: str) -> Tensor:
        """A view of the stored tensor; the caller copies what it keeps.

        GGUF's blocks come as bytes, (out, bytes of a row), whatever shape the entry says.
        """
        ...


class _View(Protocol):
    """What `get_slice` of the library gives: a header entry."""

    def get_shape(self) -> list[int]: ...

    def get_dtype(self) -> str: ...


class _Shard(Protocol):
    """An open file of the library, whose own stubs leave the types out."""

    def keys(self) -> list[str]: ...

    def get_slice(self, name: str) -> _View: ...

    def get_tensor(self, name: str) -> Tensor: ...


class MemoryArchive:
    """Tensors that are already in memory."""

    def __init__(self, tensors: Mapping[str, Tensor], *, where: str = "memory") -> None:
        self.where = where
        self._tensors = tensors
        self.entries = {
            name: Entry(tuple(tensor.shape), DTYPE_NAMES.get(tensor.dtype, str(tensor.dtype)))
            for name, tensor in tensors.items()
        }

    def read(self, name: str) -> Tensor:
        """The tensor itself."""
        return self._tensors[name]


class SafetensorsArchive:
    """A folder with `model.safetensors`, or shards and their index; all memory-mapped.

    The library checks header length and offsets, and holds no code to run.
    """

    def __init__(self, folder: Path) -> None:
        self.where = str(folder)
        self._shards: dict[str, _Shard] = {}
        self._last: Tensor | None = None
        self.entries: dict[str, Entry] = {}
        listed = _index(folder)
        for shard in _shards(folder, listed):
            self._open(shard)
        missing = [name for name in listed if name not in self.entries]
        if missing:
            raise BadCheckpoint(self.where, missing=missing)

    def _open(self, path: Path) -> None:
        try:
            shard = cast(_Shard, safe_open(path, framework="pt"))  # untyped stubs
        except (SafetensorError, OSError) as error:
            raise BadConfig(f"{str(path)!r} cannot be read: {error}; fetch it again") from error
        for name in shard.keys():  # noqa: SIM118 - the object is no mapping
            view = shard.get_slice(name)
            self.entries[name] = Entry(tuple(view.get_shape()), view.get_dtype())
            self._shards[name] = shard

    def read(self, name: str) -> Tensor:
        """A view of the mapped file.

        The pages of the view before it are given back: they would count as this process's memory
        until all of the file did. That view stays good, and reads its pages again if it must.
        """
        if self._last is not None:
            give_back(self._last)
        self._last = self._shards[name].get_tensor(name)
        return self._last


def _index(folder: Path) -> dict[str, str]:
    """Tensor name to shard, from the index; empty where there is none."""
    path = folder / "model.safetensors.index.json"
    if not path.exists():
        return {}
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        return {str(name): str(shard) for name, shard in names.items()}
    except (ValueError, KeyError, AttributeError) as error:
        raise BadConfig(f"{str(path)!r} is no safetensors index: {error!r}") from error


def _shards(folder: Path, listed: Mapping[str, str]) -> list[Path]:
    """The files to open; a name in an index must not lead out of the folder."""
    if outside := [name for name in listed.values() if Path(name).name != name]:
        raise BadConfig(f"the index in {str(folder)!r} names {outside[0]!r}, outside the folder")
    names = sorted(set(listed.values())) or ["model.safetensors"]
    paths = [folder / name for name in names]
    if absent := [path.name for path in paths if not path.is_file()]:
        raise BadConfig(f"{str(folder)!r} has no {', '.join(absent)}; fetch the checkpoint again")
    return paths


PACKED = re.compile(r"(?P<prefix>.*\.mlp\.experts)\.(?P<kind>gate_up_proj|down_proj)$")


@dataclass(frozen=True, slots=True)
class _Slice:
    """One expert's matrix within a packed tensor."""

    packed: str
    expert: int
    rows: slice


class UnpackedExperts:
    """Shows experts packed by Transformers 5, (experts, …), under the checkpoint's own names."""

    def __init__(self, archive: Archive) -> None:
        self.where = archive.where
        self._archive = archive
        self._slices = dict(_slices(archive))
        packed = {part.packed for part in self._slices.values()}
        self.entries = {
            **{name: entry for name, entry in archive.entries.items() if name not in packed},
            **{name: self._entry(part) for name, part in self._slices.items()},
        }

    def _entry(self, part: _Slice) -> Entry:
        entry = self._archive.entries[part.packed]
        rows = len(range(*part.rows.indices(entry.shape[1])))
        return Entry((rows, entry.shape[2]), entry.dtype)

    def read(self, name: str) -> Tensor:
        """A view, packed or not."""
        if (part := self._slices.get(name)) is None:
            return self._archive.read(name)
        return self._archive.read(part.packed)[part.expert, part.rows]


def _slices(archive: Archive) -> list[tuple[str, _Slice]]:
    found: list[tuple[str, _Slice]] = []
    for name, entry in archive.entries.items():
        if (match := PACKED.match(name)) is None or len(entry.shape) != 3:
            continue
        experts, rows, _ = entry.shape
        parts = {"down_proj": slice(0, rows)}
        if match["kind"] == "gate_up_proj":
            parts = {"gate_proj": slice(0, rows // 2), "up_proj": slice(rows // 2, rows)}
        found += [
            (f"{match['prefix']}.{expert}.{part}.weight", _Slice(name, expert, where))
            for expert in range(experts)
            for part, where in parts.items()
        ]
    return found
