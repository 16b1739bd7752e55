"""The models as one C++ call per step, behind the engine's `Decoder`."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from treadle.model_runtime.attention import INNER_EPS, LatentAttention
from treadle.model_runtime.batch import Batch
from treadle.model_runtime.block import Block
from treadle.model_runtime.config import DeepseekConfig, DenseConfig, ModelConfig
from treadle.model_runtime.dense import DenseBlock, DenseModel, GroupedAttention
from treadle.model_runtime.kernels.abi import CLayer, CMatrix, CModel, CMtp, CStep, Library
from treadle.model_runtime.kernels.packing import (
    LANES,
    Packed,
    Stored,
    Type,
    alternate,
    pack,
    stack,
    stored,
    widen_inputs,
)
from treadle.model_runtime.layers import FeedForward
from treadle.model_runtime.model import DeepseekModel
from treadle.model_runtime.moe import MixtureOfExperts
from treadle.model_runtime.rope import rotation, rotation_scale, softmax_scale

S = TypeVar("S", bound=ctypes.Structure)


@dataclass(slots=True)
class Memory:
    """Keeps alive what the C side knows by address."""

    tensors: list[Tensor] = field(default_factory=list[Tensor])
    arrays: list[object] = field(default_factory=list[object])
    types: set[Type] = field(default_factory=set[Type])

    def vector(self, values: Tensor) -> int:
        """The address of values as float32."""
        kept = values.detach().float().contiguous()
        self.tensors.append(kept)
        return kept.data_ptr()

    def matrix(self, part: Stored) -> CMatrix:
        """A matrix packed and kept."""
        packed = pack(part)
        self.types.add(packed.type)
        return self._known(packed)

    def router(self, weight: Tensor) -> CMatrix:
        """A gate's matrix: always float32, whatever the model's type."""
        return self._known(pack(Stored(weight.float())))

    def _known(self, packed: Packed) -> CMatrix:
        self.tensors.append(packed.weights)
        scales = 0 if packed.scales is None else self.vector(packed.scales)
        bias = 0 if packed.bias is None else self.vector(packed.bias)
        data = packed.weights.data_ptr()
        return CMatrix(data, scales, bias, packed.n, packed.k, int(packed.type), 0)

    def array(self, kind: type[S], items: Sequence[S]) -> "ctypes.Array[S]":
        """Structures side by side."""
        made = (kind * len(items))(*items)
        self.arrays.append(made)
        return made


class FusedModel:
    """A model whose step is one call; the cache is float32 and lies as the plain model's does."""

    def __init__(
        self, plain: DeepseekModel | DenseModel, library: Library, *, threads: int
    ) -> None:
        self.config: ModelConfig = plain.config
        self.dtype = torch.float32
        self.device = torch.device("cpu")
        self.cache_layers = plain.cache_layers
        self.cache_width = plain.cache_width
        self.mtp_depth = plain.mtp_depth
        self._embedding = plain.embedding
        self._angles = plain.angles
        self._library = library
        self._memory = Memory()
        self._model = _describe(plain, self._memory, threads=threads)

    def states(self, batch: Batch, cache: Tensor) -> Tensor:
        """The states after the last norm, (tokens, hidden), float32."""
        x = self._embedding[batch.tokens].float()
        step, kept = self._step(batch, cache)
        self._library.trunk(self._model, step, x.data_ptr())
        del kept
        return x

    def logits(self, states: Tensor) -> Tensor:
        """(rows, hidden) to (rows, vocabulary), float32."""
        states = states.contiguous()
        out = torch.empty(states.shape[0], self._model.head.n)
        self._library.logits(
            self._model, states=states.data_ptr(), count=states.shape[0], out=out.data_ptr()
        )
        return out

    def draft_states(self, batch: Batch, hidden: Tensor, cache: Tensor, depth: int = 0) -> Tensor:
        """MTP module `depth` on tokens and the states before them; feeds `logits`."""
        x = self._embedding[batch.tokens].float()
        hidden = hidden.contiguous()
        step, kept = self._step(batch, cache)
        self._library.draft(
            self._model, step, hidden=hidden.data_ptr(), x=x.data_ptr(), depth=depth
        )
        del kept
        return x

    def _step(self, batch: Batch, cache: Tensor) -> tuple[CStep, tuple[Tensor, ...]]:
        """The batch by address, and the tensors that must outlive the call."""
        if cache.dtype != torch.float32 or not cache.is_contiguous():
            raise TypeError("the fused kernel keeps its cache in contiguous float32")
        turn = rotation(self._angles, batch.positions, scale=rotation_scale(self.config.rope))
        cos, sin = turn.cos.contiguous(), turn.sin.contiguous()
        tables = [group.table.contiguous() for group in batch.groups]
        starts = torch.cat(
            [
                (
                    table.data_ptr() + 8 * table.shape[1] * torch.arange(table.shape[0])
                ).repeat_interleave(group.new)
                for table, group in zip(tables, batch.groups, strict=True)
            ]
        )
        visible = torch.cat([group.mask.sum(-1).flatten() for group in batch.groups]).int()
        step = CStep(
            batch.tokens.shape[0],
            batch.slots.data_ptr(),
            starts.data_ptr(),
            visible.data_ptr(),
            cos.data_ptr(),
            sin.data_ptr(),
            cache.data_ptr(),
            cache.stride(0),
            cache.shape[2],
        )
        return step, (cos, sin, starts, visible, *tables)


