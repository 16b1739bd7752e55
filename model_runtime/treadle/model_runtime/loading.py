"""Open a checkpoint: config, names, bytes, in this order."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import torch

from treadle.model_runtime.archives import Archive, SafetensorsArchive, UnpackedExperts
from treadle.model_runtime.config import DeepseekConfig, DenseConfig, ModelConfig, read_config
from treadle.model_runtime.dense import load_dense
from treadle.model_runtime.errors import BadCheckpoint
from treadle.model_runtime.model import Decoder, load_deepseek
from treadle.model_runtime.weights import Comparison, Loader, Manifest, Source, Storage, compare

log = logging.getLogger(__name__)

Builder = Callable[[Source, ModelConfig], Decoder]


def build(source: Source, config: ModelConfig) -> Decoder:
    """The model of this config, with tensors from `source`."""
    match config:
        case DeepseekConfig():
            return load_deepseek(source, config)
        case DenseConfig():
            return load_dense(source, config)
        case _:
            assert_never(config)


def load_folder(
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    storage: Storage = Storage.WIDE,
    builder: Builder = build,
) -> Decoder:
    """Load the checkpoint in `folder`; `dtype` is the one it is stored in unless given.

    Raises:
        UnsupportedModel: Another architecture or storage.
        BadConfig: A file is absent or contradicts itself.
        BadCheckpoint: Tensors are missing, too many or misshapen.
    """
    config = read_config(folder)
    archive = SafetensorsArchive(folder)
    return load_model(archive, config, dtype=dtype, storage=storage, builder=builder)


def load_model(
    archive: Archive,
    config: ModelConfig,
    *,
    dtype: torch.dtype | None = None,
    storage: Storage = Storage.WIDE,
    builder: Builder = build,
) -> Decoder:
    """Load a model whose config is known; raises as `load_folder` does."""
    archive = UnpackedExperts(archive)
    config = without_absent_mtp(archive, config)
    manifest = Manifest()
    build(manifest, config)
    check(archive, compare(archive, manifest.wanted), config)
    return builder(Loader(archive, dtype or stored_dtype(config), storage), config)


def stored_dtype(config: ModelConfig) -> torch.dtype:
    """The compute dtype that the config names; float16 is widened, for its range is too short."""
    return torch.bfloat16 if config.dtype.endswith("bfloat16") else torch.float32


def without_absent_mtp(archive: Archive, config: ModelConfig) -> ModelConfig:
    """Drop MTP modules that the config names and the archive lacks altogether.

    Re-uploads in other formats leave them out; the trunk is whole without them.
    """
    if not isinstance(config, DeepseekConfig) or not config.mtp_layers:
        return config
    if any(_layer(name) >= config.layers for name in archive.entries):
        return config
    log.warning("checkpoint.mtp_absent", extra={"where": archive.where})
    return config.model_copy(update={"mtp_layers": 0})


def check(archive: Archive, found: Comparison, config: ModelConfig) -> None:
    """Raise `BadCheckpoint` unless what is extra is known to be harmless."""
    extra = [name for name in found.extra if not _harmless(name, config)]
    if extra or found.missing or found.misshapen:
        raise BadCheckpoint(
            archive.where, missing=found.missing, extra=extra, misshapen=found.misshapen
        )


def _harmless(name: str, config: ModelConfig) -> bool:
    """Copies of the trunk's embedding and head, old buffers, MTP modules that are off."""
    if name.endswith("rotary_emb.inv_freq") or (name == "lm_head.weight" and config.tied_head):
        return True
    if not isinstance(config, DeepseekConfig):
        return False
    layer = _layer(name)
    copied = name.endswith((".embed_tokens.weight", ".shared_head.head.weight"))
    return layer >= config.layers + (0 if copied else config.mtp_layers)


def _layer(name: str) -> int:
    """The layer's number in a tensor's name; -1 outside the layers."""
    parts = name.split(".")
    return int(parts[2]) if name.startswith("model.layers.") and parts[2].isdigit() else -1
