"""What CRMs that speak HTTP share: connections, the room for calls, and statuses as errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

import httpx

from crm_sync.crm.base import (
    LONGEST_WAIT,
    CrmConflict,
    CrmError,
    CrmLimited,
    CrmMissing,
    CrmNever,
    CrmOdd,
    CrmSignIn,
    CrmSilent,
    CrmUnavailable,
)

# Asked before each single call. Raises CrmLimited where the account has no room for it: then the
# call is not made.
Gate: TypeAlias = Callable[[], Awaitable[None]]


# Statuses that say of every call what they say of one. A 403 may be about one person.
REFUSES_ALL = (401, 402, 407)
# With those of 3xx what an address says that is gone, moved or not what we take it for.
NOT_THE_CONTENT = frozenset({405, 406, 410, 415, 421, 426})
# So many calls in a row without an answer say it of those that wait for room too.
SILENT = 3
# In bytes: a hundred objects with all that people have written into them take a tenth of it.
LARGEST_ANSWER = 16 * 2**20
# What is encoded may be a thousand times as large once it is decoded.
AS_IT_IS = {"Accept-Encoding": "identity"}
LONGEST_ID = 255


async def open_gate() -> None:
    """The gate of an account without a budget."""


async def answered(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    what: str,
    seconds: float,
    *,
    reads: bool = True,
    **request: Any,
) -> httpx.Response:
    """The answer to a call that takes no longer than `seconds` as a whole, its last byte included.

    `client` asks for AS_IT_IS. Where nobody `reads` the answer, its content is left out, and may be
    anything. Raises CrmUnavailable for one that is encoded or larger than LARGEST_ANSWER, neither
    of which is read to its end; httpx.RequestError and TimeoutError without an answer.
    """
    async with asyncio.timeout(seconds), client.stream(method, path, **request) as response:
        headers = response.headers.copy()
        encoding = headers.pop("Content-Encoding", "identity")
        if reads and encoding.strip().lower() not in ("", "identity"):
            raise CrmUnavailable(f"{what}: the answer is encoded, which nobody asked for")
        content, size = bytearray(), 0
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        async for part in stream:
            size += len(part)
            if size > LARGEST_ANSWER:
                if not reads:
                    break
                raise CrmUnavailable(f"{what}: the answer is larger than {LARGEST_ANSWER} bytes")
            if reads:
                content += part
    return httpx.Response(
        response.status_code, headers=headers, content=bytes(content), request=response.request
    )


class Caller:
    """Calls to one account of a CRM at `url`; at most `at_once` at a time.

    `timeout_seconds` bounds a call as a whole; `reads` as in `answered`. `transport` replaces the
    network. When the account refuses our credential, or stays silent, calls that wait for room by
    then are not made; nor are they when the gate itself has failed.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx.BasicAuth | None = None,
        at_once: int = 4,
        reads: bool = True,
        gate: Gate = open_gate,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # The address is given in full: proxies of the environment are not meant for it.
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=timeout_seconds,
            headers={"User-Agent": "leadflow", **AS_IT_IS, **(headers or {})},
            auth=auth,
            transport=transport,
            trust_env=False,
            # Servers let go of idle connections after five seconds and more.
            limits=httpx.Limits(max_connections=at_once, keepalive_expiry=3.0),
        )
        self._timeout = timeout_seconds
        self._reads = reads
        self._room = asyncio.Semaphore(at_once)
        self._gate = gate
        self._silent = 0
        self._stops = 0
        self._why: Exception = CrmSilent("not called yet")

    async def call(self, method: str, path: str, what: str, **request: Any) -> httpx.Response:
        """The answer, whatever its status; `what` names the call in errors.

        Raises CrmUnavailable without an answer that can be read, and what the gate raises;
        CrmSignIn and CrmSilent where the call was not made because of others.
        """
        stops = self._stops
        async with self._room:
            self._go_on(stops)
            await self._ask_the_gate()
            self._go_on(stops)
            try:
                response = await answered(
                    self._client, method, path, what, self._timeout, reads=self._reads, **request
                )
            except (httpx.RequestError, TimeoutError) as error:
                self._silent += 1
                if self._silent >= SILENT:
                    self._stop(CrmSilent("not called: others got no answer"))
                raise CrmUnavailable(f"{what}: {type(error).__name__}") from error
        self._silent = 0
        if response.status_code in REFUSES_ALL:
            self._stop(CrmSignIn(f"not called: others got HTTP {response.status_code}"))
        return response

    async def _ask_the_gate(self) -> None:
        try:
            await self._gate()
        except CrmError:
            raise
        except Exception as error:
            # All that was asked for with it is asked for again: the less of it is made, the better.
            self._stop(error)
            raise

    def _stop(self, why: Exception) -> None:
        """Calls that were asked for before now and are not under way are not made."""
        self._stops += 1
        self._silent, self._why = 0, why

    def _go_on(self, stops: int) -> None:
        if stops != self._stops:
            why = self._why
            raise type(why)(str(why)) if isinstance(why, CrmError) else why

    async def close(self) -> None:
        await self._client.aclose()


def refusal(status: int, reason: str, wait: timedelta = timedelta(0)) -> CrmError:
    """The error that an HTTP status (RFC 9110, RFC 4918, RFC 6585, RFC 8470) stands for."""
    if status == 429:
        return CrmLimited(reason, wait)
    if status >= 500 or status in (408, 425):
        return CrmUnavailable(reason, wait)
    if status in (409, 423):
        return CrmConflict(reason, wait)
    if status in (401, 402, 403, 407) or status in NOT_THE_CONTENT or 300 <= status < 400:
        return CrmSignIn(reason)
    if status == 404:
        return CrmMissing(reason)
    return CrmNever(reason)


def retry_after(response: httpx.Response) -> timedelta:
    """How long to wait (RFC 9110, 10.2.3): seconds, or a date, measured by the answer's own Date.

    Zero where it is missing or makes no sense; at most LONGEST_WAIT.
    """
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        # Longer numbers are too much for a timedelta, and some for int.
        digits = value.lstrip("0") or "0"
        return (
            LONGEST_WAIT if len(digits) > 9 else min(timedelta(seconds=int(digits)), LONGEST_WAIT)
        )
    try:
        then = parsedate_to_datetime(value)
        now = parsedate_to_datetime(response.headers.get("Date", ""))
        return min(max(timedelta(0), then - now), LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):
        return timedelta(0)


def id_in(answer: Mapping[str, Any], what: str) -> str:
    """The id of what the answer is about. Raises CrmOdd where it has none that can be kept."""
    found = answer.get("id") if isinstance(answer, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not (isinstance(found, str) and found.isprintable() and 0 < len(found) <= LONGEST_ID):
        raise CrmOdd(f"{what}: the answer has no id")
    return found


def is_object(response: httpx.Response) -> bool:
    """Whether the answer is an object: an API's own refusals are, a proxy's or a firewall's not."""
    try:
        return bool(json_object(response, ""))
    except CrmUnavailable:
        return False


def json_object(response: httpx.Response, what: str) -> dict[str, Any]:
    """The answer as an object. Raises CrmUnavailable where it is none: nothing is known then."""
    try:
        value = response.json()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise CrmUnavailable(f"{what}: the answer is not a JSON object")
    return value
