"""What changed between two texts of a template: nodes, inputs and outputs by key, and lines."""

import difflib

from pydantic import BaseModel, Field, JsonValue

from treadle.agents.diff import Change, KeyChanges, compare_contents
from treadle.agents.language.loading import load
from treadle.platform.templates.library import Checked


class KeyChangesView(BaseModel):
    """Keys of one map; nodes inside containers by their whole path: `serp.hits`."""

    added: list[str]
    removed: list[str]
    changed: list[str]

    @classmethod
    def of(cls, changes: KeyChanges) -> "KeyChangesView":
        """As answers show it."""
        return cls(
            added=list(changes.added),
            removed=list(changes.removed),
            changed=list(changes.changed),
        )


class ChangeView(BaseModel):
    """One value that differs; null also stands for one that is not there."""

    path: str
    from_: JsonValue = Field(serialization_alias="from")
    to: JsonValue

    @classmethod
    def of(cls, change: Change) -> "ChangeView":
        """As answers show it."""
        return cls(path=change.path, from_=change.before, to=change.after)


class TemplateDiff(BaseModel):
    """From one version to another; `text` is a unified diff, the rest goes by meaning.

    Attributes:
        others: Further top-level keys that differ.
        changes: Each value that differs, by its path in the template.
    """

    name: str
    from_version: str
    to_version: str
    nodes: KeyChangesView
    inputs: KeyChangesView
    outputs: KeyChangesView
    others: list[str]
    changes: list[ChangeView]
    text: str


def compare(old: Checked, new: Checked) -> TemplateDiff:
    """Compare two texts of one template."""
    found = compare_contents(load(old.text).content, load(new.text).content)
    return TemplateDiff(
        name=new.template.name,
        from_version=old.template.version,
        to_version=new.template.version,
        nodes=KeyChangesView.of(found.nodes),
        inputs=KeyChangesView.of(found.inputs),
        outputs=KeyChangesView.of(found.outputs),
        others=list(found.others),
        changes=[ChangeView.of(change) for change in found.changes],
        text="".join(_lines(old, new)),
    )


def _lines(old: Checked, new: Checked) -> list[str]:
    lines = difflib.unified_diff(
        old.text.splitlines(keepends=True),
        new.text.splitlines(keepends=True),
        fromfile=old.template.version,
        tofile=new.template.version,
    )
    return list(lines)
