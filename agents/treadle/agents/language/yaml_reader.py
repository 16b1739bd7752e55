"""YAML, the part of it that templates are written in.

Reads libyaml's stream of events and never its trees: composing crashes on deep nesting, while
events are counted as they come.
"""

import yaml
from yaml import events

from treadle.agents.language.document import Document, Spot
from treadle.agents.language.scalars import NotJson, read_plain
from treadle.agents.language.syntax import MAX_DEPTH, Builder, WrongSyntax


class YamlReader:
    """Reads one text."""

    def __init__(self, text: str) -> None:
        self._builder = Builder(text)
        self._text = text
        self._documents = 0

    def read(self) -> Document:
        """The document; raises `WrongSyntax`."""
        try:
            for event in yaml.parse(self._text, Loader=yaml.CSafeLoader):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            raise self._wrong(error) from None
        except yaml.YAMLError as error:
            raise WrongSyntax(Spot(1, 1), f"wrong YAML: {error}") from None
        if self._documents == 0:
            raise WrongSyntax(Spot(1, 1), "the text is empty; a template starts with `treadle: 1`")
        return self._builder.document

    def _take(self, event: yaml.Event) -> None:
        match event:
            case events.DocumentStartEvent():
                self._start_document(event)
            case events.AliasEvent():
                raise WrongSyntax(
                    _spot(event), f"aliases such as *{event.anchor} are not allowed",
                    path=self._builder.path, hint="Write the value again, or read it from a node.",
                    is_final=True,
                )  # fmt: skip
            case events.ScalarEvent():
                self._refuse_properties(event)
                self._scalar(event)
            case events.MappingStartEvent() | events.SequenceStartEvent():
                self._refuse_properties(event)
                self._start(event)
            case events.MappingEndEvent() | events.SequenceEndEvent():
                self._builder.end()
            case _:
                pass

    def _start_document(self, event: events.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "a template is one document; a second one starts here"
            raise WrongSyntax(_spot(event), message, is_final=True)
        if event.tags or event.version not in {None, (1, 2)}:
            raise WrongSyntax(_spot(event), "YAML directives are not allowed", is_final=True)

    def _refuse_properties(
        self, event: events.ScalarEvent | events.MappingStartEvent | events.SequenceStartEvent
    ) -> None:
        if event.anchor is not None:
            message = f"anchors such as &{event.anchor} are not allowed"
        elif event.tag is not None:
            message = f"tags such as {event.tag} are not allowed"
        else:
            return
        raise WrongSyntax(_spot(event), message, path=self._builder.path, is_final=True)

    def _start(self, event: events.MappingStartEvent | events.SequenceStartEvent) -> None:
        if self._builder.expects_key:
            raise WrongSyntax(
                _spot(event), "a key must be a text",
                hint="An expression in a plain value stands in quotes: \"${{ … }}\".",
            )  # fmt: skip
        self._builder.start({} if isinstance(event, events.MappingStartEvent) else [], _spot(event))

    def _scalar(self, event: events.ScalarEvent) -> None:
        spot = _spot(event)
        if "\0" in event.value:
            message = "the character U+0000 may not stand in a template"
            raise WrongSyntax(spot, message, path=self._builder.path, is_final=True)
        try:
            value = read_plain(event.value) if event.implicit[0] else event.value
        except NotJson as error:
            raise WrongSyntax(spot, str(error), path=self._builder.path, is_final=True) from None
        if not self._builder.expects_key:
            self._builder.scalar(value, spot)
        elif isinstance(value, str):
            self._builder.key(value, spot)
        else:
            message = f"a key must be a text, found {event.value or 'nothing'}"
            raise WrongSyntax(spot, message, hint="Quote the key.")

    def _wrong(self, error: yaml.MarkedYAMLError) -> WrongSyntax:
        mark = error.problem_mark or error.context_mark
        spot = Spot(1, 1) if mark is None else Spot(mark.line + 1, mark.column + 1)
        problem = error.problem or error.context or "it cannot be read"
        if "nesting depth" in problem:
            message = f"the template is nested deeper than {MAX_DEPTH} levels"
            return WrongSyntax(spot, message, is_final=True)
        lines = self._text.split("\n")
        line = lines[spot.line - 1] if spot.line <= len(lines) else ""
        return WrongSyntax(spot, f"wrong YAML: {problem}", hint=_hint(problem, line, spot))


def _spot(event: events.NodeEvent | events.DocumentStartEvent) -> Spot:
    mark = event.start_mark
    if mark is None:  # libyaml marks every event; its type does not say so
        return Spot(1, 1)
    style = event.style if isinstance(event, events.ScalarEvent) else None
    return Spot(mark.line + 1, mark.column + 1, style)


def _hint(problem: str, line: str, spot: Spot) -> str | None:
    if "\t" in line[: spot.column]:
        return "Indent with spaces, not with tabs."
    if "${" in line:
        return 'Inside { } and [ ] an expression stands in quotes: "${{ … }}".'
    if "mapping values" in problem:
        return "Quote a text that holds a colon and a space, or mend the indentation."
    if "cannot start any token" in problem:
        return "Quote a text that starts with @, ` or %."
    if "',' or" in problem:
        return "Close the [ or { that was opened before this place, or quote it."
    if "block mapping" in problem or "could not find expected ':'" in problem:
        return "Mend the indentation: keys of one mapping start in one column."
    return None
