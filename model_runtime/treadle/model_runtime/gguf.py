"""GGUF files of the dense family: config, tensors and tokenizer from one file.

Source: the GGUF specification in ggml-org/ggml, docs/gguf.md; llama.cpp, conversion of
`LlamaModel` (the permutation of queries and keys) and llama-vocab.cpp (`pre` types).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from gguf import GGUFReader, ReaderTensor
from gguf.quants import dequantize
from pydantic import JsonValue
from torch import Tensor

from treadle.model_runtime.archives import Entry
from treadle.model_runtime.config import ModelConfig, parse_config
from treadle.model_runtime.errors import BadConfig, UnsupportedModel
from treadle.model_runtime.quant import GGUF_HEADS

ARCHITECTURES = ("llama", "qwen2")
OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
INNER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class GgufFile:
    """One memory-mapped file; an `Archive` under Hugging Face's names.

    Q4_1 and Q8_0 come as the file's bytes, (out, bytes of a row), all else widened to float32.
    """

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        try:
            self._reader = GGUFReader(path)
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise BadConfig(f"{self.where!r} is no GGUF file: {error}; fetch it again") from error
        self.architecture = self.text("general.architecture")
        if self.architecture not in ARCHITECTURES:
            served = ", ".join(ARCHITECTURES)
            raise UnsupportedModel(
                f"{self.where!r} holds a {self.architecture!r}, and GGUF is read for {served} "
                "only; fetch the safetensors checkpoint"
            )
        self._tensors = {_name(tensor.name): tensor for tensor in self._reader.tensors}
        if "rope_freqs" in self._tensors:
            raise UnsupportedModel(
                f"{self.where!r} has its own rope frequencies; fetch the safetensors checkpoint"
            )
        self.entries = {
            # The file counts dimensions from the innermost.
            name: Entry(tuple(int(size) for size in tensor.shape[::-1]), _kind(tensor))
            for name, tensor in self._tensors.items()
        }

    def config(self) -> ModelConfig:
        """The config that a checkpoint folder would have."""
        fields: dict[str, JsonValue] = {
            "model_type": self.architecture,
            "vocab_size": self.entries["model.embed_tokens.weight"].shape[0],
            "hidden_size": self._size("embedding_length"),
            "intermediate_size": self._size("feed_forward_length"),
            "num_hidden_layers": self._size("block_count"),
            "num_attention_heads": self._size("attention.head_count"),
            "num_key_value_heads": self._size("attention.head_count_kv"),
            "max_position_embeddings": self._size("context_length"),
            "rms_norm_eps": self._number("attention.layer_norm_rms_epsilon"),
            "rope_theta": self._number("rope.freq_base"),
            "tie_word_embeddings": "lm_head.weight" not in self._tensors,
            "eos_token_id": self.whole("tokenizer.ggml.eos_token_id"),
        }
        return parse_config(fields)

    def read(self, name: str) -> Tensor:
        """A copy of the tensor; queries and keys in the order of rotation by halves."""
        tensor = self._tensors[name]
        kept = self.entries[name].dtype in GGUF_HEADS
        numbers = tensor.data if kept else dequantize(tensor.data, tensor.tensor_type)
        # What is kept as stored comes as a view of the file, which torch takes ill.
        wide = torch.from_numpy(numbers if numbers.flags.writeable else numbers.copy())
        if self.architecture == "llama" and ".self_attn.q_proj." in name:
            return _by_halves(wide, self._size("attention.head_count"))
        if self.architecture == "llama" and ".self_attn.k_proj." in name:
            return _by_halves(wide, self._size("attention.head_count_kv"))
        return wide

    def text(self, key: str) -> str:
        """A string of the metadata."""
        value = self._value(key)
        if not isinstance(value, str):
            raise BadConfig(f"{self.where!r}: {key!r} is {value!r}, not a text")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of strings of the metadata."""
        return [str(value) for value in self._values(key)]

    def wholes(self, key: str) -> list[int]:
        """A list of whole numbers of the metadata."""
        return [int(str(value)) for value in self._values(key)]

    def whole(self, key: str) -> int:
        """A whole number of the metadata."""
        value = self._value(key)
        if not isinstance(value, int):
            raise BadConfig(f"{self.where!r}: {key!r} is {value!r}, not a whole number")
        return value

    def has(self, key: str) -> bool:
        """Whether the metadata have this key."""
        return key in self._reader.fields

    def _size(self, key: str) -> int:
        return self.whole(f"{self.architecture}.{key}")

    def _number(self, key: str) -> float:
        value = self._value(f"{self.architecture}.{key}")
        if not isinstance(value, int | float):
            raise BadConfig(f"{self.where!r}: {key!r} is {value!r}, not a number")
        return value

    def _value(self, key: str) -> object:
        field = self._reader.fields.get(key)
        return None if field is None else field.contents()

    def _values(self, key: str) -> Sequence[object]:
        value = self._value(key)
        if not isinstance(value, list):
            raise BadConfig(f"{self.where!r}: {key!r} is no list")
        return [*value]


def _kind(tensor: ReaderTensor) -> str:
    """The type that `read` gives."""
    stored = tensor.tensor_type.name
    return stored if stored in GGUF_HEADS and len(tensor.shape) == 2 else "F32"


def _name(name: str) -> str:
    """A tensor's Hugging Face name; `rope_freqs.weight` and what is unknown keep their own."""
    if name in OUTER:
        return OUTER[name]
    parts = name.split(".")
    if parts[0] == "blk" and len(parts) == 4 and parts[2] in INNER:
        return f"model.layers.{parts[1]}.{INNER[parts[2]]}.{parts[3]}"
    return name.removesuffix(".weight")


def _by_halves(weight: Tensor, heads: int) -> Tensor:
    """Undo the converter's order for rotation by pairs; (heads · dim, …) to the same.

    Within a head the converter moved row i of the first half to 2i, and of the second to 2i + 1.
    """
    pairs = weight.view(heads, -1, 2, *weight.shape[1:])
    return pairs.transpose(1, 2).reshape(weight.shape)
