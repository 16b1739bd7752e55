"""What to start of a checkpoint on which accelerators, before it is put in an engine's words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from treadle.model_runtime.checkpoint import template_of
from treadle.model_runtime.config import DeepseekConfig, ModelConfig
from treadle.model_runtime.errors import BadConfig, CannotSplit, EngineRefused
from treadle.model_runtime.parse import CallFormat, format_of
from treadle.model_runtime.plan import NODE, Fit
from treadle.model_runtime.sharding import check_split


class Layout(StrEnum):
    """How attention is spread.

    `TENSOR` splits every layer over all ranks: the shortest time per token. `DATA` gives every
    rank its own requests and the whole attention, and spreads the experts: the most tokens in all,
    and a cache that is not held eight times over.
    """

    TENSOR = "tensor"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Nodes:
    """The machines that share one model; `head` is the first one's address."""

    count: int = 1
    rank: int = 0
    head: str = "127.0.0.1"
    port: int = 29_500

    @property
    def leads(self) -> bool:
        """Whether this machine answers requests."""
        return self.rank == 0


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a model writes calls and thoughts, by each engine's name for its parser."""

    tools: Mapping[str, str]
    reasoning: Mapping[str, str]


def _dialect(tools: tuple[str, str], reasoning: tuple[str, str] | None) -> Dialect:
    names = ("vllm", "sglang")
    return Dialect(
        dict(zip(names, tools, strict=True)),
        {} if reasoning is None else dict(zip(names, reasoning, strict=True)),
    )


DIALECTS = {
    "deepseek-v3": _dialect(("deepseek_v3", "deepseekv3"), None),
    "deepseek-r1": _dialect(("deepseek_v3", "deepseekv3"), ("deepseek_r1", "deepseek-r1")),
    "deepseek-v3.1": _dialect(("deepseek_v31", "deepseekv31"), ("deepseek_v3", "deepseek-v3")),
    "kimi-k2": _dialect(("kimi_k2", "kimi_k2"), None),
    "hermes": _dialect(("hermes", "qwen"), None),
}


@dataclass(frozen=True, slots=True)
class Launch:
    """One engine to start.

    Attributes:
        model: A folder, or a name that the engine fetches by itself.
        port: On the loopback address; the server in front is what others reach.
        tensor: Ranks that share each layer.
        pipeline: Groups of ranks that share the layers; 1 for SGLang, which splits further.
        data: Ranks with requests of their own, under `Layout.DATA`.
        experts: Whether the model has experts to spread.
        context: The longest prompt and answer; absent, the checkpoint's.
        memory_share: Of each accelerator, for weights and cache.
        narrow_cache: Keep the cache in FP8.
        drafts: Tokens that the MTP module drafts in a step; 0 is off.
        remote_code: Whether the checkpoint's own Python may run; Kimi's tokenizer needs it.
        extra: Arguments as they are.
    """

    model: str
    name: str
    port: int
    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    experts: bool = False
    nodes: Nodes = Nodes()
    context: int | None = None
    memory_share: float = 0.9
    narrow_cache: bool = False
    drafts: int = 0
    dialect: Dialect | None = None
    chat_template: Path | None = None
    remote_code: bool = False
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """Ranks by what they share; `tensor · pipeline` or `data` of them in all."""

    tensor: int
    pipeline: int
    data: int


def spread(config: ModelConfig, count: int, layout: Layout, *, engine: str, fp8: bool) -> Spread:
    """Lay a model on `count` accelerators in machines of eight.

    Raises:
        CannotSplit: Its heads or its FP8 blocks cannot be cut so.
    """
    if layout is Layout.DATA:
        _check_experts(config, count)
        return Spread(tensor=1, pipeline=1, data=count)
    # vLLM keeps tensor parallelism within a machine, where links are fast; SGLang spans them all.
    across = math.ceil(count / NODE) if engine == "vllm" else 1
    found = Spread(tensor=count // across, pipeline=across, data=1)
    check_split(config, found.tensor, fp8=fp8)
    return found


def context_of(config: ModelConfig, fitted: Fit, layout: Layout) -> int | None:
    """The longest request that the cache has room for, if the checkpoint's own is longer.

    Raises:
        EngineRefused: Not even the weights fit.
    """
    if not fitted.fits:
        raise EngineRefused(
            f"the weights do not fit on {fitted.count}×{fitted.name}; `runtime plan` says what does"
        )
    ranks = fitted.count if layout is Layout.DATA else 1
    room = (fitted.spread_tokens if layout is Layout.DATA else fitted.cache_tokens) // ranks
    return None if room >= config.max_positions else room


def dialect_of(model: Path, stated: str) -> Dialect | None:
    """The dialect asked for, or the one that the checkpoint's chat template teaches.

    Raises:
        BadConfig: No such dialect is known.
    """
    if stated == "auto":
        return _taught(template_of(model)) if model.is_dir() else None
    if stated == "none":
        return None
    if stated not in DIALECTS:
        raise BadConfig(f"no dialect {stated!r} is known; known: auto, none, {', '.join(DIALECTS)}")
    return DIALECTS[stated]


def _taught(template: str) -> Dialect | None:
    """R1's template opens a thought by itself; V3.1's has a switch."""
    found: CallFormat | None = format_of(template)
    if found is None:
        return None
    if found.name == "deepseek_v31":
        return DIALECTS["deepseek-v3.1"]
    if found.name == "deepseek_v3":
        return DIALECTS["deepseek-r1" if "<think>" in template else "deepseek-v3"]
    return DIALECTS[found.name.replace("_", "-")]


def _check_experts(config: ModelConfig, ranks: int) -> None:
    if not isinstance(config, DeepseekConfig):
        raise EngineRefused(
            f"{config.model_type!r} has no experts to spread; use the tensor layout, or several "
            "servers behind one models.yaml"
        )
    if config.experts % ranks:
        raise CannotSplit(f"{config.experts} experts cannot be shared by {ranks} ranks")
