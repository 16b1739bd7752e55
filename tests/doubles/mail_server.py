"""An SMTP server that keeps what it is given; answers can be lost on purpose."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class MailSink:
    """Mail that arrived.

    Attributes:
        refused: Recipients that are refused.
        is_forgetful: Whether the answer to a whole mail is lost.
    """

    url: str = ""
    messages: list[EmailMessage] = field(default_factory=list[EmailMessage])
    refused: set[str] = field(default_factory=set[str])
    is_forgetful: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak with one client."""
        writer.write(b"220 sink\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line.split(" ", 1)[0].upper()
            if verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                await self._take(reader)
                if self.is_forgetful:
                    break
            writer.write(self._answer(verb, line))
            await writer.drain()
        writer.close()

    def _answer(self, verb: str, line: str) -> bytes:
        if verb == "RCPT" and any(f"<{one}>" in line for one in self.refused):
            return b"550 nobody here\r\n"
        return b"250 fine\r\n"

    async def _take(self, reader: asyncio.StreamReader) -> None:
        content = await reader.readuntil(b"\r\n.\r\n")
        parsed = message_from_bytes(content[:-3], policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        self.messages.append(parsed)


@asynccontextmanager
async def mail_sink() -> AsyncGenerator[MailSink]:
    """A server on a free port."""
    sink = MailSink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0)
    sink.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield sink
    server.close()
