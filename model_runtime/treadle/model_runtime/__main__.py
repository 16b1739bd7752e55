"""`python -m treadle.model_runtime serve --model <folder or gguf>`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import uvicorn
from pydantic import ValidationError

from treadle.model_runtime.embedded import EMBEDDED_NOTICE
from treadle.model_runtime.engine import Engine
from treadle.model_runtime.engines.opening import serve_behind
from treadle.model_runtime.errors import ModelRuntimeError
from treadle.model_runtime.kernels.abi import Library
from treadle.model_runtime.kernels.build import BuildFailed, built
from treadle.model_runtime.kernels.fused import FusedModel
from treadle.model_runtime.kernels.report import report
from treadle.model_runtime.opening import open_checkpoint, sharing
from treadle.model_runtime.pages import return_freed_memory
from treadle.model_runtime.planning import add_arguments, plan_text
from treadle.model_runtime.ranks import LeadingModel, ProcessRanks, follow
from treadle.model_runtime.server.app import ServerOptions, create_app
from treadle.model_runtime.server.embeddings import load_embedder
from treadle.model_runtime.server.generation import Served
from treadle.model_runtime.service import EngineService
from treadle.model_runtime.settings import RuntimeSettings

log = logging.getLogger("treadle.model_runtime")
SECRETS = frozenset({"keys", "url_key"})  # they do not belong on a command line
GRACE_S = 30  # open requests may finish so long after a signal


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; 2 says that it could not start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    given = vars(parser_of().parse_args(arguments))
    if given["command"] == "plan":
        return print_plan(given["model"], gpus=given["gpus"], cpu_bandwidth=given["cpu_bandwidth"])
    if given.pop("command") == "kernels":
        return build_kernels()
    try:
        settings = RuntimeSettings(**{key: value for key, value in given.items() if value})
        serve(settings)
    except (ModelRuntimeError, ValidationError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def serve(settings: RuntimeSettings) -> None:
    """Load the model, then answer."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.engine != "torch":
        serve_behind(settings)
        return
    with sharing(settings) as ranks:
        if ranks is not None and ranks.rank:
            follow(open_checkpoint(settings, ranks).model, ranks)
            return
        answer(settings, build(settings, ranks))


def answer(settings: RuntimeSettings, served: Served) -> None:
    """Serve what is loaded until a signal comes, then let the other ranks go."""
    log.info("server.starting host=%s port=%s", settings.host, settings.port)
    options = ServerOptions(
        keys=settings.key_list,
        aliases=settings.alias,
        embedder=load_embedder(settings.embeddings),
        state=settings.state,
        traces=settings.otlp_endpoint,
    )
    try:
        uvicorn.run(
            create_app(served, options),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            timeout_graceful_shutdown=GRACE_S,
        )
    finally:
        if isinstance(leading := served.checkpoint.model, LeadingModel):
            leading.stop()


def print_plan(model: Path, *, gpus: str, cpu_bandwidth: float) -> int:
    """Write the plan; 2 if the config or the list of accelerators cannot be read."""
    try:
        sys.stdout.write(plan_text(model, gpus=gpus, cpu_bandwidth=cpu_bandwidth))
    except ModelRuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def build_kernels() -> int:
    """Build the CPU kernels now and print their variant; 2 if they cannot be built."""
    try:
        sys.stdout.write(f"{Library(built()).variant}\n")
    except (BuildFailed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def build(settings: RuntimeSettings, ranks: ProcessRanks | None = None) -> Served:
    """The checkpoint and an engine around it."""
    checkpoint = open_checkpoint(settings, ranks)
    if ranks is not None:
        checkpoint = replace(checkpoint, model=LeadingModel(checkpoint.model, ranks))
    options = settings.engine_options(mtp=checkpoint.model.mtp_depth > 0)
    log.info("model.loaded name=%s path=%s", checkpoint.name, settings.model)
    serving = report(checkpoint.model)
    log.info("kernels.serving %s", " ".join(f"{part}={name!r}" for part, name in serving.items()))
    return_freed_memory()
    if isinstance(checkpoint.model, FusedModel):
        torch.set_num_threads(1)  # torch's threads spin beside the kernels' own
    engine = Engine(checkpoint.model, options, tokenizer=checkpoint.tokenizer)
    return Served(
        checkpoint,
        EngineService(engine),
        timeout_s=settings.timeout_s,
        notice="" if settings.model else EMBEDDED_NOTICE,
    )


def parser_of() -> argparse.ArgumentParser:
    """One flag per setting but the keys, which do not belong on a command line."""
    parser = argparse.ArgumentParser(prog="python -m treadle.model_runtime")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("kernels", help="Build the CPU kernels now, so that no start waits.")
    add_arguments(commands.add_parser("plan", help="What a checkpoint needs; starts nothing."))
    serving = commands.add_parser("serve")
    for name, field in RuntimeSettings.model_fields.items():
        if name in SECRETS:
            continue
        action = "append" if name == "alias" else "store"
        serving.add_argument(f"--{name.replace('_', '-')}", action=action, help=field.description)
    return parser


if __name__ == "__main__":
    sys.exit(main())
