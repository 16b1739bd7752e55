"""What the routes use, made once by `create_app`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.platform.approvals.tokens import WaitTokens
from treadle.platform.audit.witness import Witness
from treadle.platform.auth.callers import KeyRing
from treadle.platform.connections.vault import Vault
from treadle.platform.db.database import Database
from treadle.platform.endpoints.availability import Availability
from treadle.platform.idempotency.answers import AnswerSeal
from treadle.platform.metrics.exposition import Exposition
from treadle.platform.metrics.publisher import Publisher
from treadle.platform.settings import Settings
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.tracing.exporter import Exporter

if TYPE_CHECKING:  # it reads bodies, which routing declares, which needs this module
    from treadle.platform.runs.launch import Launcher
    from treadle.platform.runs.service import RunService


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one API process."""

    settings: Settings
    database: Database
    keys: KeyRing
    vault: Vault
    tokens: WaitTokens
    witness: Witness
    answers: AnswerSeal
    availability: Availability
    exposition: Exposition
    publisher: Publisher
    exporter: Exporter | None
    templates: TemplateLibrary
    runs: "RunService"
    launcher: "Launcher"
