"""The engines of `runtime.py`: one set of random weights, and one step of each engine on it."""

from collections.abc import Callable, Sequence

import torch
from llama_peer import LlamaPeer
from pydantic import JsonValue
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, DynamicCache

from treadle.model_runtime.acceleration import accelerated
from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.config import DeepseekConfig, parse_config
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.model import Decoder

BLOCK = 16
PROMPT = 512
SHARED: dict[str, JsonValue] = {
    "model_type": "deepseek_v3",
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "routed_scaling_factor": 2.5,
    "n_group": 4,
    "topk_group": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "num_experts_per_tok": 4,
    "max_position_embeddings": 4096,
    "num_nextn_predict_layers": 0,
}
SHAPES: dict[str, dict[str, JsonValue]] = {
    "nano": {
        "vocab_size": 4096,
        "hidden_size": 256,
        "intermediate_size": 512,
        "moe_intermediate_size": 64,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "n_routed_experts": 16,
        "kv_lora_rank": 64,
        "q_lora_rank": 96,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16,
        "v_head_dim": 32,
    },
    "small": {
        "vocab_size": 32000,
        "hidden_size": 512,
        "intermediate_size": 1536,
        "moe_intermediate_size": 256,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "n_routed_experts": 32,
        "kv_lora_rank": 128,
        "q_lora_rank": 256,
        "qk_nope_head_dim": 64,
        "qk_rope_head_dim": 32,
        "v_head_dim": 64,
    },
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Peers:
    """One set of random weights in every engine."""

    def __init__(self, shape: str, dtype: str, engines: Sequence[str], *, threads: int) -> None:
        fields: dict[str, JsonValue] = {**SHARED, **SHAPES[shape], "dtype": dtype}
        weights = DeepseekV3Config.from_dict({**fields, "initializer_range": 0.1})
        self._theirs = DeepseekV3ForCausalLM(weights)
        self._theirs.train(mode=False)
        if dtype == "bfloat16":
            self._theirs.bfloat16()
        config = parse_config(fields)
        assert isinstance(config, DeepseekConfig)
        self.config, self._engines = config, engines
        plain = load_model(MemoryArchive(self._theirs.state_dict()), config, dtype=DTYPES[dtype])
        fused = accelerated(plain)
        ours = {"plain": plain} if fused is plain else {"plain": plain, "fused": fused}
        self._ours = {name: model for name, model in ours.items() if name in engines}
        self._llama: LlamaPeer | None = None
        if "llama.cpp" in engines:
            self._llama = llama_peer(self._theirs, config, threads=threads)

    def decode(self, batch: int, context: int) -> dict[str, Callable[[], None]]:
        """One step of each engine."""
        steps = {name: our_decode(model, batch, context) for name, model in self._ours.items()}
        if "transformers" in self._engines:
            steps["transformers"] = their_decode(self._theirs, batch, context)
        if self._llama is not None:
            steps["llama.cpp"] = self._llama.decode(batch, context)
        return steps

    def prefill(self) -> dict[str, Callable[[], None]]:
        """One fresh prompt in each engine."""
        steps = {name: our_prefill(model, PROMPT) for name, model in self._ours.items()}
        if "transformers" in self._engines:
            steps["transformers"] = their_prefill(self._theirs, PROMPT)
        if self._llama is not None:
            steps["llama.cpp"] = self._llama.prefill(PROMPT)
        return steps

    def shared_prefill(self) -> dict[str, Callable[[], None]]:
        """A prompt whose first half is in the cache."""
        half = PROMPT // 2
        return {name: our_prefill(model, PROMPT, cached=half) for name, model in self._ours.items()}


def llama_peer(
    theirs: DeepseekV3ForCausalLM, config: DeepseekConfig, *, threads: int
) -> LlamaPeer | None:
    """llama.cpp on the same weights, if it is installed."""
    try:
        return LlamaPeer(theirs.state_dict(), config, threads=threads)
    except ImportError:
        return None


def our_decode(model: Decoder, batch: int, context: int) -> Callable[[], None]:
    """One token for each request, over a cache whose content does not matter for the time."""
    per_request = context // BLOCK + 1
    cache = torch.randn(
        model.cache_layers, batch * per_request * BLOCK, model.cache_width, dtype=model.dtype
    )
    spans = [
        Span([number], context, range(number * per_request, (number + 1) * per_request))
        for number in range(batch)
    ]

    def step() -> None:
        laid_out = lay_out(spans, block_size=BLOCK)
        model.logits(model.states(laid_out, cache)).argmax(dim=-1)

    return step


def our_prefill(model: Decoder, length: int, *, cached: int = 0) -> Callable[[], None]:
    """One prompt, of which `cached` tokens are there already."""
    cache = torch.zeros(model.cache_layers, length, model.cache_width, dtype=model.dtype)
    span = Span([*range(cached, length)], cached, range(length // BLOCK))

    def step() -> None:
        states = model.states(lay_out([span], block_size=BLOCK), cache)
        model.logits(states[-1:]).argmax(dim=-1)

    return step


def their_decode(model: DeepseekV3ForCausalLM, batch: int, context: int) -> Callable[[], None]:
    """One token for each row of a batch over Transformers' own cache, which grows by one.

    All rows have read the same, but bring tokens of their own, which go to different experts.
    """
    cache = DynamicCache(config=model.config)
    prompt = torch.randint(0, model.config.vocab_size, (1, context))
    with torch.inference_mode():
        for part in torch.split(prompt, 128, dim=1):
            model(part, cache=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(batch)
    tokens = torch.arange(batch)[:, None]

    def step() -> None:
        model(tokens, cache=cache, use_cache=True).logits.argmax(dim=-1)

    return step


def their_prefill(model: DeepseekV3ForCausalLM, length: int) -> Callable[[], None]:
    """One fresh prompt."""
    tokens = torch.arange(length)[None]

    def step() -> None:
        model(tokens, use_cache=True, logits_to_keep=1).logits.argmax(dim=-1)

    return step
