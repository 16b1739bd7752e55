"""What a connection looks like, going in and coming out."""

import re
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints, model_validator

from treadle.platform.routing import Body

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"


def _require_host(text: str) -> str:
    host = text.strip().lower()
    if not _HOST.fullmatch(host):
        raise ValueError("a host is a name or address, with a port if need be: api.example.com")
    return host


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
        min_length=1, max_length=8192, description="The token, or `user:password` for basic."
    )
    hosts: list[Host] = Field(min_length=1, max_length=50)
    header: Annotated[str, StringConstraints(pattern=_HEADER)] | None = Field(
        default=None, description="For `header`: its name; default X-Api-Key."
    )

    @model_validator(mode="after")
    def _check_auth(self) -> Self:
        secret = self.secret.get_secret_value()
        if self.header is not None and self.auth != "header":
            raise ValueError("`header` goes with auth: header only")
        if self.auth == "basic" and ":" not in secret:
            raise ValueError("the secret for auth: basic is user:password")
        if not secret.isprintable() or not secret.isascii():
            raise ValueError("a secret that travels in a header is printable ASCII")
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
