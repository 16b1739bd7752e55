"""The model client: one call over the OpenAI protocol, and structured answers."""

from treadle.integrations.models.calls import ChatRequest, Completion, Message, ModelClient, Tokens

__all__ = ["ChatRequest", "Completion", "Message", "ModelClient", "Tokens"]
