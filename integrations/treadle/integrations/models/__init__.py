"""The model client: one call over the OpenAI protocol, and structured answers.

`load_endpoints` reads who is there, `OpenAIModelClient` asks, `parse_value` and `repair_messages`
turn a text into a checked value.
"""

from treadle.integrations.models.calls import (
    ChatRequest,
    Completion,
    Message,
    ModelClient,
    Tokens,
    ToolCall,
    ToolSpec,
)

__all__ = [
    "ChatRequest",
    "Completion",
    "Message",
    "ModelClient",
    "Tokens",
    "ToolCall",
    "ToolSpec",
]
