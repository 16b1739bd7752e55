"""GGUF files give the logits of the weights that they hold, and their own tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize
from tests.model_runtime.shapes import distance, logits_in_chunks, perturb, tokens_of
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from treadle.model_runtime.checkpoint import load_checkpoint
from treadle.model_runtime.embedded import embedded_model
from treadle.model_runtime.errors import BadConfig, UnsupportedModel
from treadle.model_runtime.gguf import INNER, OUTER, GgufFile
from treadle.model_runtime.tokenizer import byte_letters

HEADS, KV_HEADS, HIDDEN, LAYERS = 4, 2, 64, 2


def reference() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=HIDDEN,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=256,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    model = LlamaForCausalLM(config)
    model.train(mode=False)
    perturb(model)
    return model


def stored_name(name: str) -> str:
    outer = {ours: theirs for theirs, ours in OUTER.items()}
    if name in outer:
        return outer[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    inner = {ours: theirs for theirs, ours in INNER.items()}
    return f"blk.{layer}.{inner[rest.removesuffix('.weight')]}.weight"


def permuted(weight: Tensor, heads: int) -> Tensor:
    """The converter's order, written as it is described: first half to even rows, second to odd."""
    dim = weight.shape[0] // heads
    rows = [
        head * dim + (row // 2 if row % 2 == 0 else dim // 2 + row // 2)
        for head in range(heads)
        for row in range(dim)
    ]
    return weight[rows]


def write(path: Path, model: LlamaForCausalLM, *, split: str = "smollm") -> dict[str, Tensor]:
    """A file in Q4_1 and Q8_0; what its numbers stand for, under Transformers' names."""
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    names = [*byte_letters(), "th", *(f"<|extra{number}|>" for number in range(43))]
    writer.add_token_list(names)
    writer.add_token_types([1] * 257 + [3] * 43)
    writer.add_token_merges(["t h"])
    writer.add_eos_token_id(257)
    wide: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        kind = GGMLQuantizationType.F32
        if tensor.ndim == 2:
            embedding = "embed" in name
            kind = GGMLQuantizationType.Q8_0 if embedding else GGMLQuantizationType.Q4_1
        narrow = quantize(tensor.numpy(), kind)
        wide[name] = torch.from_numpy(np.array(dequantize(narrow, kind)))
        heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2])
        if heads:
            narrow = quantize(permuted(tensor, heads).numpy(), kind)
        writer.add_tensor(stored_name(name), narrow, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return wide


def test_a_files_logits_are_those_of_its_numbers(tmp_path: Path) -> None:
    theirs = reference()
    wide = write(tmp_path / "m.gguf", theirs)
    theirs.load_state_dict({**wide, "lm_head.weight": wide["model.embed_tokens.weight"]})
    ours = load_checkpoint(tmp_path / "m.gguf")
    tokens = tokens_of(300, 100)
    with torch.inference_mode():
        expected = theirs(torch.tensor([tokens])).logits[0]
    assert distance(logits_in_chunks(ours.model, tokens, [90, *[1] * 10]), expected) <= 1e-4
    assert ours.tokenizer.end_tokens == {257}
    assert ours.template is None


def test_the_files_own_vocabulary_is_used(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf", reference())
    tokenizer = load_checkpoint(tmp_path / "m.gguf").tokenizer
    assert tokenizer.encode("th<|extra0|>") == [256, 257]
    assert tokenizer.decode(tokenizer.encode("the 12 é")) == "the 12 é"


def test_an_unknown_split_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf", reference(), split="novel")
    with pytest.raises(UnsupportedModel, match="'novel'"):
        load_checkpoint(tmp_path / "m.gguf")


def test_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", "gemma")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedModel, match="'gemma'"):
        GgufFile(tmp_path / "m.gguf")


def test_what_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"no" * 20)
    with pytest.raises(BadConfig, match="no GGUF file"):
        GgufFile(tmp_path / "m.gguf")


def by_hand(path: Path) -> dict[str, Tensor]:
    """The embedded file's numbers by the formats' definitions, under Transformers' names.

    Q4_1: a scale, a minimum, and 32 nibbles, the low ones first. Q8_0: a scale and 32 bytes.
    """
    inner = {f"{theirs}.weight": f"{ours}.weight" for theirs, ours in INNER.items()}
    found: dict[str, Tensor] = {}
    for tensor in GGUFReader(path).tensors:
        shape = [int(size) for size in tensor.shape[::-1]]
        raw = torch.from_numpy(np.array(tensor.data))
        match tensor.tensor_type:
            case GGMLQuantizationType.Q4_1:
                blocks = raw.flatten().view(-1, 20)
                scale, least = blocks[:, :4].contiguous().view(torch.float16).float().chunk(2, 1)
                nibbles = torch.cat((blocks[:, 4:] & 15, blocks[:, 4:] >> 4), dim=1)
                wide = nibbles * scale + least
            case GGMLQuantizationType.Q8_0:
                blocks = raw.flatten().view(-1, 34)
                scale = blocks[:, :2].contiguous().view(torch.float16).float()
                wide = blocks[:, 2:].contiguous().view(torch.int8) * scale
            case _:
                wide = raw.float()
        wide = wide.reshape(shape)
        kind = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
        if kind in ("attn_q", "attn_k"):
            back = torch.argsort(permuted(torch.arange(shape[0]), shape[0] // 64))
            wide = wide[back]
        name = OUTER.get(tensor.name) or (
            f"model.layers.{tensor.name.split('.')[1]}.{inner['.'.join(tensor.name.split('.')[2:])]}"
        )
        found[name] = wide
    return found


@pytest.mark.slow
def test_the_embedded_model_has_transformers_logits() -> None:
    path = embedded_model()
    wide = by_hand(path)
    assert len(wide) == 272
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=49152,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=8192,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
            tie_word_embeddings=True,
        )
    )
    theirs.load_state_dict({**wide, "lm_head.weight": wide["model.embed_tokens.weight"]})
    theirs.train(mode=False)
    ours = load_checkpoint(path)
    text = "Weaving is the craft of 2 threads;\n\nthey're crossed at right angles: naïve, 布."
    tokens = ours.tokenizer.encode(text)
    assert ours.tokenizer.decode(tokens) == text
    with torch.inference_mode():
        expected = theirs(torch.tensor([tokens])).logits[0]
    assert distance(logits_in_chunks(ours.model, tokens, [len(tokens)]), expected) <= 1e-4
