"""The fastest form of a model on this machine."""

import ctypes
import logging

import torch

from treadle.model_runtime.dense import DenseModel
from treadle.model_runtime.kernels.build import library
from treadle.model_runtime.kernels.fused import FusedModel, supports
from treadle.model_runtime.model import Decoder, DeepseekModel

log = logging.getLogger(__name__)


def accelerated(model: Decoder) -> Decoder:
    """The model behind the fused CPU kernels where they fit and can be built; else as it is."""
    if not isinstance(model, DeepseekModel | DenseModel) or model.device.type != "cpu":
        return model
    if not supports(model.config):
        log.info("kernels.unfit model_type=%s", model.config.model_type)
        return model
    kernels = library()
    return model if kernels is None else FusedModel(model, kernels, threads=torch.get_num_threads())


def return_freed_memory() -> None:
    """Give back what the plain weights took: glibc would keep it for later.

    It does nothing where the C library has no such function.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
