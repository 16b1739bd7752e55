"""From settings to a server in front of an engine, or to a machine that computes for another."""

import asyncio
import logging
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import uvicorn
from pydantic import JsonValue

from treadle.model_runtime.config import ModelConfig, parse_config
from treadle.model_runtime.engines import sglang, vllm
from treadle.model_runtime.engines.front import FrontOptions, create_front
from treadle.model_runtime.engines.installed import Installed, find_engine
from treadle.model_runtime.engines.launch import (
    Launch,
    Layout,
    Nodes,
    Spread,
    context_of,
    dialect_of,
    spread,
)
from treadle.model_runtime.engines.process import EngineProcess
from treadle.model_runtime.engines.relay import Upstream
from treadle.model_runtime.errors import BadConfig, EngineFailed
from treadle.model_runtime.plan import Fit, fit, measure
from treadle.model_runtime.planning import config_fields, read_gpus
from treadle.model_runtime.server.embeddings import load_embedder
from treadle.model_runtime.settings import RuntimeSettings

log = logging.getLogger(__name__)
GRACE_S = 30
PROBE_S = 10
MODULES = {"vllm": vllm.MODULE, "sglang": sglang.MODULE}
ARGUMENTS = {"vllm": vllm.arguments, "sglang": sglang.arguments}


def serve_behind(settings: RuntimeSettings) -> None:
    """Serve until a signal comes.

    Raises:
        ModelRuntimeError: The engine cannot be started as it is asked for, or failed too often.
    """
    if settings.engine == "remote":
        _serve(settings, _remote(settings), None)
        return
    installed = find_engine(settings.engine, settings.engine_python or Path(sys.executable))
    launch = launch_of(settings, port=_free_port())
    command = command_of(settings.engine, launch, installed)
    log.info("engine.command %s", shlex.join(command))
    if not launch.nodes.leads:
        asyncio.run(_compute(EngineProcess(command, _always, _always)))
        return
    key = secrets.token_urlsafe(24) if settings.engine == "vllm" else ""
    upstream = Upstream(settings.engine, f"http://127.0.0.1:{launch.port}/v1", launch.name, key)
    env = {vllm.KEY_VARIABLE: key} if key else {}
    probe = Probe(upstream)
    _serve(settings, upstream, EngineProcess(command, probe.answers, probe.is_well, env=env))


def command_of(engine: str, launch: Launch, installed: Installed) -> Sequence[str]:
    """The whole command, from the interpreter on; raises `EngineRefused`."""
    arguments = ARGUMENTS[engine](launch, installed.flags)
    return [str(installed.python), "-m", *MODULES[engine], *arguments]


def launch_of(settings: RuntimeSettings, *, port: int) -> Launch:
    """What the settings ask for, completed from the checkpoint and the accelerators.

    Raises:
        ModelRuntimeError: The checkpoint cannot be read, does not fit, or cannot be cut so.
    """
    if settings.model is None:
        raise BadConfig(f"--engine {settings.engine} needs --model: a folder, or a name on a hub")
    model = settings.model
    config, fp8 = _read(model)
    layout = Layout(settings.layout)
    ranks, context = Spread(settings.tensor_parallel or 1, 1, 1), settings.context
    if settings.gpus:
        name, count = read_gpus(settings.gpus)
        if config is None:
            raise BadConfig(f"--gpus needs a folder with config.json, and {model} is none")
        ranks = spread(config, count, layout, engine=settings.engine, fp8=fp8)
        fitted: Fit = fit(measure(config, fp8=fp8), name, count, stages=ranks.pipeline)
        context = context or context_of(config, fitted, layout)
    return Launch(
        model=str(model),
        name=settings.name or model.name,
        port=port,
        tensor=ranks.tensor,
        pipeline=ranks.pipeline,
        data=ranks.data,
        experts=config is None or bool(getattr(config, "experts", 0)),
        nodes=Nodes(settings.nodes, settings.node_rank, settings.head, settings.head_port),
        context=context,
        memory_share=settings.memory_share,
        narrow_cache=settings.narrow_cache,
        drafts=_drafts(settings, config),
        dialect=dialect_of(model, settings.dialect),
        chat_template=settings.chat_template,
        remote_code=settings.remote_code,
        extra=tuple(shlex.split(settings.engine_args)),
    )


def _read(model: Path) -> tuple[ModelConfig | None, bool]:
    """The config of a folder and whether it is stored in FP8; nothing of a name on a hub."""
    if not model.is_dir():
        return None, False
    fields = config_fields(model)
    return parse_config(fields), isinstance(fields.get("quantization_config"), dict)


def _drafts(settings: RuntimeSettings, config: ModelConfig | None) -> int:
    """One token by the MTP module, if the checkpoint has one."""
    wanted = settings.speculation in {"auto", "mtp"}
    return int(wanted and bool(getattr(config, "mtp_layers", 0)))


def _remote(settings: RuntimeSettings) -> Upstream:
    if not settings.url or urlsplit(settings.url).scheme not in {"http", "https"}:
        raise BadConfig(
            "--engine remote needs --url: an OpenAI-compatible base URL, as https://…/v1"
        )
    model = str(settings.model) if settings.model else settings.name
    if not model:
        raise BadConfig("--engine remote needs --model: the model's name at that URL")
    return Upstream("remote", settings.url.rstrip("/"), model, settings.url_key.get_secret_value())


def _serve(settings: RuntimeSettings, upstream: Upstream, process: EngineProcess | None) -> None:
    failed: list[EngineFailed] = []

    def give_up(error: EngineFailed) -> None:
        failed.append(error)
        server.should_exit = True

    options = FrontOptions(
        name=settings.name or upstream.model,
        keys=settings.key_list,
        aliases=settings.alias,
        embedder=load_embedder(settings.embeddings),
        most=settings.running + settings.queue,
        timeout_s=settings.timeout_s,
        state=settings.state,
        traces=settings.otlp_endpoint,
    )
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=options.most + 8))
    app = create_front(upstream, options, client=client, process=process, give_up=give_up)
    log.info("server.starting host=%s port=%s", settings.host, settings.port)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_level="warning",
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    server.run()
    if failed:
        raise failed[0]


@dataclass(frozen=True, slots=True)
class Probe:
    """Asks an engine how it is."""

    upstream: Upstream

    async def answers(self) -> bool:
        """Whether one token comes: that a port is open does not tell that the model answers."""
        body: JsonValue = {"model": self.upstream.model, "prompt": "1", "max_tokens": 1}
        return await self._asked("POST", f"{self.upstream.url}/completions", body)

    async def is_well(self) -> bool:
        """Whether it says that it is."""
        return await self._asked("GET", self.upstream.url.removesuffix("/v1") + "/health", None)

    async def _asked(self, method: str, url: str, body: JsonValue) -> bool:
        headers = dict(self.upstream.headers)
        async with httpx.AsyncClient(timeout=PROBE_S, headers=headers) as client:
            try:
                answer = await client.request(method, url, json=body)
            except httpx.HTTPError:
                return False
        return answer.status_code == HTTPStatus.OK


async def _always() -> bool:
    """A machine without an API is ready as long as its process lives."""
    return True


async def _compute(process: EngineProcess) -> None:
    """Run a machine that only computes; a signal ends it."""
    process.start()
    computing = asyncio.ensure_future(process.finished())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, computing.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await computing
    finally:
        await process.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
