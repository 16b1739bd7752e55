"""All settings of the service. Only this module reads the environment."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104 - compared with, not bound


class Settings(BaseSettings):
    """Read once at start from `TREADLE_…`; a bad value stops the start."""

    model_config = SettingsConfigDict(env_prefix="TREADLE_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".treadle"), description="Folder for all state.")
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8700, ge=1, le=65535, description="Port the API listens on.")
    database_url: str | None = Field(
        default=None, description="PostgreSQL URL; absent: the embedded server under HOME."
    )
    redis_url: str | None = Field(
        default=None, description="Redis or Valkey URL; absent: the embedded server under HOME."
    )
    api_url: str | None = Field(
        default=None,
        description="Service the command line talks to; absent: the one under HOME, else PORT.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="Its key for that; absent: the admin key under HOME."
    )
    model_url: str | None = Field(
        default=None,
        description="Base URL of an OpenAI-compatible endpoint; absent: the embedded runtime.",
    )
    model_api_key: SecretStr | None = Field(default=None, description="Key for MODEL_URL.")
    model_name: str | None = Field(default=None, description="Model asked for at MODEL_URL.")
    embedded_model: bool = Field(
        default=True,
        description="Whether `treadle up` starts the embedded model where no other is named.",
    )
    search_url: str | None = Field(
        default=None, description="Base URL of a SearXNG; `/search` is appended."
    )
    smtp_url: SecretStr | None = Field(default=None, description="smtp://user:pw@host:port.")
    google_client_id: str | None = Field(default=None, description="OAuth client of Google.")
    google_client_secret: SecretStr | None = Field(default=None, description="Its secret.")
    google_api_root: str | None = Field(
        default=None, description="Base URL of a Google emulator; absent: Google."
    )
    public_url: str | None = Field(
        default=None, description="URL under which people reach the service."
    )
    egress_allow: str = Field(
        default="",
        description="Comma list of host:port or CIDR that tools may reach although private.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="OpenTelemetry collector, OTLP over HTTP; `/v1/traces` is appended. "
        "Absent: no traces.",
    )
    keep_steps_days: int = Field(
        default=30,
        ge=0,
        description="Days that steps and events of a finished run are kept; 0: for ever.",
    )
    keep_runs_days: int = Field(
        default=90,
        ge=0,
        description="Days that a finished run and its artifacts are kept; 0: for ever.",
    )
    owner_email: str = Field(
        default="owner@localhost",
        description="Address of the first member of a workspace that is made without one.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Key that encrypts stored secrets; absent: made and kept under HOME.",
    )

    @property
    def url(self) -> str:
        """Where this machine reaches an API that has these settings."""
        host = "127.0.0.1" if self.host in _EVERYWHERE else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
