"""`plan --model … --gpus 8xH200`: reads a config and writes the plan for people."""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from treadle.model_runtime.config import parse_config
from treadle.model_runtime.errors import BadConfig
from treadle.model_runtime.plan import (
    Fit,
    Range,
    Size,
    cpu_tokens,
    fit,
    measure,
    prefill_tokens,
    step_seconds,
)

BATCHES = (1, 8, 32, 64)
GIGA = 1e9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `plan`."""
    parser.add_argument("--model", type=Path, required=True, help="Folder, or its config.json.")
    parser.add_argument("--gpus", default="", help="Count and kind, such as 8xH200.")
    parser.add_argument("--cpu-bandwidth", type=float, default=0, help="Measured read GB/s.")


def plan_text(model: Path, *, gpus: str, cpu_bandwidth: float) -> str:
    """The plan.

    Raises:
        ModelRuntimeError: The config or the list of accelerators cannot be read.
    """
    fields = config_fields(model)
    fp8 = isinstance(fields.get("quantization_config"), dict)
    size = measure(parse_config(fields), fp8=fp8)
    return "\n".join(_lines(size, gpus=gpus, cpu_bandwidth=cpu_bandwidth, fp8=fp8)) + "\n"


def read_gpus(text: str) -> tuple[str, int]:
    """`8xH200` as kind and count; raises `BadConfig`."""
    found = re.fullmatch(r"(\d+)[x×]([A-Za-z0-9]+)", text)
    if found is None or not int(found[1]):
        raise BadConfig(f"--gpus {text!r} is not a count and a kind, such as 8xH200")
    return found[2].upper(), int(found[1])


def config_fields(model: Path) -> dict[str, JsonValue]:
    """The object of a folder's config.json, or of that file itself; raises `BadConfig`."""
    path = model / "config.json" if model.is_dir() else model
    try:
        fields: JsonValue = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadConfig(f"{str(path)!r} cannot be read as JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadConfig(f"{str(path)!r} holds no JSON object")
    return fields


def _lines(size: Size, *, gpus: str, cpu_bandwidth: float, fp8: bool) -> Iterator[str]:
    stored = "FP8" if fp8 else "as stored"
    yield f"weights    {size.weights / GIGA:,.1f} GB ({stored}), {size.mtp / GIGA:,.1f} of it MTP"
    yield f"cache      {size.cache:,} bytes per token"
    yield f"a step     reads {', '.join(_step(size, batch) for batch in BATCHES)}"
    if gpus:
        name, count = read_gpus(gpus)
        yield from _on_accelerators(size, fit(size, name, count), fp8=fp8)
    if cpu_bandwidth:
        speed = cpu_tokens(size, cpu_bandwidth * GIGA)
        yield f"CPU        {_range(speed)} tokens/s alone at {cpu_bandwidth:g} GB/s"


def _on_accelerators(size: Size, fitted: Fit, *, fp8: bool) -> Iterator[str]:
    where = f"{fitted.count}×{fitted.name}"
    usable = f"{fitted.per_device / GIGA:.1f} of {fitted.device.memory / GIGA:.0f} GB each"
    if not fitted.fits:
        yield f"{where}: does not fit: weights take {usable}, and activations and cache need room"
        return
    ranks = min(fitted.count, 8)
    pipeline = f", pipeline {fitted.nodes}" if fitted.nodes > 1 else ""
    yield f"{where}: fits: tensor parallel {ranks}{pipeline}; weights take {usable}"
    yield f"cache      {fitted.cache_tokens:,} tokens"
    if fitted.nodes > 1:
        whole = fit(size, fitted.name, fitted.count, stages=1).cache_tokens
        yield f"           {whole:,} as SGLang has it, tensor parallel {fitted.count} across them"
    if size.experts:
        yield f"           {fitted.spread_tokens:,} with data-parallel attention, expert parallel"
    for batch in BATCHES:
        step = step_seconds(size, fitted, batch)
        speed = Range(batch / step.high, batch / step.low)
        yield f"batch {batch:<4} {_range(speed)} tokens/s, {_range(step, scale=1e3)} ms per token"
    yield f"prompts    {_range(prefill_tokens(size, fitted, fp8=fp8))} tokens/s"


def _step(size: Size, batch: int) -> str:
    return f"{size.step(batch) / GIGA:,.1f} GB at batch {batch}"


def _range(found: Range, *, scale: float = 1) -> str:
    low, high = found.low * scale, found.high * scale
    digits = 1 if high < 100 else 0
    return f"{low:,.{digits}f} to {high:,.{digits}f}"
