"""The fused CPU kernel: Transformers' logits, and the same bits whatever the batch or the chunk."""

import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import quantize
from pydantic import JsonValue
from tests.model_runtime.shapes import (
    SHAPES,
    distance,
    empty_cache,
    fields,
    logits_in_chunks,
    reference,
    tokens_of,
)
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.config import DeepseekConfig, parse_config
from treadle.model_runtime.dense import DenseModel
from treadle.model_runtime.kernels.abi import Library, RowOutside
from treadle.model_runtime.kernels.build import built
from treadle.model_runtime.kernels.describe import Memory, parts_of
from treadle.model_runtime.kernels.fused import FusedModel, supports
from treadle.model_runtime.kernels.packing import alternate, pack, stack, stored
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.model import Decoder, DeepseekModel
from treadle.model_runtime.quant import (
    GgufBlocks,
    Matrix,
    Plain,
    RowInt8,
    gguf_blocks,
    narrow_rows,
)

LENGTH = 110
CHUNKS = [64, 1, 1, 7, 30, 1, 6]
VARIANTS = ["avx512", "avx2", "plain"]
WIDTHS: dict[str, JsonValue] = {"qk_rope_head_dim": 16}
"""The kernel's rows are multiples of 16 values, as in every published checkpoint."""


def library(variant: str) -> Library:
    try:
        return Library(built(), variant=variant)
    except OSError as error:
        pytest.skip(str(error))


def config_of(shape: str, **changes: JsonValue) -> dict[str, JsonValue]:
    odd: dict[str, JsonValue] = {"kv_lora_rank": 48} if shape == "odd_sizes" else {}
    return fields(shape, **{**WIDTHS, **odd, **changes})


def models(config: dict[str, JsonValue], variant: str) -> tuple[FusedModel, DeepseekModel, Tensor]:
    """The fused and the plain model, and Transformers' logits of a prompt."""
    theirs = reference(config)
    parsed = parse_config(config)
    plain = load_model(MemoryArchive(theirs.state_dict()), parsed)
    assert isinstance(plain, DeepseekModel)
    assert supports(parsed)
    tokens = tokens_of(parsed.vocab_size, LENGTH)
    with torch.inference_mode():
        expected = theirs(torch.tensor([tokens])).logits[0]
    return fuse(plain, variant), plain, expected


def fuse(model: Decoder, variant: str = "", *, threads: int = 2) -> FusedModel:
    assert isinstance(model, DeepseekModel | DenseModel)
    return FusedModel(parts_of(model), library(variant), threads=threads)


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_are_those_of_transformers_whole_and_in_chunks(shape: str) -> None:
    fused, _, expected = models(config_of(shape), "")
    tokens = tokens_of(fused.config.vocab_size, LENGTH)
    whole = logits_in_chunks(fused, tokens, [LENGTH])
    assert distance(whole, expected) <= 1e-5
    assert torch.equal(logits_in_chunks(fused, tokens, CHUNKS), whole)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_computes_the_same_model(variant: str) -> None:
    fused, _, expected = models(config_of("yarn_factor_4"), variant)
    tokens = tokens_of(fused.config.vocab_size, LENGTH)
    assert distance(logits_in_chunks(fused, tokens, [LENGTH]), expected) <= 1e-5


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    two, plain, _ = models(config_of("plain"), "")
    other = fuse(plain, threads=threads)
    tokens = tokens_of(two.config.vocab_size, LENGTH)
    assert torch.equal(
        logits_in_chunks(two, tokens, CHUNKS), logits_in_chunks(other, tokens, CHUNKS)
    )


def test_a_request_gets_the_same_bits_alone_and_among_32() -> None:
    fused, _, _ = models(config_of("plain"), "")
    prompts = [tokens_of(97, 5 + index, seed=index) for index in range(32)]
    slots = [list(range(40 * index, 40 * index + len(p))) for index, p in enumerate(prompts)]
    spans = [Span(p, 0, s) for p, s in zip(prompts, slots, strict=True)]
    batch = lay_out(spans)
    together = fused.states(batch, empty_cache(fused, 40 * 32))
    for index, span in enumerate(spans):
        alone = fused.states(lay_out([span]), empty_cache(fused, 40 * 32))
        row = batch.order[index]
        assert torch.equal(together[row : row + len(span.tokens)], alone)


