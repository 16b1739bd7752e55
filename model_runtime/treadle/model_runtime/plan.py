"""What a checkpoint needs, and what a machine makes of it: bytes, shards, cache, a range of speeds.

The constants of speed come from published measurements, which the tests repeat; a bare limit of
bandwidth is never reached and so never promised.
"""

from dataclasses import dataclass
from math import ceil

from treadle.model_runtime.config import DeepseekConfig, ModelConfig
from treadle.model_runtime.errors import BadConfig

FP8_OVERHEAD = 1 + 4 / 128**2  # one float32 scale for each block of 128×128
NODE = 8  # accelerators that share one fast link
USABLE = 0.9  # of the memory; the rest is the driver's, and fragments
ACTIVATIONS = 5e9  # bytes for activations and captured graphs on each accelerator
# Decode step = layers × launches + bytes / (share of bandwidth). SemiAnalysis InferenceX#870, R1
# in FP8 on 8×H200: 12.8 ms at batch 8, 34.6 ms at 64. Eager: vLLM's recipe, 15.85 ms at batch 1.
LAUNCH_S, EAGER_LAUNCH_S, BANDWIDTH_SHARE, SPREAD = 70e-6, 260e-6, 0.5, 1.1
ACROSS_NODES_S = 0.3e-3  # per layer; tt-inference-server#356, 16×H100 in two nodes: 31.2 ms
PREFILL_SHARES = (0.20, 0.25)  # of dense peak; LMSYS on 96 H100: 24%
CPU_SHARES = (0.6, 0.85)  # of read bandwidth; the second by LMSYS on two Xeon 6


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Memory in bytes, bandwidth in bytes/s, dense peaks in FLOP/s, all as its maker states."""

    memory: float
    bandwidth: float
    bf16: float
    fp8: float


ACCELERATORS = {
    "H200": Accelerator(141e9, 4.8e12, 989e12, 1979e12),
    "H100": Accelerator(80e9, 3.35e12, 989e12, 1979e12),
    "B200": Accelerator(180e9, 7.7e12, 2250e12, 4500e12),
    "A100": Accelerator(80e9, 2.0e12, 312e12, 312e12),
    "L40S": Accelerator(48e9, 0.864e12, 362e12, 733e12),
    "MI300X": Accelerator(192e9, 5.3e12, 1307e12, 2614e12),
    "MI325X": Accelerator(256e9, 6.0e12, 1307e12, 2614e12),
}


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of a checkpoint by how often they are read.

    Attributes:
        always: Read in every step: attention, dense and shared layers, head.
        expert: One routed expert in all layers that have experts.
        embedding: Read by the row.
        attention: Of `always`, what data-parallel attention keeps on every rank.
        mtp: The module that drafts, with its copies of embedding and head.
        cache: One token in all layers.
        cache_parts: Ranks that a layer's cache can be split over: a latent is one whole, which
            every rank of tensor parallelism keeps; keys and values are split by their heads.
        active: Parameters that one token is multiplied with.
    """

    always: float
    expert: float
    embedding: float
    attention: float
    mtp: float
    cache: int
    active: float
    experts: int
    top_experts: int
    layers: int
    cache_parts: int = 1

    @property
    def weights(self) -> float:
        """Bytes of everything."""
        return self.always + self.expert * self.experts + self.embedding + self.mtp

    def step(self, batch: int) -> float:
        """Bytes that a decode step of so many sequences reads; experts as if drawn by chance."""
        if not self.experts:
            return self.always
        touched = self.experts * (1 - (1 - self.top_experts / self.experts) ** batch)
        return self.always + self.expert * touched


