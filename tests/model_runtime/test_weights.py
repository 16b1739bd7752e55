"""Checkpoints on disk: shards, FP8 blocks, int8 rows, and what is said when they do not fit."""

import json
from pathlib import Path

import pytest
import torch
from pydantic import JsonValue
from safetensors.torch import save_file
from tests.model_runtime.shapes import (
    distance,
    fields,
    logits_in_chunks,
    reference,
    tokens_of,
)
from torch import Tensor
from transformers import DeepseekV3ForCausalLM

from treadle.model_runtime.archives import MemoryArchive, UnpackedExperts
from treadle.model_runtime.errors import BadCheckpoint, BadConfig, UnsupportedModel
from treadle.model_runtime.loading import load_folder
from treadle.model_runtime.model import DeepseekModel
from treadle.model_runtime.quant import (
    BlockFp8,
    RowInt8,
    narrow_blocks,
    narrow_rows,
    widen_blocks,
)
from treadle.model_runtime.weights import Storage

TOKENS = tokens_of(97, 110)
# Rows and columns that are no multiples of 128, so that edge blocks are partial.
WIDE = fields(
    "plain",
    hidden_size=192,
    intermediate_size=160,
    moe_intermediate_size=136,
    kv_lora_rank=144,
    q_lora_rank=130,
)
NARROWED = ("_proj.weight", "_proj_with_mqa.weight")


def checkpoint(model: DeepseekV3ForCausalLM) -> dict[str, Tensor]:
    """The tensors under the checkpoint's names, experts one by one."""
    archive = UnpackedExperts(MemoryArchive(model.state_dict()))
    return {name: archive.read(name).clone() for name in archive.entries}