@pytest.mark.parametrize("slots", [[0, 1, 40], [0, -1, 2], [99, 1, 2]])
def test_a_row_outside_the_cache_is_refused_before_anything_is_written(slots: list[int]) -> None:
    fused, _, _ = models(config_of("plain"), "")
    cache = empty_cache(fused, 40)
    with pytest.raises(RowOutside, match="40"):
        fused.states(lay_out([Span([1, 2, 3], 0, slots)]), cache)
    assert torch.equal(cache, empty_cache(fused, 40))


def test_another_models_cache_is_refused() -> None:
    fused, _, _ = models(config_of("plain"), "")
    batch = lay_out([Span([1], 0, [0])])
    with pytest.raises(ValueError, match="not this model's"):
        fused.states(batch, torch.zeros(1, 40, fused.cache_width))
    with pytest.raises(TypeError, match="float32"):
        fused.states(batch, empty_cache(fused, 40).bfloat16())


def test_mtp_drafts_like_the_plain_module() -> None:
    config = config_of("plain", num_nextn_predict_layers=1)
    trunk = reference(config)
    layer = reference(config_of("no_dense_layer", num_hidden_layers=1), seed=3).state_dict()
    extra = {
        name.replace("layers.0", "layers.3"): tensor
        for name, tensor in layer.items()
        if name.startswith("model.layers.0.")
    }
    for name, size in (("enorm", 1), ("hnorm", 1), ("shared_head.norm", 1)):
        extra[f"model.layers.3.{name}.weight"] = 1 + 0.2 * torch.randn(64 * size)
    extra["model.layers.3.eh_proj.weight"] = 0.1 * torch.randn(64, 128)
    plain = load_model(MemoryArchive({**trunk.state_dict(), **extra}), parse_config(config))
    assert isinstance(plain, DeepseekModel)
    fused = fuse(plain)
    assert fused.mtp_depth == 1
    tokens, hidden = tokens_of(97, 20), torch.randn(20, 64)
    batch = lay_out([Span(tokens, 1, list(range(21)), first=1)])
    drafts = [m.draft_states(batch, hidden, empty_cache(m, 32)) for m in (plain, fused)]
    assert distance(drafts[1], drafts[0]) <= 1e-5


def test_bfloat16_weights_agree_with_the_same_weights_in_float32() -> None:
    config = config_of("plain")
    state = {name: t.bfloat16() for name, t in reference(config).state_dict().items()}
    parsed = parse_config(config)
    wide = load_model(MemoryArchive(state), parsed, dtype=torch.float32)
    narrow = load_model(MemoryArchive(state), parsed, dtype=torch.bfloat16)
    assert isinstance(narrow, DeepseekModel)
    fused = fuse(narrow)
    tokens = tokens_of(97, LENGTH)
    ours = logits_in_chunks(fused, tokens, [LENGTH])
    # Inputs are rounded to 8 bits of mantissa before each product, as bfloat16 models are run.
    assert distance(ours, logits_in_chunks(wide, tokens, [LENGTH])) <= 5e-2
    assert torch.equal(logits_in_chunks(fused, tokens, CHUNKS), ours)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_dense_family_agrees_with_transformers(family: str) -> None:
    sizes: dict[str, float] = {
        "initializer_range": 0.1,
        "vocab_size": 97,
        "hidden_size": 96,
        "intermediate_size": 104,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
    }
    torch.manual_seed(2)
    theirs = (
        LlamaForCausalLM(LlamaConfig.from_dict(sizes))
        if family == "llama"
        else Qwen2ForCausalLM(Qwen2Config.from_dict(sizes))
    )
    for name, parameter in theirs.named_parameters():
        if name.endswith("bias") or "norm" in name:
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    config = theirs.config.to_dict()
    plain = load_model(MemoryArchive(theirs.state_dict()), parse_config(config))
    assert isinstance(plain, DenseModel)
    fused = fuse(plain)
    tokens = tokens_of(97, LENGTH)
    with torch.inference_mode():
        expected = theirs(torch.tensor([tokens])).logits[0]
    whole = logits_in_chunks(fused, tokens, [LENGTH])
    assert distance(whole, expected) <= 1e-5
    assert torch.equal(logits_in_chunks(fused, tokens, CHUNKS), whole)


