"""Answers as a client reads them."""

from pydantic import BaseModel, JsonValue


class Message(BaseModel):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[JsonValue] = []


class Choice(BaseModel):
    index: int
    message: Message
    finish_reason: str


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    prompt_cache_hit_tokens: int
    prompt_cache_miss_tokens: int
    completion_tokens_details: dict[str, int]


class Answer(BaseModel):
    id: str
    object: str
    model: str
    choices: list[Choice]
    usage: Usage

    @property
    def texts(self) -> list[str | None]:
        return [choice.message.content for choice in self.choices]


class PartChoice(BaseModel):
    index: int
    delta: dict[str, JsonValue]
    finish_reason: str | None


class Part(BaseModel):
    id: str
    choices: list[PartChoice]
    usage: Usage | None = None
