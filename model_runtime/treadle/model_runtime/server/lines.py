"""The lines of a batch: what is asked in each, and what was answered so far."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from pydantic import JsonValue

MOST_LINES = 50_000
MOST_PROBLEMS = 100
Problem = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch."""

    custom_id: str
    body: JsonValue


def read_line(text: str) -> Line:
    """A line that `problems_of` has found nothing wrong with."""
    value: dict[str, JsonValue] = json.loads(text)
    return Line(str(value["custom_id"]), value["body"])


def problems_of(lines: Iterable[str], endpoint: str) -> tuple[int, list[Problem]]:
    """How many lines there are, and what is wrong with them; nothing runs if anything is."""
    problems: list[Problem] = []
    seen: set[str] = set()
    number = 0
    for number, text in enumerate(lines, start=1):
        if number > MOST_LINES:
            problems.append(_problem("too_many_lines", f"a batch may have {MOST_LINES} lines"))
            break
        if (found := _problem_of(text, number, endpoint, seen)) is not None:
            problems.append(found)
            if len(problems) == MOST_PROBLEMS:
                break
    if not number:
        problems.append(_problem("empty_file", "the file has no lines"))
    return number, problems


def _problem_of(text: str, number: int, endpoint: str, seen: set[str]) -> Problem | None:
    try:
        value: JsonValue = json.loads(text)
    except ValueError as error:
        return _problem("invalid_json_line", f"this is not JSON: {error}", number)
    if not isinstance(value, dict):
        return _problem("invalid_json_line", "this is no JSON object", number)
    custom_id = value.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        return _problem("missing_required_parameter", "name the line", number, "custom_id")
    if custom_id in seen:
        return _problem("duplicate_custom_id", f"{custom_id!r} is used twice", number, "custom_id")
    seen.add(custom_id)
    if value.get("method", "POST") != "POST":
        return _problem("invalid_method", "only POST is done", number, "method")
    if value.get("url") != endpoint:
        return _problem("mismatched_url", f"the batch is for {endpoint}", number, "url")
    body = value.get("body")
    if not isinstance(body, dict):
        return _problem("missing_required_parameter", "give the request", number, "body")
    if body.get("stream"):
        return _problem("unsupported_value", "a batch has no streams", number, "body.stream")
    return None


def _problem(code: str, message: str, line: int | None = None, param: str | None = None) -> Problem:
    return {"code": code, "message": message, "line": line, "param": param}


class Answers:
    """What was answered so far, one line each, in two files that only grow.

    After a crash the last line may be torn: it is cut off, and asked again.
    """

    def __init__(self, folder: Path, batch_id: str) -> None:
        self.good = folder / f"{batch_id}.output.jsonl"
        self.bad = folder / f"{batch_id}.errors.jsonl"

    def recover(self) -> tuple[set[str], int, int]:
        """Whose answers are whole; how many of them are good, and how many bad."""
        good, bad = (set(_whole_lines(path)) for path in (self.good, self.bad))
        return good | bad, len(good), len(bad)

    def add(self, custom_id: str, status: int, body: JsonValue) -> None:
        """Keep one answer."""
        told: JsonValue = {
            "id": f"batch_req_{token_hex(12)}",
            "custom_id": custom_id,
            "response": {"status_code": status, "request_id": token_hex(12), "body": body},
            "error": None,
        }
        path = self.good if status < 400 else self.bad
        with path.open("a", encoding="utf-8") as target:
            target.write(json.dumps(told, ensure_ascii=False) + "\n")

    def drop(self) -> None:
        """They are kept elsewhere now."""
        self.good.unlink(missing_ok=True)
        self.bad.unlink(missing_ok=True)


def _whole_lines(path: Path) -> Iterator[str]:
    if not path.exists():
        return
    whole = 0
    with path.open("rb") as text:
        for line in text:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            yield str(json.loads(line)["custom_id"])
    with path.open("r+b") as text:
        text.truncate(whole)
