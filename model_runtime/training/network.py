"""The runtime's own model, with parameters in place of loaded tensors.

What is trained is the code that serves: `load_deepseek` builds the model from a `Source`, here one
that hands out parameters by checkpoint name, so a checkpoint is what `state` returns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor
from typing_extensions import override

from treadle.model_runtime.batch import Batch
from treadle.model_runtime.block import Block
from treadle.model_runtime.config import DeepseekConfig
from treadle.model_runtime.model import DeepseekModel, load_deepseek
from treadle.model_runtime.moe import Gate, MixtureOfExperts
from treadle.model_runtime.quant import Matrix, Plain

DEVIATION = 0.02  # arXiv:2412.19437, section 4.2


@dataclass(frozen=True, slots=True)
class Parameters:
    """A `Source` that makes a parameter at the first request and hands it out ever after."""

    dtype: torch.dtype = torch.float32
    found: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def tensor(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Norms begin at 1, routing biases at 0 and are not trained, all else is normal."""
        if name not in self.found:
            self.found[name] = _begin(name, shape, dtype or self.dtype)
        return self.found[name]

    def matrix(self, name: str, out: int, into: int, *, bias: bool = False) -> Matrix:
        """A plain weight."""
        weight = self.tensor(f"{name}.weight", out, into)
        return Plain(weight, self.tensor(f"{name}.bias", out) if bias else None)

    def table(self, name: str, out: int, into: int) -> Matrix:
        """A plain weight."""
        return self.matrix(name, out, into)

    def stack(self, names: Sequence[str], out: int, into: int) -> Matrix:
        """One parameter for all experts, under the name of the first."""
        return Plain(self.tensor(f"{names[0]}.weight#{len(names)}", len(names), out, into))

    def trained(self) -> list[Tensor]:
        """What the optimiser may change."""
        return [tensor for tensor in self.found.values() if tensor.requires_grad]

    def state(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Tensors as a checkpoint has them; routing biases stay float32."""
        state: dict[str, Tensor] = {}
        for name, tensor in self.found.items():
            kept = tensor.detach()
            if "#" not in name:
                state[name] = kept if name.endswith("correction_bias") else kept.to(dtype)
                continue
            first = name.partition("#")[0]
            for expert, part in enumerate(kept):
                renamed = first.replace(".experts.0.", f".experts.{expert}.")
                state[renamed] = part.to(dtype).clone()
        return state


def _begin(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if name.endswith("e_score_correction_bias"):
        return torch.zeros(shape, dtype=torch.float32)
    if len(shape) == 1:
        return torch.ones(shape, dtype=dtype, requires_grad=True)
    return (torch.randn(shape, dtype=dtype) * DEVIATION).requires_grad_()


class CountingGate(Gate):
    """A gate that adds up how often each expert was chosen, (experts)."""

    __slots__ = ("counts",)
    counts: Tensor

    @override
    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `Gate`."""
        weights, chosen = super().__call__(x)
        self.counts.add_(torch.bincount(chosen.flatten(), minlength=self.counts.shape[0]))
        return weights, chosen


@dataclass(frozen=True, slots=True)
class Network:
    """The model of one training step, and its gates' counts."""

    model: DeepseekModel
    gates: tuple[CountingGate, ...]

    def states(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """The trunk's states, (tokens, hidden), and the cache's layers for `drafts`."""
        config = self.model.config
        width = config.kv_lora_rank + config.rope_dim
        layers = [torch.zeros(batch.tokens.shape[0], width) for _ in range(self.model.cache_layers)]
        # The model only takes layers out of its cache. A list of them has no shared memory, which
        # differentiation would refuse to see written twice.
        return self.model.states(batch, cast(Tensor, layers)), layers

    def drafts(self, batch: Batch, hidden: Tensor, layers: list[Tensor]) -> Tensor:
        """The MTP module's states, (tokens, hidden)."""
        return self.model.draft_states(batch, hidden, cast(Tensor, layers))  # as above

    def balance(self, rate: float) -> None:
        """Make overloaded experts less likely, others more; arXiv:2412.19437, section 2.1.2."""
        for gate in self.gates:
            gate.bias.add_(rate * (gate.counts.mean() - gate.counts).sign())


def build(parameters: Parameters, config: DeepseekConfig) -> Network:
    """A model around the parameters; cheap enough for every step, and its views are fresh then."""
    model = load_deepseek(parameters, config)
    gates: list[CountingGate] = []
    blocks = tuple(_counting(block, gates) for block in model.blocks)
    modules = tuple(
        replace(module, block=_counting(module.block, gates)) for module in model.modules
    )
    return Network(replace(model, blocks=blocks, modules=modules), tuple(gates))


def _counting(block: Block, gates: list[CountingGate]) -> Block:
    if not isinstance(block.mlp, MixtureOfExperts):
        return block
    plain = block.mlp.gate
    gate = CountingGate(**{name: getattr(plain, name) for name in Gate.__slots__})
    object.__setattr__(gate, "counts", torch.zeros(plain.weight.shape[0]))  # the base is frozen
    gates.append(gate)
    return replace(block, mlp=replace(block.mlp, gate=gate))


def describe(vocabulary: int, ids: Mapping[str, int]) -> dict[str, object]:
    """config.json of the tiny checkpoint; `ids` are those of the text's begin and end."""
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "vocab_size": vocabulary,
        "hidden_size": 192,
        "intermediate_size": 512,
        "moe_intermediate_size": 48,
        "num_hidden_layers": 10,
        "first_k_dense_replace": 1,
        "num_attention_heads": 6,
        "num_key_value_heads": 6,
        "q_lora_rank": None,
        "kv_lora_rank": 48,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16,
        "v_head_dim": 32,
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "n_group": 1,
        "topk_group": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.0,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 2048,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "num_nextn_predict_layers": 1,
        "torch_dtype": "bfloat16",
        **ids,
    }
