"""One layer of the trunk: attention, then a feed-forward layer or a mixture of experts."""

from dataclasses import dataclass

from torch import Tensor

from treadle.model_runtime.attention import LatentAttention, load_attention
from treadle.model_runtime.batch import Batch
from treadle.model_runtime.config import DeepseekConfig
from treadle.model_runtime.layers import FeedForward, Norm, load_feed_forward, load_norm
from treadle.model_runtime.moe import MixtureOfExperts, load_mixture
from treadle.model_runtime.rope import Rotation
from treadle.model_runtime.weights import Source


@dataclass(frozen=True, slots=True)
class Block:
    """Pre-norm residual layer."""

    attention_norm: Norm
    attention: LatentAttention
    mlp_norm: Norm
    mlp: FeedForward | MixtureOfExperts

    def __call__(self, x: Tensor, turn: Rotation, batch: Batch, cache: Tensor) -> Tensor:
        """(tokens, hidden) to the same; writes this layer's cache rows."""
        x = x + self.attention(self.attention_norm(x), turn, batch, cache)
        return x + self.mlp(self.mlp_norm(x))


def load_block(source: Source, config: DeepseekConfig, layer: int) -> Block:
    """Layer number `layer`; the first `dense_layers` have no experts."""
    name = f"model.layers.{layer}"
    hidden, eps = config.hidden_size, config.rms_norm_eps
    dense = layer < config.dense_layers
    return Block(
        attention_norm=load_norm(source, f"{name}.input_layernorm", hidden, eps),
        attention=load_attention(source, f"{name}.self_attn", config),
        mlp_norm=load_norm(source, f"{name}.post_attention_layernorm", hidden, eps),
        mlp=load_feed_forward(source, f"{name}.mlp", hidden, config.intermediate_size)
        if dense
        else load_mixture(source, f"{name}.mlp", config),
    )
