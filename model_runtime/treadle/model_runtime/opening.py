"""Opens what the settings name, on the device and the ranks that they ask for."""

import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import torch
from torch import distributed

from treadle.model_runtime.acceleration import build_fastest
from treadle.model_runtime.checkpoint import Checkpoint, load_checkpoint
from treadle.model_runtime.config import ModelConfig
from treadle.model_runtime.embedded import EMBEDDED_NAME, embedded_model
from treadle.model_runtime.errors import BadConfig
from treadle.model_runtime.kernels.gpu.choose import with_kernels
from treadle.model_runtime.loading import Builder
from treadle.model_runtime.loading import build as build_plain
from treadle.model_runtime.model import Decoder
from treadle.model_runtime.ranks import ProcessRanks, follow, join
from treadle.model_runtime.settings import RuntimeSettings
from treadle.model_runtime.sharding import sharded_builder
from treadle.model_runtime.weights import Loader, Source

log = logging.getLogger(__name__)
END_S = 10


def open_checkpoint(settings: RuntimeSettings, ranks: ProcessRanks | None = None) -> Checkpoint:
    """Load the checkpoint, or this rank's part of it.

    Raises:
        ModelRuntimeError: It cannot be loaded, or not be shared so.
    """
    checkpoint = load_checkpoint(
        settings.model or embedded_model(),
        dtype=settings.torch_dtype,
        storage=settings.storage,
        builder=_builder(settings, ranks),
    )
    name = settings.name or (None if settings.model else EMBEDDED_NAME)
    return checkpoint if name is None else replace(checkpoint, name=name)


@contextmanager
def sharing(settings: RuntimeSettings) -> Generator[ProcessRanks | None]:
    """The ranks of one model, from start to end; none if it stays in one process.

    Under torchrun every rank comes here by itself; otherwise rank 0 starts the others.
    """
    size, launched = settings.tensor_parallel or 1, distributed.is_torchelastic_launched()
    if size > 1 or launched:
        # uvicorn hands a signal on when it has stopped; without this the process would end there
        # and the other ranks would wait for a step that never comes.
        signal.signal(signal.SIGTERM, _end)
    if launched:
        yield _launched(settings)
        return
    if size == 1:
        yield None
        return
    _share_cores(settings, size)
    meet = f"tcp://127.0.0.1:{_free_port()}"
    spawning = multiprocessing.get_context("spawn")
    others = [
        spawning.Process(target=_follow, args=(settings, rank, size, meet), name=f"rank-{rank}")
        for rank in range(1, size)
    ]
    for other in others:
        other.start()
    try:
        yield join(rank=0, size=size, meet=meet)
    finally:
        for other in others:
            other.join(END_S)
            if other.is_alive():
                log.warning("ranks.killed pid=%s", other.pid)
                other.kill()


def _launched(settings: RuntimeSettings) -> ProcessRanks:
    """This rank among those that torchrun has started, on this machine or on several.

    torchrun tells every rank to end at once; those that follow wait for rank 0, which answers its
    open requests first, and a rank 0 that is gone ends them by the broken connection.

    Raises:
        BadConfig: The settings ask for another number of ranks.
    """
    ranks = join()
    if settings.tensor_parallel not in {None, ranks.size}:
        raise BadConfig(
            f"--tensor-parallel {settings.tensor_parallel} under torchrun with {ranks.size} ranks: "
            "leave it out, or say the same"
        )
    if ranks.rank:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    return ranks


def _follow(settings: RuntimeSettings, rank: int, size: int, meet: str) -> None:
    """A rank that rank 0 has started; a rank 0 that is gone breaks the connection, and ends it."""
    _share_cores(settings, size)
    ranks = join(rank=rank, size=size, meet=meet)
    follow(open_checkpoint(settings, ranks).model, ranks)


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _builder(settings: RuntimeSettings, ranks: ProcessRanks | None) -> Builder:
    if ranks is not None:
        shared = sharded_builder(ranks, ranks.device)
        return shared if ranks.device.type == "cpu" else _on_kernels(shared, settings)
    if settings.on_gpu:
        return _on_kernels(_build_on_gpu, settings)
    return build_fastest if settings.kernels else build_plain


def _on_kernels(builder: Builder, settings: RuntimeSettings) -> Builder:
    """What the builder builds on a GPU, on the kernels for it."""

    def built(source: Source, config: ModelConfig) -> Decoder:
        model = builder(source, config)
        capability = torch.cuda.get_device_capability(model.device)
        return with_kernels(model, settings.gpu_wishes, capability=capability)

    return built


def _build_on_gpu(source: Source, config: ModelConfig) -> Decoder:
    """Tensors are copied from the file's pages straight to the device."""
    if isinstance(source, Loader):
        source = replace(source, device=torch.device("cuda"))
    return build_plain(source, config)


def _share_cores(settings: RuntimeSettings, size: int) -> None:
    if settings.threads is None:
        torch.set_num_threads(max((os.cpu_count() or 1) // size, 1))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
