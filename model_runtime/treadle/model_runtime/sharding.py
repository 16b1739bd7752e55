"""One model on several ranks: which part of each tensor a rank holds, and where parts are summed.

Heads and feed-forward widths are cut, experts are dealt out whole, the latent cache is held by
every rank. A matrix cut by rows gives a part of the output, one cut by columns a part of the sum:
so each attention and each feed-forward layer needs one sum over the ranks.

Sources: Megatron-LM, arXiv:1909.08053, section 3; GShard, arXiv:2006.16668, section 3.2.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Protocol

import torch
from torch import Tensor
from typing_extensions import override

from treadle.model_runtime.archives import FP8, Archive, Entry
from treadle.model_runtime.config import DeepseekConfig, ModelConfig
from treadle.model_runtime.errors import CannotSplit
from treadle.model_runtime.layers import FeedForward
from treadle.model_runtime.loading import Builder, build
from treadle.model_runtime.model import Decoder, DeepseekModel
from treadle.model_runtime.moe import MixtureOfExperts
from treadle.model_runtime.quant import BLOCK, Matrix
from treadle.model_runtime.weights import Loader, Source

HEADS = frozenset({"q_proj", "q_b_proj", "kv_b_proj", "k_proj", "v_proj"})
WIDE = frozenset({"gate_proj", "up_proj", "lm_head"})
NARROW = frozenset({"o_proj", "down_proj"})
EXPERT = re.compile(r"\.mlp\.experts\.(\d+)\.")
TENSOR = re.compile(r"(?:^|\.)([a-z_]+)\.(weight|bias|weight_scale_inv)$")


class Ranks(Protocol):
    """The ranks that share a model, seen from one of them."""

    @property
    def rank(self) -> int:
        """This one's number."""
        ...

    @property
    def size(self) -> int:
        """How many they are."""
        ...

    def summed(self, x: Tensor) -> Tensor:
        """The sum over all ranks, equal to the last bit on each."""
        ...

    def joined(self, x: Tensor) -> Tensor:
        """All ranks' parts side by side in the last dimension, in their order."""
        ...


class Cut(Enum):
    """How a tensor is shared."""

    WHOLE = auto()
    ROWS = auto()
    COLUMNS = auto()


def cut_of(name: str) -> Cut:
    """By the name of a tensor; a routed expert is never cut."""
    found = TENSOR.search(name)
    if found is None or EXPERT.search(name):
        return Cut.WHOLE
    layer, kind = found.groups()
    if layer in HEADS | WIDE:
        return Cut.ROWS
    return Cut.COLUMNS if layer in NARROW and kind != "bias" else Cut.WHOLE


