"""The SMTP sink: takes every mail and lists it with what the providers accepted.

A mail that is taken is an entry, also where its key was taken before: RFC 5321 knows no
idempotency, and that is what a dispatcher over SMTP has to live with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox import mail
from sandbox.errors import ConnectionDropped, Full, Injected, Malformed
from sandbox.fault_rules import RuleSpec
from sandbox.injection import Injector
from sandbox.state import State
from sandbox.wire import MAX_BODY_BYTES

TAKEN = "250 2.0.0 accepted"
# RFC 3463 codes. A status of a rule is taken over only from a rule for smtp alone: that of
# one for everything is an HTTP status, and 503 means something else here.
_REFUSALS = {
    "fail": (451, "4.3.0"),
    "reject": (550, "5.7.1"),
    "rate_limit": (450, "4.7.1"),
}


class Sink:
    """The handler that aiosmtpd calls for each mail."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._state = state
        self._injector = injector
        self._now = now
        self._taking: set[asyncio.Task[str]] = set()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take the mail; returns the reply line. Raises ConnectionDropped for no reply at all."""
        # A peer that gives up during a stall has sent its mail all the same: take it.
        task = asyncio.create_task(self.take(envelope.rcpt_tos, envelope.original_content or b""))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)
        try:
            return await asyncio.shield(task)
        except ConnectionDropped:
            if server.transport is not None:
                # Not by isinstance: uvloop's transports do not derive from asyncio's.
                cast(asyncio.WriteTransport, server.transport).abort()
            # The reply goes nowhere; aiosmtpd only wants one.
            return TAKEN

    async def take(self, to: list[str], content: bytes) -> str:
        """Take a mail for these recipients; returns the reply line."""
        spec = None
        try:
            key, subject = mail.read_envelope(content)
            spec = self._state.faults.pick("smtp", to)
            try:
                await self._injector.before(spec)
            except Injected:
                if key is not None:
                    self._state.providers.count_attempt("smtp", key)
                raise
            self._state.providers.accept_mail(to, key, subject, content, self._now())
        except Injected as error:
            return _refusal(error, spec)
        except Malformed as error:
            return f"554 5.6.0 {error.detail}"
        except Full as error:
            return f"452 4.3.1 {error.detail}"
        self._injector.after(spec)
        return TAKEN


def _refusal(error: Injected, spec: RuleSpec | None) -> str:
    assert spec is not None
    code, enhanced = _REFUSALS[spec.mode]
    if spec.target == "smtp" and spec.status is not None:
        code, enhanced = spec.status, f"{spec.status // 100}{enhanced[1:]}"
    later = error.retry_after_seconds
    hint = "" if later is None else f", retry after {later} s"
    return f"{code} {enhanced} {error.detail}{hint}"


def protocol(sink: Sink, hostname: str) -> SMTP:
    """The protocol of one connection, in the running loop."""
    return SMTP(
        sink,
        data_size_limit=MAX_BODY_BYTES,
        enable_SMTPUTF8=True,
        hostname=hostname,
        ident="leadflow sandbox",
        loop=asyncio.get_running_loop(),
    )
