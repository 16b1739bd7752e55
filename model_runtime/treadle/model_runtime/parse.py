"""From an answer's text to reasoning, content and tool calls, while it comes.

One automaton reads the text that has arrived so far and never looks at how it was cut into
pieces: it hands out all that cannot be the beginning of a marker, and keeps the rest. A call ends
where its end marker is, never where its JSON looks complete.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from treadle.model_runtime.transcript import overlap

BAR = "\N{FULLWIDTH VERTICAL LINE}"
THINK, END_THINK = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class CallFormat:
    """How a family writes tool calls: `begin name separator arguments end`, maybe enclosed.

    Attributes:
        opens: Begins the section of calls; models forget it, so a bare `begins` is taken too.
        separators: Any of them ends the name.
        ends: Any of them ends the arguments.
        closes: Ends the section.
        prefix: Stands before the name and is no part of it.
        between: Stands between two calls.
    """

    name: str
    opens: str
    begins: str
    separators: tuple[str, ...]
    ends: tuple[str, ...]
    closes: str
    prefix: str = ""
    between: str = ""

    @property
    def marked(self) -> bool:
        """Whether its markers are control tokens, which are written for nothing else."""
        return self.opens.startswith(("<|", f"<{BAR}"))


def _mark(name: str) -> str:
    """A control token of DeepSeek's, whose bars are fullwidth."""
    return f"<{BAR}{name}{BAR}>"


DEEPSEEK_V3 = CallFormat(
    name="deepseek_v3",
    opens=_mark("tool▁calls▁begin"),
    begins=_mark("tool▁call▁begin"),
    separators=("\n```json\n",),
    ends=(f"\n```{_mark('tool▁call▁end')}", _mark("tool▁call▁end")),
    closes=_mark("tool▁calls▁end"),
    prefix=f"function{_mark('tool▁sep')}",
    between="\n",
)
DEEPSEEK_V31 = CallFormat(
    name="deepseek_v31",
    opens=_mark("tool▁calls▁begin"),
    begins=_mark("tool▁call▁begin"),
    separators=(_mark("tool▁sep"),),
    ends=(_mark("tool▁call▁end"),),
    closes=_mark("tool▁calls▁end"),
)
KIMI_K2 = CallFormat(
    name="kimi_k2",
    opens="<|tool_calls_section_begin|>",
    begins="<|tool_call_begin|>",
    separators=("<|tool_call_argument_begin|>",),
    ends=("<|tool_call_end|>",),
    closes="<|tool_calls_section_end|>",
    prefix="functions.",
)
# Written as one JSON object; the templates of Qwen and many others teach it.
# It has no section: every call has its own pair of marks.
HERMES = CallFormat(
    name="hermes",
    opens="<tool_call>",
    begins='{"name": "',
    separators=('", "arguments": ',),
    ends=("}\n</tool_call>", "}</tool_call>"),
    closes="</tool_call>",
    between="\n<tool_call>\n",
)


