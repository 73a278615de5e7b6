"""POST /webhook: a receiver of signed webhooks, as careful as the standard asks.

https://github.com/standard-webhooks/standard-webhooks: the signature is checked, a timestamp
that is off by more than five minutes refused, and a webhook-id taken once.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime

from starlette.types import Receive, Scope, Send

from sandbox.errors import Injected, Refused
from sandbox.exchange import REPLAYED, answer, header, read_body
from sandbox.injection import Injector
from sandbox.providers import recipients
from sandbox.state import State
from sandbox.wire import as_key, as_object, parse_object

SECRET = "whsec_" + b64encode(b"leadflow sandbox webhooks").decode()
TOLERANCE_SECONDS = 300


class NotSigned(Refused):
    """The request does not come from whom it should, or not now."""

    status = 401
    title = "Not signed"


class WebhookRoutes:
    """The receiving endpoint."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._state = state
        self._injector = injector
        self._now = now

    async def receive(self, scope: Scope, receive: Receive, send: Send) -> None:
        """{"type", "data": a send}; the same webhook-id again is answered and not taken."""
        body, now = await read_body(receive), self._now()
        key = verified(scope, body, now)
        message = as_object(parse_object(body).get("data"), "`data`")
        spec = self._state.faults.pick("webhook", recipients(message))
        try:
            await self._injector.before(spec)
        except Injected:
            self._state.providers.count_attempt("webhook", key)
            raise
        entry, replayed = self._state.providers.accept("webhook", key, message, now)
        self._injector.after(spec)
        await answer(send, {"id": entry.id}, headers=REPLAYED if replayed else ())


def verified(scope: Scope, body: bytes, now: datetime) -> str:
    """The webhook-id of a request that is signed as it should be. Raises NotSigned."""
    key = as_key(header(scope, b"webhook-id"))
    sent_at = header(scope, b"webhook-timestamp") or ""
    given = (header(scope, b"webhook-signature") or "").split(" ")
    if key is None or not sent_at.isdigit():
        raise NotSigned("webhook-id and webhook-timestamp are needed")
    if abs(now.timestamp() - int(sent_at)) > TOLERANCE_SECONDS:
        raise NotSigned("webhook-timestamp is too far from now")
    secret = b64decode(SECRET.removeprefix("whsec_"))
    signed = b"%s.%s.%s" % (key.encode(), sent_at.encode(), body)
    wanted = "v1," + b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    if not any(hmac.compare_digest(wanted, each) for each in given):
        raise NotSigned("webhook-signature is wrong")
    return key
