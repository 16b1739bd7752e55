"""The fastest form of a model on this machine."""

import logging

import torch

from treadle.model_runtime.config import ModelConfig
from treadle.model_runtime.dense import DenseModel
from treadle.model_runtime.kernels.abi import Library
from treadle.model_runtime.kernels.build import library
from treadle.model_runtime.kernels.describe import parts_from, parts_of
from treadle.model_runtime.kernels.fused import FusedModel, supports
from treadle.model_runtime.loading import build
from treadle.model_runtime.model import Decoder, DeepseekModel
from treadle.model_runtime.weights import Source

log = logging.getLogger(__name__)


def build_fastest(source: Source, config: ModelConfig) -> Decoder:
    """The model on the fused CPU kernels where they fit and can be built; else the plain one.

    Each layer is packed as it is loaded and its plain weights are dropped.
    """
    kernels = _kernels(config)
    if kernels is None:
        return build(source, config)
    return FusedModel(parts_from(source, config), kernels, threads=torch.get_num_threads())


def accelerated(model: Decoder) -> Decoder:
    """A loaded model behind the fused CPU kernels where they fit; else as it is."""
    if not isinstance(model, DeepseekModel | DenseModel) or model.device.type != "cpu":
        return model
    kernels = _kernels(model.config)
    if kernels is None:
        return model
    return FusedModel(parts_of(model), kernels, threads=torch.get_num_threads())


def _kernels(config: ModelConfig) -> Library | None:
    """The kernels if they can run this model; one log line says which."""
    if not supports(config):
        log.info("kernels.unfit model_type=%s", config.model_type)
        return None
    kernels = library()
    if kernels is not None:
        log.info("kernels.chosen variant=%s", kernels.variant)
    return kernels
