"""What the providers that speak HTTP share: connections that stay, and statuses as errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx

from dispatcher.model import Accepted
from dispatcher.providers.base import (
    Broken,
    Busy,
    KeyConflict,
    NoAnswer,
    ProviderError,
    Rejected,
    Unauthorized,
    Unreachable,
    busy,
)
from rendering.cleaning import cleaned

MAX_KEPT_CHARS = 1_000
# In bytes; a batch's answer takes a hundredth of it.
LARGEST_ANSWER = 16 * 2**20
# None of these is about the message: a wrong address, key or method is wrong for all of them.
NOT_THE_MESSAGE = frozenset({401, 402, 403, 404, 405, 407, 410, 415})


def http_client(timeout_seconds: float, connections: int = 32) -> httpx.AsyncClient:
    """A client that keeps its connections, for less long than servers do (uvicorn: 5 s)."""
    return httpx.AsyncClient(
        # A connection that is never made is known before the call's own time is over: nothing was
        # sent then, and nothing is in doubt.
        timeout=httpx.Timeout(
            timeout_seconds, connect=timeout_seconds / 2, pool=timeout_seconds / 4
        ),
        limits=httpx.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=3.0,
        ),
        headers={
            "Content-Type": "application/json",
            "User-Agent": "leadflow",
            # What is packed may be a thousand times as large once it is unpacked.
            "Accept-Encoding": "identity",
        },
        trust_env=False,
    )


class Caller:
    """POSTs of one provider. `name` stands in errors, so that people see who it was."""

    def __init__(self, name: str, client: httpx.AsyncClient, timeout_seconds: float) -> None:
        self.name = name
        self._client = client
        self._timeout = timeout_seconds

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer, whatever its status; without its content where that is larger than
        LARGEST_ANSWER. Raises Unreachable or NoAnswer."""
        call = self._client.stream("POST", url, content=body, headers=headers)
        try:
            # The client's own timeouts are for each read and write; this one is for the call.
            async with asyncio.timeout(self._timeout), call as response:
                return await _bounded(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"{self.name}: {type(error).__name__}") from error
        except (httpx.RequestError, TimeoutError) as error:
            raise NoAnswer(f"{self.name}: {type(error).__name__}") from error

    async def close(self) -> None:
        await self._client.aclose()


async def _bounded(response: httpx.Response) -> httpx.Response:
    content = bytearray()
    # What is left is let go of at once: a part may have been packed a thousandfold.
    parts = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
    async with aclosing(parts):
        async for part in parts:
            if len(content) + len(part) > LARGEST_ANSWER:
                content.clear()
                break
            content += part
    headers = response.headers.copy()
    headers.pop("Content-Encoding", None)
    return httpx.Response(
        response.status_code, headers=headers, content=bytes(content), request=response.request
    )


def refusal(
    name: str, status: int, wait_seconds: float | None = None, code: str = ""
) -> ProviderError:
    """The error that an HTTP status is (RFC 9110, section 15). `code` is the provider's own."""
    reason = f"{name} answered {status}" + (f" {cleaned(code)[:80]}" if code else "")
    if status == 429:
        return busy(reason, wait_seconds)
    if status in (408, 425, 503):
        return Busy(reason, wait_seconds)
    if status == 409:
        return KeyConflict(reason)
    if status >= 500:
        return Broken(reason, wait_seconds)
    if status in NOT_THE_MESSAGE or 300 <= status < 400:
        return Unauthorized(reason)
    return Rejected(reason)


def retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait (RFC 9110, 10.2.3): a number, or a date, measured by the answer's own Date.

    None where it is missing or makes no sense.
    """
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
        now = parsedate_to_datetime(response.headers.get("Date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):
        return None


def as_object(response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object; empty if it is none, for a 2xx says yes all the same."""
    try:
        data = response.json()
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def accepted(provider_id: Any, response: str) -> Accepted:
    """A yes, with what the provider said, fit for the ledger."""
    return Accepted(
        provider_id=cleaned(provider_id)[:200] or None if isinstance(provider_id, str) else None,
        response=cleaned(response[:MAX_KEPT_CHARS]),
    )