def supports(config: ModelConfig) -> bool:
    """Whether the kernel's fixed widths fit: heads and latents in multiples of 16 values."""
    match config:
        case DeepseekConfig():
            widths = (config.kv_lora_rank, config.kv_lora_rank + config.rope_dim)
            return all(width % LANES == 0 for width in widths) and config.hidden_size % 2 == 0
        case DenseConfig():
            return config.head_dim % LANES == 0


def _describe(plain: DeepseekModel | DenseModel, memory: Memory, *, threads: int) -> CModel:
    config = plain.config
    if isinstance(plain, DeepseekModel):
        blocks = [*plain.blocks, *(module.block for module in plain.modules)]
        layers = [_latent_layer(block, memory) for block in blocks]
        mtp = [
            CMtp(
                memory.vector(module.embedding_norm.weight),
                memory.vector(module.hidden_norm.weight),
                memory.vector(module.norm.weight),
                memory.matrix(stored(module.projection)),
            )
            for module in plain.modules
        ]
    else:
        layers = [_dense_layer(block, memory) for block in plain.blocks]
        mtp = []
    model = CModel(
        layer=memory.array(CLayer, layers),
        mtp=memory.array(CMtp, mtp) if mtp else None,
        norm=memory.vector(plain.norm.weight),
        head=memory.matrix(stored(plain.head)),
        hidden=config.hidden_size,
        layers=config.layers,
        heads=config.heads,
        threads=threads,
        narrow=Type.BF16 in memory.types,
        eps=config.rms_norm_eps,
        inner_eps=INNER_EPS,
        **_sizes(config),
    )
    memory.arrays.append(model)
    return model


def _sizes(config: ModelConfig) -> dict[str, int | float]:
    """The fields of one family; those of the other stay 0."""
    match config:
        case DeepseekConfig():
            return {
                "nope": config.nope_dim,
                "rope": config.rope_dim,
                "value": config.value_dim,
                "kv_rank": config.kv_lora_rank,
                "q_rank": config.q_lora_rank or 0,
                "experts": config.experts,
                "groups": config.groups,
                "top_groups": config.top_groups,
                "top_experts": config.top_experts,
                "normalise": int(config.norm_topk_prob),
                "interleaved": int(config.rope_interleave),
                "modules": config.mtp_layers,
                "attention_scale": softmax_scale(config.rope, config.nope_dim + config.rope_dim),
                "routed_scale": config.routed_scaling_factor,
            }
        case DenseConfig():
            return {
                "rope": config.head_dim,
                "kv_heads": config.kv_heads,
                "attention_scale": config.head_dim**-0.5,
            }


def _latent_layer(block: Block, memory: Memory) -> CLayer:
    attention = block.attention
    layer = CLayer(
        attention_norm=memory.vector(block.attention_norm.weight),
        mlp_norm=memory.vector(block.mlp_norm.weight),
        latent_norm=memory.vector(attention.kv_norm.weight),
        out=memory.matrix(stored(attention.out)),
        key_up=memory.array(CMatrix, [memory.matrix(Stored(head.T)) for head in attention.key_up]),
        value_up=memory.array(
            CMatrix, [memory.matrix(Stored(head)) for head in attention.value_up]
        ),
    )
    _queries(layer, attention, memory)
    _mlp(layer, block.mlp, memory)
    return layer


def _queries(layer: CLayer, attention: LatentAttention, memory: Memory) -> None:
    queries, kv_down = attention.queries, stored(attention.kv_down)
    if queries.down is not None and queries.norm is not None:
        layer.down = memory.matrix(stack([stored(queries.down), kv_down]))
        layer.query_norm = memory.vector(queries.norm.weight)
        layer.query_up = memory.matrix(stored(queries.up))
    else:
        layer.down = memory.matrix(stack([stored(queries.up), kv_down]))


def _dense_layer(block: DenseBlock, memory: Memory) -> CLayer:
    attention: GroupedAttention = block.attention
    projections = [stored(part) for part in (attention.query, attention.key, attention.value)]
    layer = CLayer(
        attention_norm=memory.vector(block.attention_norm.weight),
        mlp_norm=memory.vector(block.mlp_norm.weight),
        down=memory.matrix(stack(projections)),
        out=memory.matrix(stored(attention.out)),
    )
    _mlp(layer, block.mlp, memory)
    return layer


def _mlp(layer: CLayer, mlp: FeedForward | MixtureOfExperts, memory: Memory) -> None:
    if isinstance(mlp, FeedForward):
        layer.gate_up = memory.matrix(alternate(stored(mlp.gate), stored(mlp.up)))
        layer.mlp_down = memory.matrix(widen_inputs(stored(mlp.down)))
        return
    gate, experts = mlp.gate, mlp.experts
    layer.router = memory.router(gate.weight)
    layer.router_bias = memory.vector(gate.bias)
    count = gate.weight.shape[0]
    layer.expert_gate_up = memory.array(
        CMatrix,
        [
            memory.matrix(alternate(stored(experts.gate[e]), stored(experts.up[e])))
            for e in range(count)
        ],
    )
    layer.expert_down = memory.array(
        CMatrix, [memory.matrix(widen_inputs(stored(experts.down[e]))) for e in range(count)]
    )
    if mlp.shared is not None:
        _mlp(layer, mlp.shared, memory)
