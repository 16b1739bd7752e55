"""Loading takes hardly more memory than the weights: the file's mapped pages count, too."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import JsonValue
from safetensors.torch import save_file
from tests.model_runtime.shapes import fields

from treadle.model_runtime.config import parse_config
from treadle.model_runtime.loading import build
from treadle.model_runtime.weights import Manifest

LAYERS = 32
SHAPE = fields(
    "plain",
    vocab_size=2_048,
    hidden_size=512,
    intermediate_size=1_536,
    moe_intermediate_size=128,
    num_hidden_layers=LAYERS,
    n_routed_experts=8,
    kv_lora_rank=128,
    q_lora_rank=128,
    qk_nope_head_dim=64,
    qk_rope_head_dim=32,
    v_head_dim=64,
    num_attention_heads=8,
)
MORE = 1.05
SMALL = 8 * 2**20  # the allocator's caches, tables of cosines, headers


def write(folder: Path, dtype: torch.dtype) -> int:
    """A random checkpoint, a shard per layer; the bytes of its weights."""
    torch.manual_seed(0)
    stated: dict[str, JsonValue] = {**SHAPE, "dtype": str(dtype).removeprefix("torch.")}
    (folder / "config.json").write_text(json.dumps(stated), encoding="utf-8")
    manifest = Manifest()
    build(manifest, parse_config(stated))
    shards: dict[str, list[str]] = {}
    for name in manifest.wanted:
        part = name.split(".")[2] if ".layers." in name else "rest"
        shards.setdefault(f"model-{part}.safetensors", []).append(name)
    total = 0
    for file, names in shards.items():
        made = {name: torch.randn(manifest.wanted[name]).to(dtype) for name in names}
        total += sum(tensor.nbytes for tensor in made.values())
        save_file(made, folder / file)
    index = {name: file for file, names in shards.items() for name in names}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": index}), encoding="utf-8"
    )
    return total


def loaded(folder: Path, storage: str, builder: str) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.model_runtime.loading_run"]
    done = subprocess.run(
        [*command, str(folder), storage, builder], capture_output=True, text=True, check=True
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("builder", ["fused", "plain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_loading_takes_the_weights_and_five_percent(
    tmp_path: Path, dtype: torch.dtype, builder: str
) -> None:
    weights = write(tmp_path, dtype)
    assert weights > 100 * 2**20
    found = loaded(tmp_path, "wide", builder)
    assert found["peak"] <= weights * MORE + SMALL, (found, weights)


@pytest.mark.slow
@pytest.mark.parametrize("builder", ["fused", "plain"])
def test_rounding_to_int8_never_holds_the_wide_weights(tmp_path: Path, builder: str) -> None:
    weights = write(tmp_path, torch.bfloat16)
    found = loaded(tmp_path, "int8", builder)
    # A byte for two, and what is never rounded: the embedding, norms, routers, latent factors.
    assert found["peak"] <= weights * 0.62 * MORE + SMALL, (found, weights)