@dataclass(frozen=True, slots=True)
class Range:
    """From what can be counted on to what is reached when all goes well."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fit:
    """How a checkpoint lies on some accelerators of one kind.

    Attributes:
        stages: Groups of ranks that share the layers (pipeline parallelism); within one every
            layer is split over all ranks (tensor parallelism).
        cache_tokens: With tensor and pipeline parallelism. A rank keeps the cache of its stage's
            layers, and a latent cache as often as the stage has ranks.
        spread_tokens: With data-parallel attention and expert parallelism.
    """

    name: str
    count: int
    device: Accelerator
    per_device: float
    stages: int
    cache_tokens: int
    spread_tokens: int

    @property
    def nodes(self) -> int:
        """Machines of eight."""
        return ceil(self.count / NODE)

    @property
    def fits(self) -> bool:
        """Whether weights, activations and some cache find room."""
        return self.cache_tokens > 0


def measure(config: ModelConfig, *, fp8: bool) -> Size:
    """Count bytes by the shapes of every tensor."""
    wide = 4 if config.dtype == "float32" and not fp8 else 2
    narrow = FP8_OVERHEAD if fp8 else wide
    table = config.vocab_size * config.hidden_size * wide
    head = table
    if not isinstance(config, DeepseekConfig):
        return _measure_dense(config, narrow=narrow, table=table, wide=wide)
    hidden, moe = config.hidden_size, config.layers - config.dense_layers
    attention = _latent_attention(config)
    expert = 3 * hidden * config.moe_intermediate_size
    gate = config.experts * (hidden * wide + 4)
    norms = (2 * hidden + config.kv_lora_rank + (config.q_lora_rank or 0)) * wide
    dense = 3 * hidden * config.intermediate_size * config.dense_layers
    block = (attention + expert * (config.shared_experts + config.experts)) * narrow + gate + norms
    joining = (2 * hidden * hidden + 3 * hidden) * wide
    always = (attention * config.layers + dense + expert * config.shared_experts * moe) * narrow
    active = attention * config.layers + dense
    active += expert * (config.shared_experts + config.top_experts) * moe
    return Size(
        always=always + gate * moe + norms * config.layers + head,
        expert=expert * moe * narrow,
        embedding=0 if config.tied_head else table,
        attention=attention * config.layers * narrow,
        mtp=config.mtp_layers * (block + joining + 2 * table),
        cache=config.layers * (config.kv_lora_rank + config.rope_dim) * wide,
        active=active,
        experts=config.experts,
        top_experts=config.top_experts,
        layers=config.layers,
    )


def fit(size: Size, name: str, count: int, *, stages: int | None = None) -> Fit:
    """Lay a checkpoint on accelerators; every machine is a stage of its own unless `stages` says.

    Raises:
        BadConfig: No such accelerator is known.
    """
    if name not in ACCELERATORS:
        raise BadConfig(f"no accelerator {name!r} is known; known: {', '.join(ACCELERATORS)}")
    device = ACCELERATORS[name]
    room = device.memory * USABLE - ACTIVATIONS
    split = size.weights / count
    stages = stages or ceil(count / NODE)
    kept = size.cache / stages / min(max(count // stages, 1), size.cache_parts)
    spread = (size.weights - size.attention) / count + size.attention
    return Fit(
        name=name,
        count=count,
        device=device,
        per_device=split,
        stages=stages,
        cache_tokens=max(int((room - split) / kept), 0),
        spread_tokens=max(int((room - spread) / size.cache) * count, 0),
    )


def step_seconds(size: Size, fitted: Fit, batch: int) -> Range:
    """How long one decode step takes; `low` is the fast end."""
    ideal = size.step(batch) / (fitted.device.bandwidth * fitted.count)
    links = size.layers * ACROSS_NODES_S if fitted.nodes > 1 else 0.0
    likely = size.layers * LAUNCH_S + ideal / BANDWIDTH_SHARE
    slow = max(likely * SPREAD, size.layers * EAGER_LAUNCH_S)
    return Range(likely / SPREAD + links, slow + links)


def prefill_tokens(size: Size, fitted: Fit, *, fp8: bool) -> Range:
    """Prompt tokens per second; attention over long prompts comes on top."""
    peak = (fitted.device.fp8 if fp8 else fitted.device.bf16) * fitted.count
    low, high = (share * peak / (2 * size.active) for share in PREFILL_SHARES)
    return Range(low, high)


def cpu_tokens(size: Size, bandwidth: float) -> Range:
    """Tokens per second of one sequence on a CPU with this read bandwidth in bytes/s."""
    low, high = (share * bandwidth / size.step(1) for share in CPU_SHARES)
    return Range(low, high)


def _latent_attention(config: DeepseekConfig) -> int:
    """Parameters of one layer's projections."""
    hidden, heads, rank = config.hidden_size, config.heads, config.kv_lora_rank
    width = heads * (config.nope_dim + config.rope_dim)
    low = config.q_lora_rank
    query = hidden * width if low is None else low * (hidden + width)
    latent = hidden * (rank + config.rope_dim)
    return (
        query
        + latent
        + heads * (rank * (config.nope_dim + config.value_dim) + config.value_dim * hidden)
    )


def _measure_dense(config: ModelConfig, *, narrow: float, table: float, wide: int) -> Size:
    assert not isinstance(config, DeepseekConfig)  # noqa: S101 - its only caller has looked
    hidden, keys = config.hidden_size, config.kv_heads * config.head_dim
    attention = hidden * config.head_dim * config.heads * 2 + hidden * keys * 2
    layers = (attention + 3 * hidden * config.intermediate_size) * config.layers
    return Size(
        always=layers * narrow + table,
        expert=0,
        embedding=0 if config.tied_head else table,
        attention=attention * config.layers * narrow,
        mtp=0,
        cache=config.layers * 2 * keys * wide,
        active=layers,
        experts=0,
        top_experts=0,
        layers=config.layers,
        cache_parts=config.kv_heads,
    )
