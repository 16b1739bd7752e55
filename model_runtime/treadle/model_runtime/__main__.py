"""`python -m treadle.model_runtime serve --model <folder or gguf>`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch
import uvicorn
from pydantic import ValidationError

from treadle.model_runtime.acceleration import accelerated, return_freed_memory
from treadle.model_runtime.checkpoint import load_checkpoint
from treadle.model_runtime.embedded import EMBEDDED_NAME, embedded_model
from treadle.model_runtime.engine import Engine
from treadle.model_runtime.errors import ModelRuntimeError
from treadle.model_runtime.server.app import ServerOptions, create_app
from treadle.model_runtime.server.generation import Served
from treadle.model_runtime.service import EngineService
from treadle.model_runtime.settings import RuntimeSettings

log = logging.getLogger("treadle.model_runtime")
GRACE_S = 30  # open requests may finish so long after a signal


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; 2 says that it could not start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    given = vars(_parser().parse_args(arguments))
    given.pop("command")
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
    served = build(settings)
    log.info("server.starting host=%s port=%s", settings.host, settings.port)
    options = ServerOptions(keys=settings.key_list, aliases=settings.alias)
    uvicorn.run(
        create_app(served, options),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
    )


def build(settings: RuntimeSettings) -> Served:
    """The checkpoint and an engine around it."""
    path = settings.model or embedded_model()
    name = settings.name or (None if settings.model else EMBEDDED_NAME)
    checkpoint = load_checkpoint(path, dtype=settings.torch_dtype, storage=settings.storage)
    if name is not None:
        checkpoint = replace(checkpoint, name=name)
    options = settings.engine_options(mtp=checkpoint.model.mtp_depth > 0)
    log.info("model.loaded name=%s path=%s", checkpoint.name, path)
    model = accelerated(checkpoint.model) if settings.kernels else checkpoint.model
    # Only what the engine runs is kept.
    checkpoint = replace(checkpoint, model=model)
    return_freed_memory()
    engine = Engine(model, options, tokenizer=checkpoint.tokenizer)
    return Served(checkpoint, EngineService(engine), timeout_s=settings.timeout_s)


def _parser() -> argparse.ArgumentParser:
    """One flag per setting but the keys, which do not belong on a command line."""
    parser = argparse.ArgumentParser(prog="python -m treadle.model_runtime")
    serving = parser.add_subparsers(dest="command", required=True).add_parser("serve")
    for name, field in RuntimeSettings.model_fields.items():
        if name == "keys":
            continue
        action = "append" if name == "alias" else "store"
        serving.add_argument(f"--{name.replace('_', '-')}", action=action, help=field.description)
    return parser


if __name__ == "__main__":
    sys.exit(main())
