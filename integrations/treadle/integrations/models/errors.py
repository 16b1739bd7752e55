"""A models.yaml that cannot be used; the tree is in `treadle.integrations.errors`."""

from treadle.integrations.errors import IntegrationError


class BadModelsFile(IntegrationError, ValueError):
    """models.yaml has a mistake; the message names the file, the place and the mend."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
