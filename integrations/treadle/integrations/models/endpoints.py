"""Which model endpoints there are: models.yaml, or one URL from the settings.

```yaml
deepseek-v3:
  url: https://api.deepseek.com/v1
  key: sk-…
  model: deepseek-chat
  price: {input: 0.27, cached: 0.07, output: 1.10}     # USD for a million tokens
  limits: {concurrency: 16, max_tokens: 8192}
  fallback: local
local: {url: "http://127.0.0.1:8000/v1", model: deepseek-v3}
```
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models.errors import BadModelsFile
from treadle.integrations.models.yaml_file import read_mapping

DEFAULT_ALIAS = "deepseek-v3"

AnswerFormat = Literal["json_schema", "json_object", "none"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Strict):
    """USD for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0, description="Default: the input price.")


class Limits(_Strict):
    """What an endpoint may be asked for."""

    concurrency: int | None = Field(
        default=None,
        ge=1,
        description="Calls at once, divided among the live workers; at least one each.",
    )
    max_tokens: int | None = Field(default=None, ge=1, description="Longest answer.")


class Endpoint(_Strict):
    """One OpenAI-compatible endpoint."""

    url: str = Field(description="Base URL; `/chat/completions` is appended.")
    model: str | None = Field(default=None, description="Its name there; default: the alias.")
    key: SecretStr | None = None
    price: Price | None = None
    limits: Limits = Limits()
    fallback: str | None = Field(default=None, description="Alias asked when this one fails.")
    images: bool = Field(default=True, description="Whether it takes images.")
    cache_key: bool = Field(
        default=False, description="Whether it takes `prompt_cache_key`; others may refuse it."
    )
    response_format: AnswerFormat = Field(
        default="json_schema", description="How it is told the schema of an answer."
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/")


@dataclass(frozen=True, slots=True)
class EndpointTable:
    """Endpoints by alias, in the order they were written."""

    endpoints: Mapping[str, Endpoint]

    def resolve(self, alias: str | None) -> tuple[str, Endpoint]:
        """The endpoint of an alias, `None` for the default; raises `ToolError`.

        `deepseek-v3` is the first endpoint if none has that name, so that templates run anywhere.
        """
        if not self.endpoints:
            raise ToolError(
                "no model endpoint is configured; set TREADLE_MODEL_URL or write models.yaml",
                error_class=ErrorClass.UPSTREAM,
                code="no_model_endpoint",
            )
        wanted = alias or DEFAULT_ALIAS
        if wanted in self.endpoints:
            return wanted, self.endpoints[wanted]
        if wanted == DEFAULT_ALIAS:
            return next(iter(self.endpoints.items()))
        raise ToolError(
            f"no model {wanted!r}; models.yaml has {', '.join(self.endpoints)}",
            error_class=ErrorClass.INVALID_INPUT,
            code="unknown_model",
        )

    def chain(self, alias: str | None) -> list[tuple[str, Endpoint]]:
        """The endpoint of an alias and its fallbacks, in the order they are asked."""
        found = [self.resolve(alias)]
        while (following := found[-1][1].fallback) is not None:
            found.append((following, self.endpoints[following]))
        return found

    def dearest(self, alias: str | None) -> Price | None:
        """The most that a call may cost, whoever of its chain answers; `None` without prices."""
        try:
            chain = self.chain(alias)
        except ToolError:
            return None
        prices = [endpoint.price for _, endpoint in chain if endpoint.price is not None]
        if not prices:
            return None
        return Price(
            input=max(max(price.input, price.cached or 0) for price in prices),
            output=max(price.output for price in prices),
        )


def load_endpoints(
    models_file: Path | None = None,
    *,
    url: str | None = None,
    key: SecretStr | None = None,
    name: str | None = None,
) -> EndpointTable:
    """Read models.yaml if it is there; the endpoint of the settings, if any, comes first.

    Raises `BadModelsFile` where either is wrong.
    """
    endpoints: dict[str, Endpoint] = {}
    if url is not None:
        alias = name or DEFAULT_ALIAS
        written = {"url": url, "key": key, "model": name}
        endpoints[alias] = _endpoint("TREADLE_MODEL_URL", alias, written)
    if models_file is not None and models_file.exists():
        source = str(models_file)
        for alias, entry in read_mapping(models_file).items():
            endpoints.setdefault(alias, _endpoint(source, alias, entry))
        _check_fallbacks(source, endpoints)
    return EndpointTable(endpoints)


def _endpoint(source: str, alias: str, entry: object) -> Endpoint:
    try:
        return Endpoint.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join([alias, *(str(part) for part in first["loc"])])
        raise BadModelsFile(
            source, f"{place}: {_reason(first['type'], first['loc'], first['msg'])}"
        ) from error


def _reason(kind: str, place: tuple[int | str, ...], message: str) -> str:
    if kind != "extra_forbidden":
        return message
    near = difflib.get_close_matches(str(place[-1]), list(Endpoint.model_fields), n=1)
    return f"unknown key; did you mean {near[0]!r}?" if near else "unknown key"


def _check_fallbacks(source: str, endpoints: Mapping[str, Endpoint]) -> None:
    for alias in endpoints:
        seen = [alias]
        while (following := endpoints[seen[-1]].fallback) is not None:
            if following not in endpoints:
                raise BadModelsFile(source, f"{seen[-1]}.fallback: no model {following!r}")
            if following in seen:
                circle = " → ".join([*seen, following])
                raise BadModelsFile(source, f"{alias}.fallback: runs in a circle: {circle}")
            seen.append(following)
