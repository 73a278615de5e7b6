"""Providers with an HTTP API and `Idempotency-Key`: SMS, WhatsApp, and e-mail's single call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from dispatcher.model import Accepted, Answer
from dispatcher.providers.base import (
    Broken,
    Busy,
    KeyConflict,
    NoAnswer,
    Outbound,
    ProviderError,
    Rejected,
    Unreachable,
)
from dispatcher.templates import cleaned

MAX_KEPT_CHARS = 1_000


def http_client(timeout_seconds: float, connections: int = 32) -> httpx.AsyncClient:
    """A client that keeps its connections, for less long than servers do (uvicorn: 5 s)."""
    return httpx.AsyncClient(
        timeout=timeout_seconds,
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=3.0,
        ),
        headers={"Content-Type": "application/json"},
        trust_env=False,
    )


class HttpApi:
    """POST {url} with the payload as kept, one message a call."""

    keyed = True
    batch = 1
    at_once = 16

    def __init__(
        self, name: str, url: str, client: httpx.AsyncClient, timeout_seconds: float
    ) -> None:
        self.name = name
        self.url = url
        self._client = client
        self._timeout = timeout_seconds

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        (message,) = messages
        response = await self.post(
            self.url, message.content.payload, {"Idempotency-Key": message.message_id}
        )
        return [accepted(as_object(response).get("id"), response.text)]

    async def post(
        self, url: str, body: bytes, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """The answer if it is a 2xx. Raises ProviderError."""
        try:
            # The client's own timeouts are for each read and write; this one is for the call.
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(url, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"{self.name}: {type(error).__name__}") from error
        except (httpx.RequestError, TimeoutError) as error:
            raise NoAnswer(f"{self.name}: {type(error).__name__}") from error
        if not response.is_success:
            raise refusal(self.name, response.status_code, retry_after(response))
        return response

    async def close(self) -> None:
        await self._client.aclose()


def refusal(name: str, status: int, wait_seconds: float | None = None) -> ProviderError:
    """The error that an HTTP status is (RFC 9110, section 15)."""
    reason = f"{name} answered {status}"
    if status in (408, 425, 429, 503):
        return Busy(reason, wait_seconds)
    if status == 409:
        return KeyConflict(reason)
    if status >= 500:
        return Broken(reason, wait_seconds)
    return Rejected(reason)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds; the date form of Retry-After is passed over."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def as_object(response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object; empty if it is none, for a 2xx says yes all the same."""
    try:
        data = response.json()
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def accepted(provider_id: Any, response: str) -> Accepted:
    """A yes, with what the provider said, fit for the ledger."""
    return Accepted(
        provider_id=cleaned(provider_id)[:200] or None if isinstance(provider_id, str) else None,
        response=cleaned(response[:MAX_KEPT_CHARS]),
    )
