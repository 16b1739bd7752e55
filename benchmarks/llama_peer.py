"""llama.cpp on the same weights, where `llama-cpp-python` is installed: an optional peer."""

import ctypes
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy
import torch
from gguf import ExpertGatingFuncType, GGMLQuantizationType, GGUFWriter
from torch import Tensor

from treadle.model_runtime.config import DeepseekConfig

STEPS_AHEAD = 256  # room in the context for the timed steps


def write_gguf(path: Path, state: Mapping[str, Tensor], config: DeepseekConfig) -> None:
    """Transformers' tensors in llama.cpp's `deepseek2` form, absorbed attention included."""
    writer = GGUFWriter(path, "deepseek2")
    _describe(writer, config)
    _add(writer, "token_embd.weight", state["model.embed_tokens.weight"])
    _add(writer, "output_norm.weight", state["model.norm.weight"])
    _add(writer, "output.weight", state["lm_head.weight"])
    for layer in range(config.layers):
        prefix = f"model.layers.{layer}."
        tensors = {
            name.removeprefix(prefix): tensor
            for name, tensor in state.items()
            if name.startswith(prefix)
        }
        for name, tensor in _layer(tensors, config).items():
            _add(writer, f"blk.{layer}.{name}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: GGUFWriter, config: DeepseekConfig) -> None:
    writer.add_block_count(config.layers)
    writer.add_context_length(config.max_positions)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(1)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_leading_dense_block_count(config.dense_layers)
    writer.add_q_lora_rank(config.q_lora_rank or 0)
    writer.add_kv_lora_rank(config.kv_lora_rank)
    writer.add_key_length(config.kv_lora_rank + config.rope_dim)
    writer.add_value_length(config.kv_lora_rank)
    writer.add_key_length_mla(config.nope_dim + config.rope_dim)
    writer.add_value_length_mla(config.value_dim)
    writer.add_rope_dimension_count(config.rope_dim)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_expert_count(config.experts)
    writer.add_expert_used_count(config.top_experts)
    writer.add_expert_shared_count(config.shared_experts)
    writer.add_expert_group_count(config.groups)
    writer.add_expert_group_used_count(config.top_groups)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    writer.add_expert_weights_norm(config.norm_topk_prob)
    writer.add_expert_gating_func(ExpertGatingFuncType.SIGMOID)
    writer.add_tokenizer_model("no_vocab")


NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_a_proj.weight": "attn_q_a.weight",
    "self_attn.q_a_layernorm.weight": "attn_q_a_norm.weight",
    "self_attn.q_b_proj.weight": "attn_q_b.weight",
    "self_attn.kv_a_proj_with_mqa.weight": "attn_kv_a_mqa.weight",
    "self_attn.kv_a_layernorm.weight": "attn_kv_a_norm.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "mlp.gate.weight": "ffn_gate_inp.weight",
    "mlp.gate.e_score_correction_bias": "exp_probs_b.bias",
    "mlp.shared_experts.gate_proj.weight": "ffn_gate_shexp.weight",
    "mlp.shared_experts.up_proj.weight": "ffn_up_shexp.weight",
    "mlp.shared_experts.down_proj.weight": "ffn_down_shexp.weight",
    "mlp.experts.down_proj": "ffn_down_exps.weight",
}


def _layer(tensors: Mapping[str, Tensor], config: DeepseekConfig) -> dict[str, Tensor]:
    """One layer under llama.cpp's names; the up-projection in its two halves."""
    made = {NAMES[name]: tensor for name, tensor in tensors.items() if name in NAMES}
    up = tensors["self_attn.kv_b_proj.weight"].view(config.heads, -1, config.kv_lora_rank)
    made["attn_k_b.weight"] = up[:, : config.nope_dim].transpose(1, 2)
    made["attn_v_b.weight"] = up[:, config.nope_dim :]
    if (both := tensors.get("mlp.experts.gate_up_proj")) is not None:
        gate, raised = both.chunk(2, dim=1)
        made["ffn_gate_exps.weight"], made["ffn_up_exps.weight"] = gate, raised
    return made


def _add(writer: GGUFWriter, name: str, tensor: Tensor) -> None:
    """Vectors and the gate stay float32, as llama.cpp wants them."""
    if tensor.dtype == torch.bfloat16 and tensor.ndim > 1 and "gate_inp" not in name:
        bits = tensor.detach().contiguous().view(torch.int16).numpy().view(numpy.uint8)
        writer.add_tensor(name, bits, raw_dtype=GGMLQuantizationType.BF16)
    else:
        writer.add_tensor(name, tensor.detach().float().contiguous().numpy())


class LlamaPeer:
    """One model in llama.cpp; raises `ImportError` where it is not installed."""

    def __init__(
        self, state: Mapping[str, Tensor], config: DeepseekConfig, *, threads: int
    ) -> None:
        import llama_cpp  # noqa: PLC0415 - optional

        self._api, self._threads, self._vocabulary = llama_cpp, threads, config.vocab_size
        llama_cpp.llama_log_set(_silence(llama_cpp), ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "peer.gguf"
            write_gguf(path, state, config)
            options = llama_cpp.llama_model_default_params()
            options.use_mmap = False
            self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
        if not self._model:
            raise RuntimeError("llama.cpp refused the converted weights")

    def decode(self, batch: int, context: int) -> Callable[[], None]:
        """A token of its own for each of `batch` sequences over `context` tokens."""
        api, held = self._api, self._context(batch, batch * (context + STEPS_AHEAD))
        for sequence in range(batch):
            self._feed(held, [(number % 7, number, sequence) for number in range(context)])
        place = context

        def step() -> None:
            nonlocal place
            self._feed(held, [(sequence, place, sequence) for sequence in range(batch)])
            for sequence in range(batch):
                row = api.llama_get_logits_ith(held, sequence)
                numpy.ctypeslib.as_array(row, (self._vocabulary,)).argmax()
            place += 1
            if place == context + STEPS_AHEAD - 1:
                for sequence in range(batch):
                    memory = api.llama_get_memory(held)
                    api.llama_memory_seq_rm(memory, sequence, context, -1)
                place = context

        return step

    def prefill(self, length: int) -> Callable[[], None]:
        """One fresh prompt; the logits of its last token."""
        api, held = self._api, self._context(1, length + 1)
        tokens = [(number, number, 0) for number in range(length)]

        def step() -> None:
            api.llama_memory_clear(api.llama_get_memory(held), False)
            self._feed(held, tokens, last_only=True)
            api.llama_get_logits_ith(held, length - 1)

        return step

    def _context(self, sequences: int, tokens: int) -> object:
        options = self._api.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch = tokens, 2048, 512
        options.n_seq_max = sequences
        options.kv_unified = True
        options.n_threads = options.n_threads_batch = self._threads
        return self._api.llama_init_from_model(self._model, options)

    def _feed(
        self, held: object, tokens: list[tuple[int, int, int]], *, last_only: bool = False
    ) -> None:
        """Token, position and sequence of each."""
        batch = self._api.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for row, (token, position, sequence) in enumerate(tokens):
            batch.token[row], batch.pos[row] = token, position
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, sequence
            batch.logits[row] = not last_only or row == len(tokens) - 1
        if self._api.llama_decode(held, batch):
            raise RuntimeError("llama.cpp could not decode")
        self._api.llama_batch_free(batch)


_kept: list[object] = []


def _silence(api: ModuleType) -> object:
    """A log callback that drops everything; it has to outlive the library."""
    made = api.llama_log_callback(lambda *_: None)
    _kept.append(made)
    return made
