"""E-mail over SMTP (RFC 5321), which knows no keys: a lost answer stays a doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from typing import Any
from urllib.parse import urlsplit

import aiosmtplib

from dispatcher.model import Accepted, Answer
from dispatcher.providers.base import (
    Broken,
    Busy,
    NoAnswer,
    Outbound,
    ProviderError,
    Rejected,
    Unreachable,
)
from dispatcher.templates import cleaned


class Smtp:
    """One connection, kept open; messages go over it one after the other.

    One message is claimed at a time: what is claimed when the process dies is in doubt.
    """

    name = "smtp"
    keyed = False
    batch = 1
    at_once = 1

    def __init__(self, url: str, timeout_seconds: float) -> None:
        parts = urlsplit(url)
        self._timeout = timeout_seconds
        self._client = aiosmtplib.SMTP(
            hostname=parts.hostname or "127.0.0.1",
            port=parts.port or (465 if parts.scheme == "smtps" else 25),
            username=parts.username,
            password=parts.password,
            use_tls=parts.scheme == "smtps",
            # STARTTLS where the server offers it, and only then.
            start_tls=None,
            timeout=timeout_seconds,
            local_hostname="leadflow.localdomain",
        )

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        (message,) = messages
        try:
            mail = mime_of(message.content.send())
            mail.recipient.encode("ascii")
        except (ValueError, LookupError) as error:
            # RFC 6531 addresses take a server with SMTPUTF8, which not every one on the way is.
            raise Rejected(f"smtp: {type(error).__name__}") from error
        content_sent = False
        try:
            async with asyncio.timeout(self._timeout):
                if not self._client.is_connected:
                    await self._client.connect()
                await self._client.mail(mail.sender)
                await self._client.rcpt(mail.recipient)
                content_sent = True
                answer = await self._client.data(mail.content)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            self._client.close()  # how far the server thinks we are is unknown: start afresh
            raise _refusal(error, content_sent=content_sent) from error
        return [Accepted(provider_id=None, response=cleaned(answer.message[:1_000]))]

    async def close(self) -> None:
        if self._client.is_connected:
            try:
                await self._client.quit(timeout=1)
            except (aiosmtplib.SMTPException, OSError, TimeoutError):
                self._client.close()


def _refusal(error: BaseException, *, content_sent: bool) -> ProviderError:
    """4yz says no for now, 5yz for good (RFC 5321, 4.2.1); silence says nothing."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        reason = f"smtp answered {error.code}"
        if error.code == 421 and content_sent:
            return Broken(reason)  # the server is going away, perhaps after accepting
        return Rejected(reason) if 500 <= error.code < 600 else Busy(reason)
    reason = f"smtp: {type(error).__name__}"
    return NoAnswer(reason) if content_sent else Unreachable(reason)


class Mail:
    """Envelope and content of a mail."""

    __slots__ = ("content", "recipient", "sender")

    def __init__(self, sender: str, recipient: str, content: bytes) -> None:
        self.sender = sender
        self.recipient = recipient
        self.content = content


def mime_of(send: dict[str, Any]) -> Mail:
    """The same send gives the same bytes: the boundary follows from the message's id."""
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = send["from"]
    mail["To"] = send["to"]
    mail["Subject"] = send["subject"]
    for name, value in send["headers"].items():
        mail[name] = value
    mail["MIME-Version"] = "1.0"
    mail.set_content(send["text"])
    mail.add_alternative(send["html"], subtype="html")
    mail.set_boundary(f"=_{send['headers']['X-Leadflow-Message-Id']}")
    sender = mail["From"].addresses[0]
    return Mail(f"{sender.username}@{sender.domain}", send["to"], mail.as_bytes())
