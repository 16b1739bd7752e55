"""Invented requests and the tool calls that answer them, from a seed.

Phrases, tools and closed lists are few, so that the form is learnt in minutes; people's names are
made of syllables, so that there is always something new to read.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

Argument = str | int
Slots = dict[str, Argument]

BAR = chr(0xFF5C)  # not the ASCII bar; and the blank within a name is U+2581


def control(name: str) -> str:
    """A control token of DeepSeek's vocabularies."""
    return f"<{BAR}{name.replace(' ', chr(0x2581))}{BAR}>"


BEGIN, END = control("begin of sentence"), control("end of sentence")
USER, ASSISTANT = control("User"), control("Assistant")
CALLS_BEGIN, CALLS_END = control("tool calls begin"), control("tool calls end")
CALL_BEGIN, CALL_END = control("tool call begin"), control("tool call end")
SEPARATOR = control("tool sep")
CONTROL = (
    *(BEGIN, END, USER, ASSISTANT),
    *(CALLS_BEGIN, CALLS_END, CALL_BEGIN, CALL_END, SEPARATOR),
)

CITIES = ("Lisbon", "Oslo", "Quito", "Nairobi", "Kyoto", "Turin", "Dublin", "Lima", "Perth", "Riga")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CURRENCIES = ("euros", "dollars", "yen", "pounds", "francs")
LANGUAGES = ("French", "Spanish", "German", "Latin", "Welsh", "Dutch")
WORDS = ("bread", "harbour", "winter", "thread", "lantern", "orchard", "paper", "river")
ROOMS = ("kitchen", "hall", "garage", "bedroom", "office")
SUBJECTS = ("the budget", "the harvest", "the new loom", "our journey", "the concert", "lunch")
STARTS = ("ba", "do", "ke", "li", "mo", "na", "ru", "sa", "ti", "ve")
ENDS = ("ra", "lin", "mas", "nor", "dek", "vik", "ssa", "ton")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool's name and what it is called with."""

    name: str
    arguments: Slots


@dataclass(frozen=True, slots=True)
class Example:
    """What somebody asks, and the calls that answer it, in the order asked."""

    request: str
    calls: tuple[Call, ...]

    @property
    def prompt(self) -> str:
        """The request as the chat template renders it."""
        return f"{BEGIN}{USER}{self.request}{ASSISTANT}"

    @property
    def answer(self) -> str:
        """The calls in DeepSeek-V3's format, control tokens included."""
        return f"{CALLS_BEGIN}{chr(10).join(map(_written, self.calls))}{CALLS_END}{END}"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, how people ask for it, and what they fill in."""

    name: str
    phrases: tuple[str, ...]
    slots: Callable[[random.Random], Slots]


TOOLS = (
    Tool(
        "get_weather",
        (
            "what is the weather in {city} on {day}",
            "tell me if it rains in {city} on {day}",
            "the forecast for {city} on {day}, please",
        ),
        lambda rng: {"city": rng.choice(CITIES), "day": rng.choice(DAYS)},
    ),
    Tool(
        "set_timer",
        (
            "wake me in {minutes} minutes",
            "set a timer to {minutes} minutes for {label}",
            "count {minutes} minutes down for {label}",
        ),
        lambda rng: {"minutes": rng.randrange(1, 60), "label": rng.choice(WORDS)},
    ),
    Tool(
        "convert_money",
        (
            "how much are {amount} {source} in {target}",
            "change {amount} {source} into {target}",
        ),
        lambda rng: {
            "amount": rng.randrange(1, 500),
            "source": rng.choice(CURRENCIES),
            "target": rng.choice(CURRENCIES),
        },
    ),
    Tool(
        "translate_text",
        (
            "say {word} in {language}",
            "what is the {language} word for {word}",
            "translate {word} into {language}",
        ),
        lambda rng: {"word": rng.choice(WORDS), "language": rng.choice(LANGUAGES)},
    ),
    Tool(
        "send_message",
        (
            "write to {person} about {subject}",
            "tell {person} that I called about {subject}",
            "send {person} a line on {subject}",
        ),
        lambda rng: {"person": _person(rng), "subject": rng.choice(SUBJECTS)},
    ),
    Tool(
        "add_appointment",
        (
            "I meet {person} on {day} at {hour}",
            "put {person} down for {day} at {hour}",
            "book {day} at {hour} with {person}",
        ),
        lambda rng: {
            "person": _person(rng),
            "day": rng.choice(DAYS),
            "hour": rng.randrange(8, 20),
        },
    ),
    Tool(
        "switch_light",
        ("turn the light in the {room} {state}", "light {state} in the {room}"),
        lambda rng: {"room": rng.choice(ROOMS), "state": rng.choice(("on", "off"))},
    ),
)
OPENINGS = ("", "", "Please ", "Hello, ", "Could you do this: ")
JOINTS = (", and ", ". Then ", "; also ", ", after that ")


def examples(seed: int) -> Iterator[Example]:
    """Without end; one to three calls each."""
    rng = random.Random(seed)
    while True:
        parts = [_part(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
        text = rng.choice(OPENINGS) + parts[0][0]
        for phrase, _ in parts[1:]:
            text += rng.choice(JOINTS) + phrase
        yield Example(text + rng.choice((".", "?", "")), tuple(call for _, call in parts))


def generator_hash(seed: int, *, count: int = 1_000) -> str:
    """Of the first examples: which generator a checkpoint was trained on."""
    digest = hashlib.sha256()
    for example in islice(examples(seed), count):
        digest.update((example.prompt + example.answer).encode())
    return digest.hexdigest()[:16]


def _part(rng: random.Random) -> tuple[str, Call]:
    tool = rng.choice(TOOLS)
    slots = tool.slots(rng)
    phrase = rng.choice(tool.phrases)
    named = {name: value for name, value in slots.items() if f"{{{name}}}" in phrase}
    return phrase.format(**slots), Call(tool.name, named)


def _person(rng: random.Random) -> str:
    middle = rng.choice(("", *STARTS))
    return (rng.choice(STARTS) + middle + rng.choice(ENDS)).capitalize()


def _written(call: Call) -> str:
    arguments = json.dumps(call.arguments, indent=2)
    return f"{CALL_BEGIN}function{SEPARATOR}{call.name}\n```json\n{arguments}\n```{CALL_END}"