def check_split(config: ModelConfig, ranks: int, *, fp8: bool) -> None:
    """Refuse a number of ranks by which heads, widths or experts cannot be shared.

    Raises:
        CannotSplit: With the number and what it does not divide.
    """
    counts = {"heads": config.heads}
    widths = {"intermediate_size": config.intermediate_size}
    if isinstance(config, DeepseekConfig):
        counts["experts"] = config.experts
        shared = config.shared_experts * config.moe_intermediate_size
        widths["shared experts' width"] = shared
    else:
        counts["key-value heads"] = config.kv_heads
    for name, count in counts.items():
        if count % ranks:
            raise CannotSplit(f"{count} {name} cannot be shared by {ranks} ranks")
    for name, width in widths.items():
        if width % ranks or (fp8 and width // ranks % BLOCK):
            blocks = f" in whole FP8 blocks of {BLOCK}" if fp8 else ""
            raise CannotSplit(f"{name} {width} cannot be cut into {ranks} parts{blocks}")


class ShardedArchive:
    """One rank's share of an archive; slices are views, so nothing else is read."""

    def __init__(self, archive: Archive, ranks: Ranks, experts: int) -> None:
        self.where = archive.where
        self._archive, self._ranks = archive, ranks
        self._own = own_experts(experts, ranks)
        self.entries: Mapping[str, Entry] = {
            name: Entry(self._shape(name, entry.shape), entry.dtype)
            for name, entry in archive.entries.items()
            if self._holds(name)
        }

    def read(self, name: str) -> Tensor:
        """This rank's part of the tensor."""
        whole = self._archive.read(name)
        match cut_of(name):
            case Cut.WHOLE:
                return whole
            case Cut.ROWS:
                return whole.chunk(self._ranks.size, dim=0)[self._ranks.rank]
            case Cut.COLUMNS:
                return whole.chunk(self._ranks.size, dim=1)[self._ranks.rank]

    def _holds(self, name: str) -> bool:
        found = EXPERT.search(name)
        return found is None or int(found[1]) in self._own

    def _shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        size = self._ranks.size
        match cut_of(name):
            case Cut.WHOLE:
                return shape
            case Cut.ROWS:
                return (shape[0] // size, *shape[1:])
            case Cut.COLUMNS:
                return (shape[0], shape[1] // size)


def own_experts(experts: int, ranks: Ranks) -> range:
    """The numbers of the experts that a rank holds."""
    count = experts // ranks.size
    return range(ranks.rank * count, (ranks.rank + 1) * count)


@dataclass(frozen=True, slots=True)
class ShardedSource:
    """Asks for a rank's part of every matrix, and puts the sum or the joining behind it.

    The config that goes with it has this rank's heads; feed-forward widths are cut here.
    """

    source: Source
    ranks: Ranks

    @property
    def dtype(self) -> torch.dtype:
        """The compute dtype."""
        return self.source.dtype

    def tensor(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Norms and gates are whole; the up-projection of keys and values has its own heads."""
        return self.source.tensor(name, *shape, dtype=dtype)

    def table(self, name: str, out: int, into: int) -> Matrix:
        """Whole: a row is looked up on every rank."""
        return self.source.table(name, out, into)

    def matrix(self, name: str, out: int, into: int, *, bias: bool = False) -> Matrix:
        """One weight; a layer's last matrix sums, but shared experts wait for the routed ones."""
        layer = name.rpartition(".")[2]
        size = self.ranks.size
        if layer in WIDE:
            found = self.source.matrix(name, out // size, into, bias=bias)
            return Joined(found, self.ranks) if layer == "lm_head" else found
        if layer not in NARROW:
            return self.source.matrix(name, out, into, bias=bias)
        into = into // size if layer == "down_proj" else into
        if ".shared_experts." in name:
            return self.source.matrix(name, out, into)
        added = self.source.tensor(f"{name}.bias", out) if bias else None
        return Summed(self.source.matrix(name, out, into), self.ranks, added)

    def stack(self, names: Sequence[str], out: int, into: int) -> Matrix:
        """This rank's experts."""
        own = own_experts(len(names), self.ranks)
        return self.source.stack(names[own.start : own.stop], out, into)


@dataclass(frozen=True, slots=True)
class Summed:
    """A matrix cut by columns; the bias, (out), is added once, to the sum."""

    part: Matrix
    ranks: Ranks
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, in / ranks) to (tokens, out)."""
        out = self.ranks.summed(self.part(x))
        return out if self.bias is None else out + self.bias

    def __getitem__(self, expert: int) -> Matrix:
        """Experts are never cut."""
        raise NotImplementedError("a cut matrix is no stack")

    def widen(self, dtype: torch.dtype) -> Tensor:
        """This rank's columns as plain numbers."""
        return self.part.widen(dtype)

    def rows(self, chosen: Tensor) -> Tensor:
        """This rank's columns of some rows."""
        return self.part.rows(chosen)


@dataclass(frozen=True, slots=True)
class Joined:
    """A matrix cut by rows whose output is wanted whole: the head."""

    part: Matrix
    ranks: Ranks

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, in) to (tokens, out)."""
        return self.ranks.joined(self.part(x))

    def __getitem__(self, expert: int) -> Matrix:
        """A head is no stack."""
        raise NotImplementedError("a cut matrix is no stack")

    def widen(self, dtype: torch.dtype) -> Tensor:
        """This rank's rows as plain numbers."""
        return self.part.widen(dtype)

    def rows(self, chosen: Tensor) -> Tensor:
        """Never asked: embeddings are whole on every rank."""
        raise NotImplementedError("a cut head is not looked up in")


@dataclass(frozen=True, slots=True)
class SharedMixture(MixtureOfExperts):
    """A mixture whose experts lie on several ranks.

    Every rank sees all tokens and the whole gate, answers for its own experts and its part of the
    shared ones, and one sum over the ranks makes the layer's output. It is taken in float32 and
    in the order of the ranks, so that it is the same on all.
    """

    own: range
    ranks: Ranks

    @override
    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, hidden) to the same."""
        weights, chosen = self.gate(x)
        out = self._routed(x, weights, chosen)
        if self.shared is not None:
            out = out + self.shared(x).float()
        return self.ranks.summed(out).to(x.dtype)

    def _routed(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """(tokens, hidden), float32; in the order of the experts, as in `moe.Experts`."""
        out = torch.zeros_like(x, dtype=torch.float32)
        for place, expert in enumerate(self.own):
            tokens, choices = (chosen == expert).nonzero(as_tuple=True)
            if not tokens.numel():
                continue
            layer = FeedForward(
                self.experts.gate[place], self.experts.up[place], self.experts.down[place]
            )
            weighted = layer(x[tokens]) * weights[tokens, choices][:, None]
            out.index_add_(0, tokens, weighted.float())
        return out


def local_config(config: ModelConfig, ranks: Ranks) -> ModelConfig:
    """The config with this rank's heads; all else is cut tensor by tensor."""
    update = {"heads": config.heads // ranks.size}
    if not isinstance(config, DeepseekConfig):
        update["kv_heads"] = config.kv_heads // ranks.size
    return config.model_copy(update=update)


def sharded_builder(ranks: Ranks, device: torch.device | None = None) -> Builder:
    """Builds this rank's part of a model, straight onto its device."""

    def built(source: Source, config: ModelConfig) -> Decoder:
        if not isinstance(source, Loader):
            raise TypeError("a model is cut where its bytes are read")
        fp8 = any(entry.dtype == FP8 for entry in source.archive.entries.values())
        check_split(config, ranks.size, fp8=fp8)
        experts = config.experts if isinstance(config, DeepseekConfig) else 0
        share = ShardedArchive(source.archive, ranks, experts)
        loader = replace(source, archive=share, device=device or source.device)
        local = local_config(config, ranks)
        return _with_shared_mixtures(build(ShardedSource(loader, ranks), local), ranks)

    return built


def _with_shared_mixtures(model: Decoder, ranks: Ranks) -> Decoder:
    """Replace every mixture by one that knows of the other ranks."""
    if not isinstance(model, DeepseekModel):
        return model
    own = own_experts(model.config.experts, ranks)

    def shared(mlp: FeedForward | MixtureOfExperts) -> FeedForward | MixtureOfExperts:
        if isinstance(mlp, FeedForward):
            return mlp
        return SharedMixture(mlp.gate, mlp.experts, mlp.shared, own, ranks)

    return replace(
        model,
        blocks=tuple(replace(block, mlp=shared(block.mlp)) for block in model.blocks),
        modules=tuple(
            replace(module, block=replace(module.block, mlp=shared(module.block.mlp)))
            for module in model.modules
        ),
    )
