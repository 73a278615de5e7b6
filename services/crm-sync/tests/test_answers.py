"""How much of an answer is taken, and for how long: it is up to a tenant what its endpoint says."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from crm_sync.crm import http
from crm_sync.crm.base import ContactWrite, Crm, CrmUnavailable
from crm_sync.crm.followupboss import LEAD, FollowUpBossCrm
from crm_sync.crm.guarded import GuardedCrm
from crm_sync.crm.hubspot import HubSpotCrm
from crm_sync.crm.sandbox import SandboxCrm
from crm_sync.crm.webhook import WebhookCrm
from leadflow.clock import SystemClock

WRITE = ContactWrite("lead-1", "k-1", {"first_name": "Ada"})
PART = b" " * 2**16
KINDS = ["hubspot", "followupboss", "sandbox", "webhook"]


class Endpoint:
    """Answers 200 with what `parts` gives, bit by bit; `taken` bytes have been asked for."""

    def __init__(self, parts: Callable[[], AsyncIterator[bytes]], encoding: str = "") -> None:
        self.taken = 0
        self.requests: list[httpx.Request] = []
        self._parts = parts
        self._headers = {"Content-Encoding": encoding} if encoding else {}

    async def _counted(self) -> AsyncIterator[bytes]:
        async for part in self._parts():
            self.taken += len(part)
            yield part

    def crm(self, kind: str, seconds: float = 10) -> Crm:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return httpx.Response(200, headers=self._headers, content=self._counted())

        on = httpx.MockTransport(handle)
        return GuardedCrm(
            {
                "hubspot": lambda: HubSpotCrm("token", timeout_seconds=seconds, transport=on),
                "followupboss": lambda: FollowUpBossCrm(
                    "key", timeout_seconds=seconds, transport=on
                ),
                "sandbox": lambda: SandboxCrm("http://crm.test", seconds, on),
                "webhook": lambda: WebhookCrm(
                    "http://crm.test",
                    (b"x" * 32,),
                    SystemClock(),
                    timeout_seconds=seconds,
                    transport=on,
                ),
            }[kind]()
        )


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield PART


async def dripping() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.01)


async def packed() -> AsyncIterator[bytes]:
    yield gzip.compress(b'{"id":"1"}')


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_without_end_is_not_read_beyond_the_bound(kind: str) -> None:
    endpoint = Endpoint(endless)
    (answer,) = await endpoint.crm(kind).upsert([WRITE])
    assert endpoint.taken <= http.LARGEST_ANSWER + len(PART)
    if kind == "webhook":
        # Standard Webhooks: a 2xx says yes, whatever else it says.
        assert answer == "lead-1"
    else:
        assert type(answer) is CrmUnavailable
        assert str(answer).endswith("the answer is larger than 16777216 bytes")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_is_packed_though_nobody_asked_for_it_is_not_unpacked(
    kind: str,
) -> None:
    endpoint = Endpoint(packed, "gzip")
    (answer,) = await endpoint.crm(kind).upsert([WRITE])
    assert [each.headers["Accept-Encoding"] for each in endpoint.requests] == ["identity"]
    if kind == "webhook":
        assert answer == "lead-1"
    else:
        assert (type(answer), endpoint.taken) == (CrmUnavailable, 0)
        assert str(answer).endswith("the answer is encoded, which nobody asked for")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_comes_drop_by_drop_is_waited_for_as_long_as_any(kind: str) -> None:
    async with asyncio.timeout(5):
        (answer,) = await Endpoint(dripping).crm(kind, seconds=0.1).upsert([WRITE])
    assert type(answer) is CrmUnavailable
    assert str(answer).endswith("TimeoutError")


async def test_an_answer_as_large_as_may_be_is_read() -> None:
    people = json.dumps({"people": [{"id": 7, LEAD: "lead-1"}]}).encode()

    async def large() -> AsyncIterator[bytes]:
        yield people
        yield b" " * (http.LARGEST_ANSWER - len(people))

    assert (await Endpoint(large).crm("followupboss").read(["lead-1"])).keys() == {"lead-1"}
