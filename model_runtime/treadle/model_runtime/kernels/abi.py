"""The structures of `cpu/model.h` for ctypes, and the functions of `cpu/entry.cpp`."""

import ctypes
from ctypes import POINTER, Structure, c_bool, c_float, c_int32, c_int64, c_uint64, c_void_p
from pathlib import Path


class CMatrix(Structure):
    """`Matrix`: packed weights by address; `data` is null where a model has none."""

    _fields_ = [
        ("data", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("n", c_int32),
        ("k", c_int32),
        ("type", c_int32),
        ("padding", c_int32),
    ]


class CLayer(Structure):
    """`Layer`."""

    _fields_ = [
        ("attention_norm", c_void_p),
        ("mlp_norm", c_void_p),
        ("query_norm", c_void_p),
        ("latent_norm", c_void_p),
        ("down", CMatrix),
        ("query_up", CMatrix),
        ("key_up", POINTER(CMatrix)),
        ("value_up", POINTER(CMatrix)),
        ("out", CMatrix),
        ("gate_up", CMatrix),
        ("mlp_down", CMatrix),
        ("router", CMatrix),
        ("router_bias", c_void_p),
        ("expert_gate_up", POINTER(CMatrix)),
        ("expert_down", POINTER(CMatrix)),
    ]


class CMtp(Structure):
    """`Mtp`."""

    _fields_ = [
        ("embedding_norm", c_void_p),
        ("hidden_norm", c_void_p),
        ("norm", c_void_p),
        ("projection", CMatrix),
    ]


INTEGERS = (
    *("hidden", "layers", "heads", "kv_heads", "nope", "rope", "value", "kv_rank", "q_rank"),
    *("experts", "groups", "top_groups", "top_experts", "normalise"),
    *("interleaved", "narrow", "modules", "threads"),
)
FLOATS = ("eps", "inner_eps", "attention_scale", "routed_scale")


class CModel(Structure):
    """`Model`."""

    _fields_ = [
        *((name, c_int32) for name in INTEGERS),
        *((name, c_float) for name in FLOATS),
        ("layer", POINTER(CLayer)),
        ("mtp", POINTER(CMtp)),
        ("norm", c_void_p),
        ("head", CMatrix),
        ("embedding", CMatrix),
    ]


class CStep(Structure):
    """`Step`."""

    _fields_ = [
        *((name, c_int32) for name in ("tokens", "requests", "block_size", "first")),
        *((name, c_void_p) for name in ("ids", "positions", "request", "blocks", "edges")),
        *((name, c_void_p) for name in ("cos", "sin")),
        ("turns", c_int64),
        ("cache", c_void_p),
        ("layer_stride", c_int64),
        ("width", c_int32),
        ("rows", c_int64),
    ]


class CAsked(Structure):
    """`Asked`."""

    _fields_ = [
        ("count", c_int32),
        ("temperature", c_float),
        ("seed", c_uint64),
        ("following", c_int64),
        ("before", c_void_p),
        ("newest", c_int64),
        ("held", c_int32),
        ("made", c_int32),
    ]


class CAhead(Structure):
    """`Ahead`."""

    _fields_ = [
        ("of", c_void_p),
        ("out", c_void_p),
        ("most", c_int32),
        ("vocabulary", c_int32),
        ("confidence", c_float),
    ]


class RowOutside(IndexError):
    """A step names a row that the cache does not have: a fault of its caller."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"a token reads or writes a row outside the cache of {rows}")


class Library:
    """The built kernels; ctypes lets go of the interpreter's lock during a call."""

    def __init__(self, file: Path, *, variant: str = "") -> None:
        """Choose the best variant of this processor, or `variant` (avx512, avx2, plain)."""
        self._library = library = ctypes.CDLL(str(file))
        find = self._library.treadle_kernels
        find.restype, find.argtypes = c_void_p, [ctypes.c_char_p]
        kernels = find(variant.encode())
        if kernels is None:
            raise OSError(f"this processor cannot run the kernels {variant!r}")
        self._kernels = c_void_p(kernels)
        name = self._library.treadle_name
        name.restype, name.argtypes = ctypes.c_char_p, [c_void_p]
        for entry in (library.treadle_trunk, library.treadle_draft, library.treadle_read):
            entry.restype = c_bool
        self.variant: str = name(self._kernels).decode()

    def trunk(self, model: CModel, step: CStep, x: int) -> None:
        """Run all layers on the rows at `x`, in place; raises `RowOutside`."""
        fits: bool = self._library.treadle_trunk(
            self._kernels, ctypes.byref(model), ctypes.byref(step), c_void_p(x)
        )
        if not fits:
            raise RowOutside(int(step.rows))

    def draft(self, model: CModel, step: CStep, *, hidden: int, x: int, depth: int) -> None:
        """Run one MTP module on embeddings at `x` and states at `hidden`; result at `x`.

        Raises `RowOutside`.
        """
        fits: bool = self._library.treadle_draft(
            self._kernels,
            ctypes.byref(model),
            ctypes.byref(step),
            c_void_p(hidden),
            c_void_p(x),
            c_int32(depth),
        )
        if not fits:
            raise RowOutside(int(step.rows))

    def read(
        self, model: CModel, step: CStep, *, x: int, scored: int, scores: int, ahead: CAhead | None
    ) -> None:
        """All layers, the head on the tokens that are `scored`, and drafts behind them.

        Raises `RowOutside`.
        """
        fits: bool = self._library.treadle_read(
            self._kernels,
            ctypes.byref(model),
            ctypes.byref(step),
            c_void_p(x),
            c_void_p(scored),
            c_void_p(scores),
            None if ahead is None else ctypes.byref(ahead),
        )
        if not fits:
            raise RowOutside(int(step.rows))

    def logits(self, model: CModel, *, states: int, count: int, out: int) -> None:
        """Multiply `count` rows with the head."""
        self._library.treadle_logits(
            self._kernels, ctypes.byref(model), c_void_p(states), c_int32(count), c_void_p(out)
        )

    def multiply(self, matrix: CMatrix, *, x: int, count: int, y: int, threads: int) -> None:
        """Multiply `count` rows with one matrix."""
        self._library.treadle_multiply(
            self._kernels,
            ctypes.byref(matrix),
            c_void_p(x),
            c_int32(count),
            c_void_p(y),
            c_int32(threads),
        )
