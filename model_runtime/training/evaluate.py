"""What the tiny checkpoint can do on requests it has not seen: `python -m training.evaluate`.

Greedy answers through the engine. Exact means all names and arguments; acceptance is the share of
the MTP module's drafts that the trunk confirms.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from training.examples import CALL_BEGIN, CALL_END, SEPARATOR, Example, Slots, examples
from treadle.model_runtime.acceleration import build_fastest
from treadle.model_runtime.checkpoint import Checkpoint, load_checkpoint
from treadle.model_runtime.engine import Engine, EngineOptions
from treadle.model_runtime.request import Limits, Request, Sampling
from treadle.model_runtime.speculate import Speculation

TINY = Path(__file__).parent / "tiny"
HELD_OUT = 1_000_003  # the seed; no other is used twice


def main() -> None:
    """Print the figures for greedy answers and for samples at temperature 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=TINY)
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    checkpoint = load_checkpoint(arguments.folder, builder=build_fastest)
    asked = list(islice(held_out(), arguments.count))
    for temperature in (0.0, 1.0):
        print(f"temperature {temperature}: {figures(checkpoint, asked, temperature=temperature)}")


def held_out() -> Iterator[Example]:
    """Requests that no training seed begins with."""
    seen = {example.request for example in islice(examples(7), 20_000)}
    return (example for example in examples(HELD_OUT) if example.request not in seen)


def figures(
    checkpoint: Checkpoint, asked: list[Example], *, temperature: float
) -> dict[str, float]:
    """Shares of calls with the right tool, with arguments that parse and that are right."""
    engine = Engine(
        checkpoint.model,
        EngineOptions(speculation=Speculation.MTP, queue=len(asked)),
        tokenizer=checkpoint.tokenizer,
    )
    for number, example in enumerate(asked):
        prompt = checkpoint.tokenizer.encode(example.prompt)
        sampling = Sampling(temperature=temperature, seed=number)
        engine.submit(Request(str(number), prompt, sampling, Limits(max_tokens=400)))
    texts = [""] * len(asked)
    while not engine.idle:
        for progress in engine.step():
            texts[int(progress.id)] += progress.text
    pairs = [
        (call, found[place] if place < len(found) else None)
        for example, text in zip(asked, texts, strict=True)
        for found in (list(parsed(text)),)
        for place, call in enumerate(example.calls)
    ]
    counts = engine.counts
    return {
        "right tool": _share(found is not None and found[0] == call.name for call, found in pairs),
        "valid JSON": _share(found is not None and found[1] is not None for _, found in pairs),
        "exact": _share(found == (call.name, call.arguments) for call, found in pairs),
        "acceptance": round(counts.accepted / max(counts.drafted, 1), 3),
    }


def parsed(text: str) -> Iterator[tuple[str, Slots | None]]:
    """Name and arguments of each call in an answer; `None` where they are not JSON."""
    for part in text.split(CALL_BEGIN)[1:]:
        name, _, rest = part.partition(SEPARATOR)[2].partition("\n```json\n")
        written = rest.partition(f"\n```{CALL_END}")[0]
        try:
            yield name, json.loads(written)
        except ValueError:
            yield name, None


def _share(facts: Iterator[bool]) -> float:
    listed = list(facts)
    return round(sum(listed) / len(listed), 3)


if __name__ == "__main__":
    main()
