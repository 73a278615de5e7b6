"""E-mail over SMTP (RFC 5321), which knows no keys: a lost answer stays a doubt.

A connection is made, secured and signed in by aiosmtplib and then spoken over by
smtp_session.py, which sends the commands of a mail together where the server offers
PIPELINING. Connections stay open and are used again until they are old or have carried enough.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import aiosmtplib

from dispatcher.model import Accepted, Answer
from dispatcher.providers.base import (
    Around,
    Busy,
    NoAnswer,
    Outbound,
    Provider,
    ProviderError,
    Rejected,
    Unauthorized,
    Unreachable,
)
from dispatcher.providers.mime import Mail, mime_of
from dispatcher.providers.smtp_session import Session, what_broke
from leadflow.clock import Clock
from leadflow.errors import SettingError
from leadflow.settings import Environment
from rendering.cleaning import cleaned

TLS = ("starttls", "offered", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpAccount:
    """A server, and how we speak to it.

    `tls`: `starttls` demands it, `offered` takes it where it is offered, `off` never asks;
    a smtps URL is encrypted from the first byte. Certificates are checked, against the
    system's authorities or those in `ca_file`. Each loop that sends has so many `connections`;
    one carries at most `most_mails` and is used again within `idle_seconds`, which should be
    less than the server allows. `greeting` is the name that we give ourselves (EHLO).
    """

    host: str
    port: int
    implicit_tls: bool = False
    tls: str = "offered"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    greeting: str = "mail.leadflow.example"
    connections: int = 2
    most_mails: int = 100
    idle_seconds: float = 30.0

    @classmethod
    def read(cls, env: Environment, channel: str) -> Self:
        """Raises SettingError."""
        parts = urlsplit(env.url("SMTP_URL", "smtp://127.0.0.1:8025"))
        if parts.scheme not in ("smtp", "smtps") or parts.hostname is None:
            raise SettingError("LEADFLOW_SMTP_URL takes smtp://host:port or smtps://host:port")
        username = unquote(parts.username or "") or env.text("SMTP_USERNAME", "") or None
        password = unquote(parts.password or "") or env.text("SMTP_PASSWORD", "") or None
        if username is not None and password is None:
            raise SettingError("LEADFLOW_SMTP_PASSWORD is not set, and there is a user name")
        ca_file = env.text("SMTP_CA_FILE", "") or None
        if ca_file is not None and not Path(ca_file).is_file():
            raise SettingError("LEADFLOW_SMTP_CA_FILE names no file")
        implicit = parts.scheme == "smtps"
        tls = env.choice("SMTP_TLS", TLS, "offered" if username is None else "starttls")
        if username is not None and tls != "starttls" and not implicit:
            raise SettingError(
                "LEADFLOW_SMTP_TLS takes starttls where there is a password: "
                "it must not go over the wire for everybody to read"
            )
        return cls(
            host=parts.hostname,
            port=parts.port or (465 if implicit else 587 if tls == "starttls" else 25),
            implicit_tls=implicit,
            tls=tls,
            username=username,
            password=password,
            ca_file=ca_file,
            greeting=env.text("MAIL_DOMAIN", "mail.leadflow.example"),
            connections=env.integer("SMTP_CONNECTIONS", 2, at_least=1),
            most_mails=env.integer("SMTP_MAILS_PER_CONNECTION", 100, at_least=1),
            idle_seconds=env.number("SMTP_IDLE_SECONDS", 30.0),
        )

    def open(self, around: Around) -> Provider:
        return Smtp(self, around.clock, around.timeout_seconds)

    def tls_context(self) -> ssl.SSLContext:
        """What servers are checked by; it takes some milliseconds to read."""
        return ssl.create_default_context(cafile=self.ca_file)

    async def connect(self, context: ssl.SSLContext, timeout_seconds: float) -> Session:
        """A connection, secured and signed in. Raises ProviderError."""
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.implicit_tls,
            start_tls=False,  # below, so that each thing that can go wrong has its own name
            tls_context=context,
            timeout=timeout_seconds,
            local_hostname=self.greeting,
        )
        try:
            await client.connect()
            await client.ehlo()
            if self.tls != "off" and not self.implicit_tls:
                if client.supports_extension("starttls"):
                    await client.starttls()
                    await client.ehlo()
                elif self.tls == "starttls":
                    raise Unauthorized("smtp: the server offers no STARTTLS")
            if self.username is not None and self.password is not None:
                if not client.supported_auth_methods:
                    raise Unauthorized("smtp: the server offers no way to sign in")
                await client.login(self.username, self.password)
            return Session.over(client)
        except BaseException as error:
            client.close()
            if isinstance(error, (aiosmtplib.SMTPException, OSError)):
                raise _no_connection(error) from error
            raise


def _no_connection(error: BaseException) -> ProviderError:
    causes = (error, error.__cause__)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Unauthorized("smtp: the server's certificate is not to be trusted")
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        reason = f"smtp answered {error.code} to the login"
        # 454 is the server's trouble (RFC 4954, 6), the others are ours.
        return Busy(reason) if 400 <= error.code < 500 else Unauthorized(reason)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return Unreachable(f"smtp answered {error.code} to the connection")
    return Unreachable(f"smtp: {what_broke(error)}")


def _unwritable(error: ValueError | LookupError) -> str:
    """`mime_of` says in its own words what a mail cannot carry; they name nobody."""
    if isinstance(error, LookupError):
        return "the mail has no sender, receiver, subject or text"
    if isinstance(error, UnicodeError):
        return "a letter that a mail cannot carry"
    return cleaned(str(error))


class Smtp:
    """Several connections side by side, one message over one at a time."""

    name = "smtp"
    keyed = False
    key_seconds = 0.0
    batch = 1

    def __init__(self, account: SmtpAccount, clock: Clock, timeout_seconds: float) -> None:
        self.at_once = account.connections
        self._account = account
        self._context = account.tls_context()
        self._clock = clock
        self._timeout = timeout_seconds
        self._idle: list[tuple[float, Session]] = []
        self._places = asyncio.Semaphore(account.connections)

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        (message,) = messages
        try:
            mail = mime_of(message.content.send(), self._clock.now())
        except (ValueError, LookupError) as error:
            raise Rejected(f"smtp: {_unwritable(error)}") from error
        async with self._places:
            return [Accepted(provider_id=None, response=cleaned((await self._send(mail))[:1_000]))]

    async def _send(self, mail: Mail) -> str:
        session = self._kept()
        try:
            async with asyncio.timeout(self._timeout):
                if session is not None:
                    try:
                        return await session.carry(mail)
                    except (Unreachable, Busy):
                        if session.usable:
                            raise
                        # It was closed while nothing went over it, and nothing has now.
                session = await self._account.connect(self._context, self._timeout)
                return await session.carry(mail)
        except TimeoutError as error:
            if session is not None and session.in_doubt:
                raise NoAnswer("smtp: no answer in time") from error
            raise Unreachable("smtp: too slow") from error
        finally:
            if session is not None:
                self._keep(session)

    def _kept(self) -> Session | None:
        """The connection that was used last, if it can be used again."""
        while self._idle:
            since, session = self._idle.pop()
            if session.usable and self._clock.monotonic() - since < self._account.idle_seconds:
                return session
            session.quit()
        return None

    def _keep(self, session: Session) -> None:
        if session.usable and session.carried < self._account.most_mails:
            self._idle.append((self._clock.monotonic(), session))
        else:
            session.quit()

    async def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].quit()