def multiplied(matrix: Matrix, x: Tensor, variant: str = "") -> Tensor:
    """x · Wᵀ by the kernel."""
    packed, memory = pack(stored(matrix)), Memory()
    y = torch.full((x.shape[0], packed.n), torch.nan)
    library(variant).multiply(
        memory.packed(packed), x=x.data_ptr(), count=len(x), y=y.data_ptr(), threads=2
    )
    return y


def quantised(weight: Tensor, kind: str) -> GgufBlocks:
    """As `gguf` writes it."""
    narrow = quantize(weight.numpy(), GGMLQuantizationType[kind])
    return gguf_blocks(torch.from_numpy(narrow), kind)


def in_every_form(weight: Tensor) -> dict[str, Matrix]:
    return {
        "float32": Plain(weight, torch.ones(len(weight))),
        "bfloat16": Plain(weight.bfloat16()),
        "int8": RowInt8(*narrow_rows(weight)),
        "Q4_1": quantised(weight, "Q4_1"),
        "Q8_0": quantised(weight, "Q8_0"),
    }


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 33])
@pytest.mark.parametrize("n", [16, 70, 131])
def test_a_packed_matrix_multiplies_like_the_plain_one(variant: str, count: int, n: int) -> None:
    torch.manual_seed(count + n)
    weight, x = torch.randn(n, 96), torch.randn(count, 96)
    for form, matrix in in_every_form(weight).items():
        inputs = x.bfloat16().float() if form == "bfloat16" else x
        expected = inputs @ matrix.widen(torch.float32).T + (form == "float32")
        assert distance(multiplied(matrix, x, variant), expected) <= 1e-5, form


@pytest.mark.parametrize("variant", VARIANTS)
def test_parts_of_a_long_row_change_no_bit(variant: str) -> None:
    """Many rows take a long sum in parts, a single one in one go."""
    torch.manual_seed(0)
    weight, x = torch.randn(70, 2_208), torch.randn(9, 2_208)
    for form, matrix in in_every_form(weight).items():
        together = multiplied(matrix, x, variant)
        alone = [multiplied(matrix, row[None].contiguous(), variant) for row in x]
        assert torch.equal(together, torch.cat(alone)), form


@pytest.mark.parametrize("form", ["float32", "bfloat16", "int8", "Q4_1", "Q8_0"])
def test_rows_of_a_packed_matrix_are_those_of_the_plain_one(form: str) -> None:
    matrix = in_every_form(torch.randn(70, 96))[form]
    chosen = torch.tensor([0, 69, 16, 17, 33, 0])
    expected = matrix.rows(chosen).float()
    assert torch.equal(pack(stored(matrix)).rows(chosen), expected)
    assert torch.equal(matrix.widen(torch.float32)[chosen], expected)


def test_gate_and_up_alternate_by_sixteen_rows() -> None:
    gate, up = Plain(torch.zeros(20, 4)), Plain(torch.ones(20, 4))
    rows = alternate(gate, up).parts[0][:, 0]
    assert rows.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 16 + [1.0] * 4 + [0.0] * 12


def test_projections_in_different_forms_are_stacked_wide() -> None:
    torch.manual_seed(0)
    weight = torch.randn(32, 64)
    both: list[Matrix] = [quantised(weight, "Q4_1"), Plain(weight, torch.ones(32))]
    stacked = stack(both)
    assert torch.equal(stacked.parts[0], torch.cat([both[0].widen(torch.float32), weight]))
    assert stacked.bias is not None
    assert stacked.bias.tolist() == [0.0] * 32 + [1.0] * 32


def test_widths_that_do_not_fit_are_left_to_the_plain_model() -> None:
    config = parse_config(fields("plain"))
    assert isinstance(config, DeepseekConfig)
    assert not supports(config)
