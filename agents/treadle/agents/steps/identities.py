"""What tools and requests are, for the key of a cached result."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from treadle.agents.steps.offers import Offer
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.models import ChatRequest
from treadle.integrations.registry import AnyTool


def identity_of_tool(turn: Turn, tool: AnyTool, connection: str | None) -> JsonObject:
    """A tool as it is declared, and the account it uses."""
    account = None if connection is None else turn.ports.tools.connection(connection)
    declared = {
        "parameters": tool.params.model_json_schema(by_alias=True),
        "result": tool.result.model_json_schema(by_alias=True, mode="serialization"),
    }
    text = json.dumps(declared, sort_keys=True)
    return {
        "tool": tool.name,
        "declared": hashlib.sha256(text.encode()).hexdigest(),
        "account": None if account is None else account.id,
    }


def identity_of_request(request: ChatRequest) -> JsonValue:
    """Everything a model is asked, and which model; not who asks."""
    asked = {name: value for name, value in asdict(request).items() if name != "cache_key"}
    identity: JsonValue = json.loads(json.dumps(asked))
    return identity


def identity_of_offers(turn: Turn, offers: Mapping[str, Offer]) -> JsonObject:
    """An agent's allow-list with the arguments the template gives."""
    return {
        name: {
            **identity_of_tool(turn, offer.tool, offer.connection),
            "approve": offer.needs_approval,
            "chosen": ", ".join(sorted(offer.chosen_by_model)),
            "fixed": {
                key: turn.evaluate(value, f"{offer.field}.with.{key}")
                for key, value in offer.fixed.items()
            },
        }
        for name, offer in offers.items()
    }
