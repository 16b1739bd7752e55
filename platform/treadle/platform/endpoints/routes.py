"""`/v1/models`."""

import asyncio
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from treadle.integrations.models.endpoints import Endpoint, EndpointTable, load_endpoints
from treadle.platform.auth.callers import Caller
from treadle.platform.auth.scopes import Scope
from treadle.platform.pagination import Page
from treadle.platform.routing import Wired, api_router, needs
from treadle.platform.settings import Settings

router = api_router(tags=["models"])


class PriceView(BaseModel):
    """USD for a million tokens."""

    input: float
    output: float
    cached: float | None


class ModelView(BaseModel):
    """A model that templates may name by its alias."""

    alias: str
    model: str = Field(description="Its name at the endpoint.")
    host: str = Field(description="The endpoint's host and port.")
    price: PriceView | None
    is_default: bool
    fallback: str | None
    available: bool = Field(description="Whether its endpoint took a connection just now.")


def endpoint_table(settings: Settings) -> EndpointTable:
    """The endpoints that workers of these settings have."""
    return load_endpoints(
        settings.home / "models.yaml",
        url=settings.model_url,
        key=settings.model_api_key,
        name=settings.model_name,
    )


@router.get("/v1/models")
async def list_all(
    services: Wired, _: Annotated[Caller, needs(Scope.WORKSPACE_READ)]
) -> Page[ModelView]:
    """List the models that templates may name."""
    table = await asyncio.to_thread(endpoint_table, services.settings)
    default = table.resolve(None)[0] if table.endpoints else None
    found = table.endpoints.items()
    states = await asyncio.gather(*(services.availability.of(e.url) for _, e in found))
    items = [
        _show(alias, endpoint, is_default=alias == default, available=state)
        for (alias, endpoint), state in zip(found, states, strict=True)
    ]
    return Page[ModelView](items=items, next=None)


def _show(alias: str, endpoint: Endpoint, *, is_default: bool, available: bool) -> ModelView:
    parts = urlsplit(endpoint.url)
    host = parts.hostname or ""
    price = endpoint.price
    return ModelView(
        alias=alias,
        model=endpoint.model or alias,
        host=host if parts.port is None else f"{host}:{parts.port}",
        price=None if price is None else PriceView(**price.model_dump()),
        is_default=is_default,
        fallback=endpoint.fallback,
        available=available,
    )
