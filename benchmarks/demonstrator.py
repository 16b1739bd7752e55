"""What the embedded model can do, on held-out prompts: `python benchmarks/demonstrator.py`.

Greedy, through the server, as templates ask it. The scoring is mechanical and strict: it says what
share of answers has what a good answer must have, not that they are good. docs/embedded-model.md
has the figures.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import demonstrator_prompts as prompts
import httpx
import jsonschema
from demonstrator_prompts import ChoiceTask, ExtractTask, FactTask, OutlineTask, RewordTask
from pydantic import JsonValue
from serving import Load, running

MODEL = "SmolLM2-135M-Instruct"
AT_ONCE = 8
PERSON: JsonValue = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "city": {"type": "string", "maxLength": 40},
    },
    "required": ["name", "age", "city"],
    "additionalProperties": False,
}
Task = TypeVar("Task")
Scores = dict[str, bool]


@dataclass(frozen=True)
class Asker:
    """Asks one server."""

    client: httpx.Client

    def __call__(
        self, text: str, *, schema: JsonValue = None, max_tokens: int = 160, penalty: float = 1.0
    ) -> str:
        """The answer to one message."""
        body: dict[str, JsonValue] = {
            "model": MODEL,
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": max_tokens,
            "repetition_penalty": penalty,
        }
        if schema is not None:
            form: JsonValue = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        response = self.client.post("/v1/chat/completions", json=body)
        response.raise_for_status()
        return str(response.json()["choices"][0]["message"]["content"] or "")


def choice(ask: Asker, task: ChoiceTask) -> tuple[str, Scores]:
    """One of the options, held to them by a grammar."""
    schema: JsonValue = {
        "type": "object",
        "properties": {"answer": {"enum": [*task.options]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    listed = ", ".join(task.options)
    text = ask(f"{task.question}\nChoose one of: {listed}. Answer as JSON.", schema=schema)
    found = json.loads(text)["answer"]
    return text, {"one of the options": found in task.options, "the right one": found == task.right}


def extract(ask: Asker, task: ExtractTask) -> tuple[str, Scores]:
    """An object under a schema."""
    text = ask(f"Text: {task.text}\nGive name, age and city as JSON.", schema=PERSON)
    try:
        found = json.loads(text)
        jsonschema.validate(found, PERSON)
    except (ValueError, jsonschema.ValidationError):
        return text, {"valid": False, "every field right": False}
    return text, {
        "valid": True,
        **{f"{key} right": found[key] == value for key, value in task.right.items()},
        "every field right": found == task.right,
    }


def outline(ask: Asker, task: OutlineTask) -> tuple[str, Scores]:
    """A list of headings."""
    text = ask(
        f"Write an outline with five headings for a post about {task.subject}. Only the headings.",
        max_tokens=220,
        penalty=1.1,
    )
    lines = [line.strip(" -*#0123456789.").lower() for line in text.splitlines()]
    heads = [line for line in lines if line]
    on_topic = [line for line in heads if any(stem in line for stem in task.stems)]
    return text, {
        "four lines or more": len(heads) >= 4,
        "no line twice": len(set(heads)) == len(heads),
        "half of them on the subject": len(on_topic) * 2 >= len(heads) > 0,
    }


def reword(ask: Asker, task: RewordTask) -> tuple[str, Scores]:
    """The same in other words."""
    text = ask(f"Say this in other words, in one sentence: {task.sentence}", max_tokens=80)
    kept = all(word.lower() in text.lower() for word in task.kept)
    return text, {
        "other words": text.strip().lower() != task.sentence.lower(),
        "names and numbers kept": kept,
        "at most twice as long": 0 < len(text) <= 2 * len(task.sentence),
    }


def fact(ask: Asker, task: FactTask) -> tuple[str, Scores]:
    """A short answer; it counts if it holds the right one anywhere."""
    given = f"{task.passage}\n\n" if task.passage else ""
    text = ask(f"{given}Question: {task.question} Answer briefly.", max_tokens=60)
    return text, {"holds the answer": any(right.lower() in text.lower() for right in task.right)}


def measure(
    ask: Asker, score: Callable[[Asker, Task], tuple[str, Scores]], tasks: Sequence[Task]
) -> tuple[dict[str, str], list[str]]:
    """For each test how many of the answers pass it, and the answers."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda task: score(ask, task), tasks))
    names = dict.fromkeys(name for _, scores in done for name in scores)
    passed = {name: sum(scores.get(name, False) for _, scores in done) for name in names}
    return {name: f"{count}/{len(tasks)}" for name, count in passed.items()}, [t for t, _ in done]


def main() -> None:
    """Ask everything and print the figures; `--show` prints the answers too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9351)
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    load = Load("embedded", AT_ONCE, 0, threads=2)
    base = f"http://127.0.0.1:{arguments.port}"
    with running(load, arguments.port), httpx.Client(base_url=base, timeout=300) as client:
        ask = Asker(client)
        report(ask, "choices among given options", choice, prompts.CHOICES, arguments.show)
        report(ask, "JSON under a schema", extract, prompts.EXTRACTS, arguments.show)
        report(ask, "outlines", outline, prompts.OUTLINES, arguments.show)
        report(ask, "rewording", reword, prompts.REWORDS, arguments.show)
        report(ask, "facts that the prompt holds", fact, prompts.FACTS_GIVEN, arguments.show)
        report(ask, "facts that it does not hold", fact, prompts.FACTS_BARE, arguments.show)
    guessed = sum(1 / len(task.options) for task in prompts.CHOICES)
    print(f"guessing would get {guessed:.1f} of {len(prompts.CHOICES)} choices right")


def report(
    ask: Asker,
    name: str,
    score: Callable[[Asker, Task], tuple[str, Scores]],
    tasks: Sequence[Task],
    show: bool,
) -> None:
    """One task's line, and its answers."""
    figures, answers = measure(ask, score, tasks)
    print(f"{name}: {json.dumps(figures)}", flush=True)
    for answer in answers if show else ():
        print("   ", json.dumps(answer, ensure_ascii=False))


if __name__ == "__main__":
    main()
