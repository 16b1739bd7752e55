"""The encoder agrees with Transformers' BERT on random weights, whatever the batch."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

from treadle.model_runtime.encoder import MINILM_SHA256, Encoder, load_encoder
from treadle.model_runtime.errors import UnsupportedModel

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *(f"w{i}" for i in range(60))]
TEXTS = ["w1 w2 w3", "w9", "", " ".join(f"w{i % 60}" for i in range(90)), "nothing known w5"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT checkpoint with perturbed norms, in the layout of all-MiniLM-L6-v2."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    model = BertModel(config)
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(path)
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 40}))
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return load_encoder(folder)


def reference(folder: Path, text: str) -> torch.Tensor:
    """Mean over the tokens of Transformers' last layer, of length 1: (H,)."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(40)
    model = BertModel.from_pretrained(folder).train(mode=False)
    with torch.no_grad():
        hidden = model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state
    return torch.nn.functional.normalize(hidden[0].mean(dim=0), dim=-1)


def test_vectors_agree_with_transformers(folder: Path, encoder: Encoder) -> None:
    embedded = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, embedded.vectors, strict=True):
        torch.testing.assert_close(vector, reference(folder, text), atol=1e-5, rtol=0)
    assert embedded.tokens == 5 + 3 + 2 + 40 + 5


def test_a_text_has_the_same_vector_whatever_stands_beside_it(encoder: Encoder) -> None:
    together = encoder.encode(TEXTS * 9).vectors
    for index, text in enumerate(TEXTS):
        torch.testing.assert_close(
            together[index], encoder.encode([text]).vectors[0], atol=1e-6, rtol=0
        )


def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode([]).vectors.shape == (0, 48)


def test_weights_that_are_not_the_expected_file_are_refused(folder: Path) -> None:
    with pytest.raises(UnsupportedModel, match="sha256 differs"):
        load_encoder(folder, sha256=MINILM_SHA256)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="no config"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(UnsupportedModel, match="not a BERT encoder: 'llama'"):
        load_encoder(tmp_path)
