"""SGLang's command line; checked against the argument parser of the installed version."""

from collections.abc import Iterator

from treadle.model_runtime.engines.flags import FlagSet
from treadle.model_runtime.engines.launch import Launch

MODULE = ("sglang.launch_server",)


def arguments(launch: Launch, flags: FlagSet) -> list[str]:
    """Everything behind `python -m sglang.launch_server`.

    Full names are used throughout: `--tp` works only because argparse completes prefixes.

    Raises:
        EngineRefused: This version does not take what is asked for.
    """
    command = ["--model-path", launch.model, "--served-model-name", launch.name]
    command += ["--host", "127.0.0.1", "--port", str(launch.port)]
    command += ["--enable-cache-report", "--enable-metrics"]
    command += [*_ranks(launch, flags), *_speech(launch), *_drafting(launch)]
    command += ["--mem-fraction-static", f"{launch.memory_share:g}"]
    if launch.context is not None:
        command += ["--context-length", str(launch.context)]
    if launch.narrow_cache:
        command += ["--kv-cache-dtype", "fp8_e4m3"]
    if launch.remote_code:
        command += ["--trust-remote-code"]
    command += launch.extra
    flags.check(command)
    return command


def _ranks(launch: Launch, flags: FlagSet) -> Iterator[str]:
    """With data-parallel attention SGLang still counts all ranks as tensor-parallel."""
    nodes = launch.nodes
    yield from ("--tp-size", str(max(launch.data, launch.tensor * launch.pipeline)))
    if launch.data > 1:
        if flags.prefers("--attn-dp-size"):
            yield from ("--attn-dp-size", str(launch.data))
        else:
            yield from ("--dp-size", str(launch.data), "--enable-dp-attention")
        yield from ("--moe-a2a-backend", "deepep")
    if nodes.count > 1:
        yield from ("--nnodes", str(nodes.count), "--node-rank", str(nodes.rank))
        yield from ("--dist-init-addr", f"{nodes.head}:{nodes.port}")


def _drafting(launch: Launch) -> Iterator[str]:
    """A chain of drafts: one candidate each, so one token more than drafts is verified."""
    if launch.drafts:
        yield from ("--speculative-algorithm", "EAGLE")
        yield from ("--speculative-num-steps", str(launch.drafts))
        yield from ("--speculative-eagle-topk", "1")
        yield from ("--speculative-num-draft-tokens", str(launch.drafts + 1))


def _speech(launch: Launch) -> Iterator[str]:
    if launch.chat_template is not None:
        yield from ("--chat-template", str(launch.chat_template))
    if launch.dialect is None:
        return
    yield from ("--tool-call-parser", launch.dialect.tools["sglang"])
    if reasoning := launch.dialect.reasoning.get("sglang"):
        yield from ("--reasoning-parser", reasoning)
