"""The items that `/v1/responses` answers with, and the events that tell of them."""

from collections.abc import Sequence
from secrets import token_hex

from pydantic import JsonValue

from treadle.model_runtime.parse import (
    CallArguments,
    CallBegins,
    CallEnds,
    Content,
    Reasoning,
)
from treadle.model_runtime.parse import (
    Event as Parsed,
)

Event = dict[str, JsonValue]
# What an item's text is called in events and in its part, by the item's type.
TEXTS = {"message": "output_text", "reasoning": "reasoning_text"}


class Output:
    """One answer's items as they grow; what there is to tell is kept until it is taken."""

    def __init__(self) -> None:
        self._items: list[Event] = []
        self._open: Event | None = None
        self._text = ""
        self._told: list[Event] = []
        self._number = 0

    @property
    def items(self) -> list[JsonValue]:
        """What is whole."""
        return [item for item in self._items if item is not self._open]

    def told(self) -> list[Event]:
        """The events since the last call."""
        events, self._told = self._told, []
        return events

    def tell(self, name: str, **fields: JsonValue) -> None:
        """Add a numbered event."""
        self._told.append({"type": name, "sequence_number": self._number, **fields})
        self._number += 1

    def take(self, events: Sequence[Parsed]) -> None:
        """Read what the model said."""
        for item in events:
            match item:
                case Content():
                    self._write("message", item.text)
                case Reasoning():
                    self._write("reasoning", item.text)
                case CallBegins():
                    self._begin_call(item)
                case CallArguments():
                    self._text += item.text
                    self._tell_here("response.function_call_arguments.delta", delta=item.text)
                case CallEnds():
                    self._end(status="completed")

    def close(self, *, complete: bool) -> None:
        """End what is open; an answer without any item gets an empty message."""
        if not self._items and complete:
            self._begin_text("message")
        self._end(status="completed" if complete else "incomplete")

    def _write(self, kind: str, text: str) -> None:
        if self._open is None or self._open["type"] != kind:
            self._begin_text(kind)
        self._text += text
        told: Event = {"logprobs": []} if kind == "message" else {}
        self._tell_here(f"response.{TEXTS[kind]}.delta", content_index=0, delta=text, **told)

    def _begin_text(self, kind: str) -> None:
        spoken = kind == "message"
        own: Event = {"role": "assistant"} if spoken else {"summary": []}
        name = f"{'msg' if spoken else 'rs'}_{token_hex(12)}"
        self._begin({"id": name, "type": kind, "content": [], **own})
        self._tell_here("response.content_part.added", content_index=0, part=_part(kind, ""))

    def _begin_call(self, call: CallBegins) -> None:
        self._begin(
            {
                "id": f"fc_{token_hex(12)}",
                "type": "function_call",
                "call_id": call.id or f"call_{token_hex(12)}",
                "name": call.name,
                "arguments": "",
            }
        )

    def _begin(self, item: Event) -> None:
        self._end(status="completed")
        self._open = {**item, "status": "in_progress"}
        self._items.append(self._open)
        self._text = ""
        self.tell(
            "response.output_item.added", output_index=len(self._items) - 1, item={**self._open}
        )

    def _end(self, *, status: str) -> None:
        if (item := self._open) is None:
            return
        kind = str(item["type"])
        if kind in TEXTS:
            part = _part(kind, self._text)
            told: Event = {"logprobs": []} if kind == "message" else {}
            self._tell_here(
                f"response.{TEXTS[kind]}.done", content_index=0, text=self._text, **told
            )
            self._tell_here("response.content_part.done", content_index=0, part=part)
            item["content"] = [part]
        else:
            self._tell_here("response.function_call_arguments.done", arguments=self._text)
            item["arguments"] = self._text
        item["status"] = status
        self._open = None
        self.tell("response.output_item.done", output_index=len(self._items) - 1, item={**item})

    def _tell_here(self, name: str, **fields: JsonValue) -> None:
        """An event of the item that is open."""
        item_id = None if self._open is None else self._open["id"]
        self.tell(name, item_id=item_id, output_index=len(self._items) - 1, **fields)


def _part(kind: str, text: str) -> Event:
    own: Event = {"annotations": [], "logprobs": []} if kind == "message" else {}
    return {"type": TEXTS[kind], "text": text, **own}
