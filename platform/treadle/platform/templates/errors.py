"""What can go wrong with the gallery.

PlatformError
├── VersionExists          another text is published under this version
├── AlreadyNewest          there is nothing to go back from
├── TemplateInUse          an agent runs it
├── TemplateBundled        it comes with Treadle and cannot be deleted
└── NameMismatch           the text names another template than the path
"""

from collections.abc import Sequence
from http import HTTPStatus

from treadle.agents.errors import Issue
from treadle.platform.errors import Conflict, Unprocessable


class VersionExists(Conflict):
    """Another text is published under this version; versions never change."""

    code = "version_exists"

    def __init__(self, name: str, version: str, *, next_version: str) -> None:
        super().__init__(
            f"{name!r} {version} is published with another text;"
            f" the next free version is {next_version}"
        )
        self.next_version = next_version
        self.members = {"next_version": next_version}


class AlreadyNewest(Conflict):
    """The version to go back to is the newest."""

    code = "already_newest"

    def __init__(self, name: str, version: str) -> None:
        super().__init__(f"{name!r} {version} is the newest version already")


class TemplateInUse(Conflict):
    """Agents run it: they go first."""

    code = "template_in_use"

    def __init__(self, name: str, *, agents: Sequence[str]) -> None:
        shown = ", ".join(repr(agent) for agent in agents)
        super().__init__(f"template {name!r} is used by {shown}; delete these agents first")


class TemplateBundled(Conflict):
    """It comes with Treadle; a template of one's own under its name takes its place."""

    code = "template_bundled"

    def __init__(self, name: str) -> None:
        super().__init__(f"template {name!r} comes with Treadle and cannot be deleted")


class NameMismatch(Unprocessable):
    """The text names another template than the path does."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "name_mismatch"

    def __init__(self, *, in_path: str, in_text: str) -> None:
        message = f"the text names the template {in_text!r}, the path {in_path!r}"
        super().__init__(message, issues=[Issue("error", "name", None, None, message)])
