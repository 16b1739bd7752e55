"""vLLM's command line; checked against the argument parser of the installed version."""

import json
from collections.abc import Iterator

from treadle.model_runtime.engines.flags import FlagSet
from treadle.model_runtime.engines.launch import Launch
from treadle.model_runtime.plan import NODE

MODULE = ("vllm.entrypoints.cli.main", "serve")
KEY_VARIABLE = "VLLM_API_KEY"
RPC_PORT = 29_550  # data-parallel ranks of several machines meet there


def arguments(launch: Launch, flags: FlagSet) -> list[str]:
    """Everything behind `vllm serve`.

    Raises:
        EngineRefused: This version does not take what is asked for.
    """
    command = [launch.model, *_server(launch), *_ranks(launch), *_speech(launch)]
    command += ["--gpu-memory-utilization", f"{launch.memory_share:g}"]
    if launch.context is not None:
        command += ["--max-model-len", str(launch.context)]
    if launch.narrow_cache:
        command += ["--kv-cache-dtype", "fp8"]
    if launch.remote_code:
        command += ["--trust-remote-code"]
    if launch.drafts:
        drafting = {"method": "mtp", "num_speculative_tokens": launch.drafts}
        command += ["--speculative-config", json.dumps(drafting, separators=(",", ":"))]
    command += launch.extra
    flags.check(command)
    return command


def _server(launch: Launch) -> Iterator[str]:
    """Behind the first machine's API the others are headless: they only compute."""
    if not launch.nodes.leads:
        yield "--headless"
        return
    yield from ("--host", "127.0.0.1", "--port", str(launch.port))
    yield from ("--served-model-name", launch.name)
    yield from ("--enable-prompt-tokens-details", "--disable-uvicorn-access-log")


def _ranks(launch: Launch) -> Iterator[str]:
    nodes = launch.nodes
    if launch.data > 1:
        yield from ("--data-parallel-size", str(launch.data))
        yield from ("--all2all-backend", "deepep_low_latency")
        if nodes.count > 1:
            yield from ("--data-parallel-size-local", str(NODE))
            yield from ("--data-parallel-address", nodes.head)
            yield from ("--data-parallel-rpc-port", str(RPC_PORT))
        if not nodes.leads:
            yield from ("--data-parallel-start-rank", str(NODE * nodes.rank))
    else:
        yield from ("--tensor-parallel-size", str(launch.tensor))
        if launch.pipeline > 1:
            yield from ("--pipeline-parallel-size", str(launch.pipeline))
        if nodes.count > 1:
            yield from ("--nnodes", str(nodes.count), "--node-rank", str(nodes.rank))
            yield from ("--master-addr", nodes.head, "--master-port", str(nodes.port))
    if launch.experts and max(launch.data, launch.tensor) > 1:
        yield "--enable-expert-parallel"


def _speech(launch: Launch) -> Iterator[str]:
    if launch.chat_template is not None:
        yield from ("--chat-template", str(launch.chat_template))
    if launch.dialect is None:
        return
    yield from ("--enable-auto-tool-choice", "--tool-call-parser", launch.dialect.tools["vllm"])
    if reasoning := launch.dialect.reasoning.get("vllm"):
        yield from ("--reasoning-parser", reasoning)
