"""What the C side knows of a model: its weights packed, layer by layer, and its sizes."""

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from treadle.model_runtime.attention import INNER_EPS, LatentAttention
from treadle.model_runtime.block import Block, load_block
from treadle.model_runtime.config import DeepseekConfig, DenseConfig, ModelConfig
from treadle.model_runtime.dense import DenseBlock, DenseModel, GroupedAttention, load_dense_block
from treadle.model_runtime.kernels.abi import CLayer, CMatrix, CModel, CMtp
from treadle.model_runtime.kernels.packing import (
    Packed,
    Stored,
    Type,
    alternate,
    pack,
    plain,
    stack,
    stored,
    widen_inputs,
)
from treadle.model_runtime.layers import FeedForward, Norm, load_norm
from treadle.model_runtime.model import DeepseekModel
from treadle.model_runtime.moe import MixtureOfExperts
from treadle.model_runtime.mtp import MtpModule, load_mtp
from treadle.model_runtime.pages import return_freed_memory
from treadle.model_runtime.quant import Matrix, Plain
from treadle.model_runtime.rope import softmax_scale
from treadle.model_runtime.weights import Source

S = TypeVar("S", bound=ctypes.Structure)
ROWS = {torch.float32: Type.ROWS_F32, torch.bfloat16: Type.ROWS_BF16}


@dataclass(frozen=True, slots=True)
class Parts:
    """What a model consists of; layers come one at a time, so that none is kept once packed."""

    config: ModelConfig
    embedding: Matrix
    blocks: Iterable[Block | DenseBlock]
    modules: Iterable[MtpModule]
    norm: Norm
    head: Matrix


def parts_of(model: DeepseekModel | DenseModel) -> Parts:
    """Those of a plain model, which keeps them."""
    modules = model.modules if isinstance(model, DeepseekModel) else ()
    return Parts(model.config, model.embedding, model.blocks, modules, model.norm, model.head)


def parts_from(source: Source, config: ModelConfig) -> Parts:
    """Those of a checkpoint, loaded when they are asked for."""
    vocabulary, hidden = config.vocab_size, config.hidden_size
    embedding = source.table("model.embed_tokens", vocabulary, hidden)
    blocks: Iterable[Block | DenseBlock]
    modules: Iterable[MtpModule] = ()
    match config:
        case DeepseekConfig():
            blocks = (load_block(source, config, layer) for layer in range(config.layers))
            modules = (load_mtp(source, config, depth) for depth in range(config.mtp_layers))
        case DenseConfig():
            blocks = (load_dense_block(source, config, layer) for layer in range(config.layers))
    norm = load_norm(source, "model.norm", hidden, config.rms_norm_eps)
    head = embedding if config.tied_head else source.matrix("lm_head", vocabulary, hidden)
    return Parts(config, embedding, blocks, modules, norm, head)


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
        return self.packed(pack(part))

    def packed(self, matrix: Packed) -> CMatrix:
        """A packed matrix, kept."""
        self.types.add(matrix.type)
        self.tensors.append(matrix.weights)
        scales = 0 if matrix.scales is None else self.vector(matrix.scales)
        bias = 0 if matrix.bias is None else self.vector(matrix.bias)
        data = matrix.weights.data_ptr()
        return CMatrix(data, scales, bias, matrix.n, matrix.k, int(matrix.type), 0)

    def array(self, kind: type[S], items: Sequence[S]) -> "ctypes.Array[S]":
        """Structures side by side."""
        made = (kind * len(items))(*items)
        self.arrays.append(made)
        return made

    @property
    def bytes(self) -> int:
        """All weights together."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors)


def embedding_of(table: Matrix | Packed, head: CMatrix) -> CMatrix:
    """Rows that the kernel looks up itself; null where it does not know how they are kept."""
    match table:
        case Packed(type=Type.F32 | Type.BF16 | Type.I8):
            return head
        case Plain(weight=weight) if weight.is_contiguous() and weight.dtype in ROWS:
            return CMatrix(weight.data_ptr(), 0, 0, *weight.shape, int(ROWS[weight.dtype]), 0)
        case _:
            return CMatrix()


def describe(parts: Parts, head: Packed, memory: Memory, *, threads: int) -> CModel:
    """Pack everything but the embedding; the head is packed already: it may serve as one."""
    config = parts.config
    # A loop would hold on to each layer's plain weights until the next one is loaded.
    layers = list(map(partial(_layer, memory=memory), parts.blocks))
    mtp: list[CMtp] = []
    for module in parts.modules:
        layers.append(_layer(module.block, memory))
        mtp.append(_module(module, memory))
    model = CModel(
        layer=memory.array(CLayer, layers),
        mtp=memory.array(CMtp, mtp) if mtp else None,
        norm=memory.vector(parts.norm.weight),
        head=memory.packed(head),
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


def _module(module: MtpModule, memory: Memory) -> CMtp:
    return CMtp(
        memory.vector(module.embedding_norm.weight),
        memory.vector(module.hidden_norm.weight),
        memory.vector(module.norm.weight),
        memory.matrix(stored(module.projection)),
    )


def _layer(block: Block | DenseBlock, memory: Memory) -> CLayer:
    # What the layer before left; without it loading would take half a dozen layers more.
    return_freed_memory()
    return _latent_layer(block, memory) if isinstance(block, Block) else _dense_layer(block, memory)


def _latent_layer(block: Block, memory: Memory) -> CLayer:
    attention = block.attention
    layer = CLayer(
        attention_norm=memory.vector(block.attention_norm.weight),
        mlp_norm=memory.vector(block.mlp_norm.weight),
        latent_norm=memory.vector(attention.kv_norm.weight),
        out=memory.matrix(stored(attention.out)),
        key_up=memory.array(CMatrix, [memory.matrix(plain(head.T)) for head in attention.key_up]),
        value_up=memory.array(CMatrix, [memory.matrix(plain(head)) for head in attention.value_up]),
    )
    _queries(layer, attention, memory)
    _mlp(layer, block.mlp, memory)
    return layer


def _queries(layer: CLayer, attention: LatentAttention, memory: Memory) -> None:
    queries = attention.queries
    if queries.down is not None and queries.norm is not None:
        layer.down = memory.matrix(stack([queries.down, attention.kv_down]))
        layer.query_norm = memory.vector(queries.norm.weight)
        layer.query_up = memory.matrix(stored(queries.up))
    else:
        layer.down = memory.matrix(stack([queries.up, attention.kv_down]))


def _dense_layer(block: DenseBlock, memory: Memory) -> CLayer:
    attention: GroupedAttention = block.attention
    projections: list[Matrix] = [attention.query, attention.key, attention.value]
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
        layer.gate_up = memory.matrix(alternate(mlp.gate, mlp.up))
        layer.mlp_down = memory.matrix(widen_inputs(stored(mlp.down)))
        return
    gate, experts = mlp.gate, mlp.experts
    layer.router = memory.matrix(plain(gate.weight.float()))
    layer.router_bias = memory.vector(gate.bias)
    count = gate.weight.shape[0]
    layer.expert_gate_up = memory.array(
        CMatrix,
        [memory.matrix(alternate(experts.gate[e], experts.up[e])) for e in range(count)],
    )
    layer.expert_down = memory.array(
        CMatrix, [memory.matrix(widen_inputs(stored(experts.down[e]))) for e in range(count)]
    )
    if mlp.shared is not None:
        _mlp(layer, mlp.shared, memory)
