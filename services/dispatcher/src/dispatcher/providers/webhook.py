"""Whoever takes part in Standard Webhooks (https://www.standardwebhooks.com) sends for us.

The id of the webhook is that of the message, the same at every attempt: by the standard it is
what the receiver tells a repeat by. One who does not must be declared with
LEADFLOW_WEBHOOK_KEYED=no; then what is in doubt is never sent again.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import httpx

from dispatcher.model import Answer
from dispatcher.providers.base import KEY_SECONDS, Around, Broken, Outbound, Provider
from dispatcher.providers.http import (
    Caller,
    accepted,
    as_object,
    http_client,
    refusal,
    retry_after,
)
from leadflow.clock import Clock
from leadflow.errors import SettingError
from leadflow.settings import Environment

PREFIX = "whsec_"
# The standard's own bounds for a secret, in bytes.
SHORTEST_SECRET, LONGEST_SECRET = 24, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAccount:
    """Where to, and the secrets to sign with: several while one takes the place of another."""

    channel: str
    url: str
    secrets: tuple[bytes, ...] = field(repr=False)
    keyed: bool = True

    @classmethod
    def read(cls, env: Environment, channel: str) -> Self:
        """Raises SettingError."""
        return cls(
            channel=channel,
            url=env.url("WEBHOOK_URL"),
            secrets=tuple(map(_secret, env.text("WEBHOOK_SECRET").split())),
            keyed=env.choice("WEBHOOK_KEYED", ("yes", "no"), "yes") == "yes",
        )

    def open(self, around: Around) -> Provider:
        timeout = around.timeout_seconds
        return Webhook(self, http_client(timeout), around.clock, timeout)


class Webhook:
    """POST {"type": "message.CHANNEL", "data": the send with its message_id}."""

    batch = 1
    at_once = 16

    def __init__(
        self,
        account: WebhookAccount,
        client: httpx.AsyncClient,
        clock: Clock,
        timeout_seconds: float,
    ) -> None:
        self.name = f"webhook-{account.channel}"
        self.keyed = account.keyed
        self.key_seconds = KEY_SECONDS if account.keyed else 0.0
        self._account = account
        self._caller = Caller(self.name, client, timeout_seconds)
        self._clock = clock

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        (message,) = messages
        body = b'{"type":"message.%s","data":{"message_id":%s,%s}' % (
            self._account.channel.encode(),
            json.dumps(message.message_id).encode(),
            message.content.payload[1:],
        )
        at = int(self._clock.now().timestamp())
        headers = {
            "webhook-id": message.message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(
                signature(secret, message.message_id, at, body) for secret in self._account.secrets
            ),
        }
        response = await self._caller.post(self._account.url, body, headers)
        if response.is_success:
            return [accepted(as_object(response).get("id"), response.text)]
        status = response.status_code
        if not self.keyed and status in (408, 503):
            raise Broken(f"{self.name} answered {status}", retry_after(response))
        raise refusal(self.name, status, retry_after(response))

    async def close(self) -> None:
        await self._caller.close()


def signature(secret: bytes, webhook_id: str, at: int, body: bytes) -> str:
    """Version 1: HMAC-SHA256 over id, seconds since 1970 and body, joined by dots."""
    signed = b"%s.%d.%s" % (webhook_id.encode(), at, body)
    return "v1," + b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def _secret(written: str) -> bytes:
    try:
        secret = b64decode(written.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise SettingError(
            f"LEADFLOW_WEBHOOK_SECRET takes {PREFIX} and {SHORTEST_SECRET} to {LONGEST_SECRET} "
            "bytes in base64"
        )
    return secret
