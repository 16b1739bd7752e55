"""What a connection looks like, going in and coming out."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints, model_validator

from treadle.integrations.egress.credentials import DEFAULT_HEADER, HostPattern, HttpCredential
from treadle.platform.routing import Body


def _require_host(text: str) -> str:
    HostPattern.parse(text.strip())
    return text.strip().lower()


Host = Annotated[str, AfterValidator(_require_host)]
ConnectionName = Annotated[
    str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)
]


class NewHttpConnection(Body):
    """A way into any HTTP API. The secret goes to the named hosts only, and never comes out."""

    type: Literal["http"]
    name: ConnectionName
    auth: Literal["bearer", "header", "basic"]
    secret: SecretStr = Field(
        min_length=1, max_length=8192, description="The token; for basic `user:password`."
    )
    hosts: list[Host] = Field(
        min_length=1, max_length=50, description="`api.example.com`, `10.0.0.5:8080`, `*.host`."
    )
    header: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        default=None, description="For `header`: its name, unless the secret is `Name: value`."
    )

    @model_validator(mode="after")
    def _check_auth(self) -> Self:
        if self.header is not None and self.auth != "header":
            raise ValueError("`header` goes with auth: header only")
        # The egress layer's own rules, so that what is stored can be used.
        HttpCredential(
            self.auth,
            self.secret.get_secret_value(),
            tuple(self.hosts),
            self.header or DEFAULT_HEADER,
        )
        return self


class HttpConfig(BaseModel):
    """What is stored of an http connection beside its secret."""

    auth: Literal["bearer", "header", "basic"]
    hosts: list[str]
    header: str | None


class ConnectionView(BaseModel):
    """A connection as it is shown."""

    id: str
    type: str
    name: str
    auth: str
    hosts: list[str]
    header: str | None
    created_at: datetime