def write(folder: Path, config: dict[str, JsonValue], tensors: dict[str, Tensor]) -> Path:
    """Two shards by turns, so that a weight and its scale lie apart."""
    shards: list[dict[str, Tensor]] = [{}, {}]
    for number, (name, tensor) in enumerate(sorted(tensors.items())):
        shards[number % 2][name] = tensor.contiguous()
    names: dict[str, str] = {}
    for number, shard in enumerate(shards):
        save_file(shard, folder / f"model-{number}.safetensors")
        names |= dict.fromkeys(shard, f"model-{number}.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def narrowed(tensors: dict[str, Tensor], *, powers_of_two: bool) -> dict[str, Tensor]:
    """The same checkpoint with FP8 blocks, as DeepSeek ships it."""
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not name.endswith(NARROWED):
            stored[name] = tensor
            continue
        weight, scale = narrow_blocks(tensor)
        if powers_of_two:
            scale = scale.log2().ceil().exp2()
            blocks = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
            wide = tensor / blocks[: tensor.shape[0], : tensor.shape[1]]
            weight = wide.to(torch.float8_e4m3fn)
            scale = scale.to(torch.float8_e8m0fnu)
        stored[name], stored[name + "_scale_inv"] = weight, scale
    return stored


def widened(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """What those blocks stand for, computed element by element."""
    plain: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith("_scale_inv"):
            continue
        scale = stored.get(name + "_scale_inv")
        plain[name] = tensor if scale is None else by_element(tensor, scale.float())
    return plain


def by_element(weight: Tensor, scale: Tensor) -> Tensor:
    rows = torch.arange(weight.shape[0])[:, None] // 128
    columns = torch.arange(weight.shape[1])[None] // 128
    return weight.float() * scale[rows, columns]


@pytest.mark.parametrize("powers_of_two", [False, True], ids=["f32 scales", "ue8m0 scales"])
@pytest.mark.parametrize("storage", [Storage.WIDE, Storage.KEPT])
def test_fp8_blocks_give_the_logits_of_what_they_stand_for(
    tmp_path: Path, storage: Storage, *, powers_of_two: bool
) -> None:
    method: JsonValue = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    config = {**WIDE, "quantization_config": method}
    theirs = reference(WIDE)
    stored = narrowed(checkpoint(theirs), powers_of_two=powers_of_two)
    ours = load_folder(write(tmp_path, config, stored), dtype=torch.float32, storage=storage)
    with torch.inference_mode():
        for name, tensor in repacked(widened(stored), theirs).items():
            theirs.state_dict()[name].copy_(tensor)
        expected = theirs(torch.tensor([TOKENS])).logits[0]
    assert distance(logits_in_chunks(ours, TOKENS, [100, *[1] * 10]), expected) <= 1e-4


def repacked(plain: dict[str, Tensor], model: DeepseekV3ForCausalLM) -> dict[str, Tensor]:
    """Experts stacked as Transformers keeps them."""
    tensors = {name: tensor for name, tensor in plain.items() if name in model.state_dict()}
    for name in model.state_dict():
        prefix, _, kind = name.rpartition(".")
        parts = {"gate_up_proj": ["gate_proj", "up_proj"], "down_proj": ["down_proj"]}.get(kind)
        if prefix.endswith("experts") and parts:
            experts = range(model.config.n_routed_experts)
            tensors[name] = torch.stack(
                [
                    torch.cat([plain[f"{prefix}.{e}.{part}.weight"] for part in parts])
                    for e in experts
                ]
            )
    return tensors


def test_kept_blocks_stay_narrow_in_memory(tmp_path: Path) -> None:
    stored = narrowed(checkpoint(reference(WIDE)), powers_of_two=False)
    ours = load_folder(write(tmp_path, WIDE, stored), storage=Storage.KEPT)
    assert isinstance(ours, DeepseekModel)
    assert isinstance(ours.blocks[0].attention.out, BlockFp8)


def test_the_rounding_to_blocks_and_back_is_close() -> None:
    wide = torch.randn(200, 300)
    narrow, scale = narrow_blocks(wide)
    assert scale.shape == (2, 3)
    assert (widen_blocks(narrow, scale, torch.float32) - wide).abs().max() <= wide.abs().max() / 16


def test_int8_rows_are_close_and_give_close_logits(tmp_path: Path) -> None:
    wide = torch.randn(20, 30)
    narrow, scale = narrow_rows(wide)
    assert (
        RowInt8(narrow, scale).widen(torch.float32) - wide
    ).abs().max() <= scale.max() / 2 + 1e-6
    theirs = reference(fields("all_layers_dense"))
    ours = load_folder(
        write(tmp_path, fields("all_layers_dense"), checkpoint(theirs)), storage=Storage.INT8
    )
    with torch.inference_mode():
        expected = theirs(torch.tensor([TOKENS])).logits[0]
    assert distance(logits_in_chunks(ours, TOKENS, [110]), expected) <= 0.1


def test_all_that_is_wrong_with_the_tensors_is_listed_at_once(tmp_path: Path) -> None:
    stored = checkpoint(reference(fields("plain")))
    del stored["model.norm.weight"]
    stored["model.layers.0.self_attn.indexer.wk.weight"] = torch.zeros(2, 2)
    stored["lm_head.weight"] = torch.zeros(97, 63)
    with pytest.raises(BadCheckpoint) as caught:
        load_folder(write(tmp_path, fields("plain"), stored))
    assert caught.value.missing == ("model.norm.weight",)
    assert caught.value.extra == ("model.layers.0.self_attn.indexer.wk.weight",)
    assert caught.value.misshapen == ("lm_head.weight [97, 63], not [97, 64]",)


def test_an_fp8_weight_without_its_scale_is_missing_something(tmp_path: Path) -> None:
    stored = narrowed(checkpoint(reference(WIDE)), powers_of_two=False)
    del stored["model.layers.0.mlp.up_proj.weight_scale_inv"]
    with pytest.raises(BadCheckpoint) as caught:
        load_folder(write(tmp_path, WIDE, stored))
    assert caught.value.missing == ("model.layers.0.mlp.up_proj.weight_scale_inv",)


def test_old_buffers_are_no_surplus(tmp_path: Path) -> None:
    stored = checkpoint(reference(fields("plain")))
    stored["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)
    assert load_folder(write(tmp_path, fields("plain"), stored)).cache_layers == 3


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write(tmp_path, fields("plain"), checkpoint(reference(fields("plain"))))
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(BadConfig, match=r"has no model-1\.safetensors"):
        load_folder(tmp_path)


def test_an_index_cannot_name_files_outside_the_folder(tmp_path: Path) -> None:
    write(tmp_path, fields("plain"), checkpoint(reference(fields("plain"))))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../model-0.safetensors"}}), encoding="utf-8")
    with pytest.raises(BadConfig, match="outside the folder"):
        load_folder(tmp_path)


def test_a_broken_shard_is_named(tmp_path: Path) -> None:
    write(tmp_path, fields("plain"), checkpoint(reference(fields("plain"))))
    (tmp_path / "model-0.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(BadConfig, match="cannot be read"):
        load_folder(tmp_path)


def test_other_storage_is_refused_by_name(tmp_path: Path) -> None:
    config = fields("plain", quantization_config={"quant_method": "compressed-tensors"})
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UnsupportedModel, match="'compressed-tensors'"):
        load_folder(tmp_path)