def format_of(template: str) -> CallFormat | None:
    """The format that a chat template teaches."""
    if DEEPSEEK_V3.begins in template:
        return DEEPSEEK_V3 if "```json" in template else DEEPSEEK_V31
    found = (kind for kind in (KIMI_K2, HERMES) if kind.opens in template)
    return next(found, None)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thought."""

    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of what it says."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegins:
    """A call of the tool `name`; `id` is the model's own where its format has one."""

    index: int
    name: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class CallArguments:
    """A piece of a call's arguments, JSON text."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class CallEnds:
    """The call is complete."""

    index: int


Event = Reasoning | Content | CallBegins | CallArguments | CallEnds


class AnswerParser:
    """Reads one answer; `thinking` says that the prompt has opened the reasoning already."""

    def __init__(self, calls: CallFormat | None = None, *, thinking: bool = False) -> None:
        self._calls = calls
        self._text = ""
        self._last = False
        self._events: list[Event] = []
        self._index = -1
        # The state is the method that reads next; it says whether another one can go on.
        self._state: Callable[[], bool] = self._reasoning if thinking else self._start

    @property
    def reasoning(self) -> bool:
        """Whether what comes next is still the reasoning."""
        return self._state == self._reasoning

    def feed(self, text: str) -> list[Event]:
        """What is certain after this piece."""
        self._text += text
        while self._text and self._state():
            pass
        events, self._events = self._events, []
        return events

    def finish(self) -> list[Event]:
        """What was held back; a call that was cut off gets no `CallEnds`."""
        self._last = True
        return self.feed("")

    def _start(self) -> bool:
        """The answer may open its own reasoning, after blanks."""
        stripped = self._text.lstrip()
        if stripped.startswith(THINK):
            self._text, self._state = stripped[len(THINK) :], self._reasoning
        elif THINK.startswith(stripped) and not self._last:
            return False
        else:
            self._state = self._content
        return True

    def _reasoning(self) -> bool:
        """Until its end, or until a call begins whose marker cannot be a mere mention."""
        calls = self._calls
        begun = (calls.opens,) if calls is not None and calls.marked else ()
        before, marker = self._take((END_THINK, *begun))
        self._tell(Reasoning(before), before)
        if marker is not None:
            self._state = self._answer if marker == END_THINK else self._between
        return marker is not None

    def _answer(self) -> bool:
        """Blank lines between reasoning and answer belong to neither."""
        self._text = self._text.lstrip("\n")
        self._state = self._content if self._text else self._answer
        return True

    def _content(self) -> bool:
        calls = self._calls
        if calls is None:
            begun: tuple[str, ...] = ()
        else:
            begun = (calls.opens, calls.begins) if calls.marked else (calls.opens,)
        before, marker = self._take(begun)
        self._tell(Content(before), before)
        if calls is not None and marker is not None:
            self._state = self._between if marker == calls.opens else self._name
        return marker is not None

    def _between(self) -> bool:
        """Inside the section of calls; what stands between them is dropped."""
        calls = self._format()
        _, marker = self._take((calls.begins, calls.closes))
        if marker is not None:
            self._state = self._name if marker == calls.begins else self._content
        return marker is not None

    def _name(self) -> bool:
        """Told when it is whole."""
        calls = self._format()
        place, marker = _first(self._text, calls.separators)
        if marker is None:
            return False
        stated = self._text[:place].strip()
        self._text = self._text[place + len(marker) :]
        self._index += 1
        name, _, number = stated.removeprefix(calls.prefix).partition(":")
        self._events.append(CallBegins(self._index, name, stated if number else None))
        self._state = self._arguments
        return True

    def _arguments(self) -> bool:
        before, marker = self._take(self._format().ends)
        self._tell(CallArguments(self._index, before), before)
        if marker is not None:
            self._events.append(CallEnds(self._index))
            self._state = self._between
        return marker is not None

    def _format(self) -> CallFormat:
        assert self._calls is not None  # noqa: S101 - only its markers lead into calls
        return self._calls

    def _tell(self, event: Event, text: str) -> None:
        if text:
            self._events.append(event)

    def _take(self, markers: Sequence[str]) -> tuple[str, str | None]:
        """The text before the first marker, and the marker; both are taken off.

        Without a marker, all but an end that could begin one.
        """
        place, marker = _first(self._text, markers)
        if marker is not None:
            before, self._text = self._text[:place], self._text[place + len(marker) :]
            return before, marker
        held = 0 if self._last else max((overlap(self._text, item) for item in markers), default=0)
        end = len(self._text) - held
        before, self._text = self._text[:end], self._text[end:]
        return before, None


def _first(text: str, markers: Sequence[str]) -> tuple[int, str | None]:
    """The place of the first marker, and which one it is; the longer of two at one place."""
    found = [(place, -len(item), item) for item in markers if (place := text.find(item)) >= 0]
    if not found:
        return -1, None
    place, _, marker = min(found)
    return place, marker
