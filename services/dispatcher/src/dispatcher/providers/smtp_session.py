"""One SMTP connection that carries mails one after the other (RFC 5321, RFC 2920)."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from typing import cast

import aiosmtplib

from dispatcher.providers.base import (
    BadAddress,
    Broken,
    Busy,
    NoAnswer,
    ProviderError,
    Rejected,
    SenderRefused,
    Unauthorized,
    Unreachable,
)
from dispatcher.providers.mime import Mail

# RFC 5321, 4.5.3.1.5 says 512; servers that write more are read all the same.
MAX_LINE_BYTES = 8_192
MAX_LINES = 100
LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)
# Enhanced status codes (RFC 3463, RFC 7505) by which an address is one for nobody.
NOBODY = re.compile(r"5\.1\.(?:1|2|3|6|10)\b")
TOO_LARGE = re.compile(r"5\.(?:2\.3|3\.4)\b")
# Words of RFC 4954, 6: sign in first, or as somebody else.
SIGN_IN = frozenset({530, 534, 535, 538})


class Session:
    """A connection that has been secured and signed in.

    `in_doubt` is set while a mail has been handed over whole and not been answered. `usable`
    says whether another mail may go over it, `carried` how many have.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, pipelining: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._pipelining = pipelining
        self._to_reset = False
        self._broken = False
        self.in_doubt = False
        self.carried = 0

    @classmethod
    def over(cls, client: aiosmtplib.SMTP) -> Session:
        """Take the connection over from the client that made it, which knows no pipelining."""
        transport = cast(asyncio.Transport, client.transport)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(MAX_LINE_BYTES, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return cls(reader, writer, pipelining=client.supports_extension("pipelining"))

    @property
    def usable(self) -> bool:
        return not (self._broken or self._reader.at_eof() or self._writer.is_closing())

    async def carry(self, mail: Mail) -> str:
        """Hand a mail over; returns what the server said. Raises ProviderError.

        MAIL, RCPT and DATA go out together where the server takes it. Up to the last line of
        the content nothing can have been accepted: a server that has seen no final dot must
        forget the mail (RFC 5321, 4.1.1.4).
        """
        self.in_doubt = False
        try:
            return await self._carry(mail)
        except ProviderError:
            raise
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            reason = f"smtp: {what_broke(error)}"
            raise NoAnswer(reason) if self.in_doubt else Unreachable(reason) from error
        finally:
            if self._broken:
                self.abort()

    async def _carry(self, mail: Mail) -> str:
        self._broken = True  # until the server and we agree again on where we are
        steps = {
            "RSET": b"RSET",
            "MAIL": b"MAIL FROM:<%s>" % mail.sender.encode("ascii"),
            "RCPT": b"RCPT TO:<%s>" % mail.recipient.encode("ascii"),
            "DATA": b"DATA",
        }
        if not self._to_reset:
            del steps["RSET"]
        self._to_reset = True
        commands = list(steps.values())
        answers = await (self._together(commands) if self._pipelining else self._in_turn(commands))
        for step, (code, text) in zip(steps, answers, strict=False):
            if code // 100 != (3 if step == "DATA" else 2):
                if answers[-1][0] == 354:
                    await self._together([b"."])  # nobody to deliver it to: refused as well
                self._broken = code == 421 or not 400 <= code < 600
                raise _refusal(step, code, text)
        self._writer.write(LEADING_DOT.sub(b"..", mail.content))
        if not mail.content.endswith(b"\r\n"):
            self._writer.write(b"\r\n")
        self.in_doubt = True
        code, text = (await self._together([b"."]))[0]
        if code == 421:
            raise Broken(f"smtp answered {code} to the mail")  # going away, perhaps with it
        self.in_doubt = self._broken = False
        if code // 100 != 2:
            raise _refusal("mail", code, text)
        self._to_reset = False
        self.carried += 1
        return f"{code} {text}"

    async def _in_turn(self, commands: list[bytes]) -> list[tuple[int, str]]:
        """The answers up to the first that is a no."""
        answers: list[tuple[int, str]] = []
        for command in commands:
            answers.extend(await self._together([command]))
            if answers[-1][0] >= 400:
                break
        return answers

    async def _together(self, commands: list[bytes]) -> list[tuple[int, str]]:
        self._writer.write(b"\r\n".join(commands) + b"\r\n")
        await self._writer.drain()
        return [await self._answer() for _ in commands]

    async def _answer(self) -> tuple[int, str]:
        lines = []
        for _ in range(MAX_LINES):
            line = await self._reader.readuntil(b"\n")
            lines.append(line[4:].decode("utf-8", "replace").strip())
            if line[3:4] != b"-":
                return int(line[:3]), " ".join(lines)
        raise ValueError("an answer without an end")

    def quit(self) -> None:
        """Say goodbye without waiting for the answer."""
        if self.usable:
            self._writer.write(b"QUIT\r\n")
        self._writer.close()

    def abort(self) -> None:
        """Close at once: how far the server thinks we are is unknown."""
        self._broken = True
        self._writer.transport.abort()


def what_broke(error: BaseException) -> str:
    """What became of a connection, for people."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ConnectionRefusedError():
            return "nobody listens there"
        case aiosmtplib.SMTPConnectError():
            pass  # what it came of says more
        case EOFError() | ConnectionError():
            return "the server closed the connection"
        case ssl.SSLError():
            return "the connection could not be secured"
        case socket.gaierror():
            return "there is no server of that name"
        case UnicodeError():
            return "an address that the server cannot be told"
        case ValueError() | asyncio.LimitOverrunError():
            return "the server answered what is no SMTP"
    cause = error.__cause__
    return what_broke(cause) if cause is not None else "there is no connection to the server"


def _refusal(step: str, code: int, text: str) -> ProviderError:
    """4yz says no for now, 5yz for good (RFC 5321, 4.2.1). The text may name people: left out."""
    reason = f"smtp answered {code} to the {step}"
    if 400 <= code < 500:
        return Busy(reason)
    if step == "RSET" or not 500 <= code < 600:
        return Broken(reason) if step == "mail" else Unreachable(reason)
    if code in SIGN_IN:
        return Unauthorized(reason)
    if step == "MAIL" and code != 552 and not TOO_LARGE.search(text):
        return SenderRefused(reason)
    if step == "RCPT" and NOBODY.search(text):
        return BadAddress(reason)
    return Rejected(reason)
