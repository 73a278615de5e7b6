"""Signed changes over the portal's HTTP and Kafka: true, told twice, forged, stale, sent elsewhere.

What was truly signed is known; nothing else may be seen in crm-notices, and all of it has to be.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from leadflow.codec import Codec
from leadflow.records import CrmNoticed
from portal_api.webhooks.signatures import (
    follow_up_boss_signature,
    hubspot_signature,
    standard_key,
    standard_signature,
)

from ..reading import read_all

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

CLIENT_SECRET = "f1a2b3c4-0000-4000-8000-9a8b7c6d5e4f"
SYSTEM_KEY = "560270f7914b5b4a5f4dc1793ebc2796"
STANDARD = "whsec_" + "C" * 32

# A notice as it is to be seen: provider, object, CRM's id, its changes.
Seen = tuple[str, str, str, frozenset[tuple[str, str | None]]]


@dataclass(frozen=True)
class Request:
    path: str
    body: bytes
    headers: dict[str, str]
    answer: int = 204
    seen: frozenset[Seen] = field(default_factory=frozenset)


class Teller:
    """Makes requests as the CRMs of a tenant would, and as forgers would."""

    def __init__(self, chance: random.Random, url: str, tenant: str) -> None:
        self._chance = chance
        self._url = url
        self._tenant = tenant
        self._numbers = iter(range(1, 1_000_000))

    def true(self) -> Request:
        make = (self._hubspot, self._follow_up_boss, self._generic)
        return self._chance.choice(make)()

    def _hubspot(self) -> Request:
        seen, events = set(), []
        for _ in range(self._chance.randint(1, 4)):
            kind, number = self._chance.choice(("contact", "deal")), next(self._numbers)
            changes = dict.fromkeys(("phone", "hubspot_owner_id"), f"value {number}")
            events += [
                {
                    "eventId": self._chance.getrandbits(40),
                    "subscriptionType": f"{kind}.propertyChange",
                    "objectId": number,
                    "propertyName": name,
                    "propertyValue": value,
                    "occurredAt": int(datetime.now(UTC).timestamp() * 1_000),
                }
                for name, value in changes.items()
            ]
            seen.add(("hubspot", kind, str(number), frozenset(changes.items())))
        body = json.dumps(events).encode()
        return self._signed_by_hubspot(body, frozenset(seen))

    def _signed_by_hubspot(self, body: bytes, seen: frozenset[Seen], seconds: float = 0) -> Request:
        path = f"/webhooks/crm/hubspot/{self._tenant}"
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        timestamp = str(int(at.timestamp() * 1_000))
        signature = hubspot_signature(CLIENT_SECRET, "POST", self._url + path, body, timestamp)
        headers = {
            "x-hubspot-signature-v3": signature,
            "x-hubspot-request-timestamp": timestamp,
        }
        return Request(path, body, headers, seen=seen)

    def _follow_up_boss(self) -> Request:
        people = [next(self._numbers) for _ in range(self._chance.randint(1, 5))]
        body = json.dumps(
            {
                "eventId": f"{self._chance.getrandbits(64):x}",
                "eventCreated": datetime.now(UTC).isoformat(),
                "event": "peopleStageUpdated",
                "resourceIds": people,
                "data": {"stage": "Nurture"},
            }
        ).encode()
        stage = frozenset({("stage", "Nurture")})
        return Request(
            f"/webhooks/crm/followupboss/{self._tenant}",
            body,
            {"fub-signature": follow_up_boss_signature(SYSTEM_KEY, body)},
            seen=frozenset(("followupboss", "contact", str(each), stage) for each in people),
        )

    def _generic(self) -> Request:
        provider, lead = self._chance.choice(("webhook", "sandbox")), f"lead-{next(self._numbers)}"
        told = {
            "type": "contact.changed",
            "timestamp": datetime.now(UTC).isoformat(),
            "data": {"external_id": lead, "changes": [{"name": "company", "value": None}]},
        }
        body, webhook_id = json.dumps(told).encode(), f"msg_{self._chance.getrandbits(64):x}"
        timestamp = str(int(datetime.now(UTC).timestamp()))
        signature = standard_signature(standard_key(STANDARD), webhook_id, timestamp, body)
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature,
        }
        seen = frozenset({(provider, "contact", lead, frozenset({("company", None)}))})
        return Request(f"/webhooks/crm/{provider}/{self._tenant}", body, headers, seen=seen)

    def stale(self, request: Request) -> Request:
        """Signed well, more than five minutes ago or ahead; a body of HubSpot's in any case."""
        away = self._chance.choice((-301, -3_600, 310, 3_600))
        late = self._signed_by_hubspot(request.body, frozenset(), away)
        return replace(late, answer=403)

    def broken(self, request: Request, rival: str) -> Request:
        """The same with a signature that does not hold."""
        headers, body, path = dict(request.headers), request.body, request.path
        signature = next(name for name in headers if "signature" in name)
        match self._chance.randrange(4):
            case 0:
                body = body[:-1] + b" " + body[-1:]
            case 1:
                headers[signature] = "v1," + "A" * 43 + "="
            case 2 if "hubspot" in path:
                path = path.replace(self._tenant, rival)
            case 3 if "hubspot" in path or "webhook-id" in headers:
                late = next(name for name in headers if "timestamp" in name)
                headers[late] = str(int(headers[late]) - 1)
            case _:
                headers.pop(signature)
        return Request(path, body, headers, 403)


@pytest.fixture(scope="module")
def signing(portal: Any) -> Any:
    """A portal that knows the CRMs' secrets."""
    portal.kill()
    portal.environment.update(
        {
            "LEADFLOW_WEBHOOK_SECRET_HUBSPOT": f"an-older-client-secret,{CLIENT_SECRET}",
            "LEADFLOW_WEBHOOK_SECRET_FOLLOWUPBOSS": SYSTEM_KEY,
            "LEADFLOW_WEBHOOK_SECRET_STANDARD": STANDARD,
        }
    )
    portal.start()
    return portal


async def post(url: str, requests: Sequence[Request]) -> None:
    """All of them, sixteen at a time; each answered as it must be."""
    at_once = asyncio.Semaphore(16)
    # Connections are kept for less long than servers do (uvicorn: 5 s).
    kept = httpx.Limits(keepalive_expiry=3)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30, limits=kept) as client:

        async def one(request: Request) -> None:
            async with at_once:
                answer = await client.post(
                    request.path, content=request.body, headers=request.headers
                )
            assert answer.status_code == request.answer, (request, answer.text)

        await asyncio.gather(*map(one, requests))


def noticed(bootstrap: str, tenants: set[str]) -> list[CrmNoticed]:
    codec = Codec()
    found = []
    for message in read_all(bootstrap, "crm-notices"):
        record = codec.decode(message.value() or b"")
        assert isinstance(record, CrmNoticed)
        if record.tenant_id in tenants:
            key = f"{record.tenant_id}:{record.provider}:{record.crm_id}"
            assert message.key() == key.encode()
            found.append(record)
    return found


def test_nothing_is_noticed_but_what_was_truly_signed_and_all_of_it_is(signing: Any) -> None:
    chance = random.Random(29)
    tenant, rival = (each.tenant_id for each in signing.tenants)
    teller = Teller(chance, signing.url, tenant)
    true = [teller.true() for _ in range(150)]
    again = chance.sample(true, 60)
    forged = [teller.broken(chance.choice(true), rival) for _ in range(100)]
    stale = [teller.stale(chance.choice(true)) for _ in range(40)]
    requests = [*true, *again, *forged, *stale]
    chance.shuffle(requests)
    begun = datetime.now(UTC)
    asyncio.run(post(signing.url, requests))
    found = noticed(signing.bootstrap, {tenant, rival})
    seen = {
        (
            each.provider,
            each.object,
            each.crm_id,
            frozenset((change.name, change.value) for change in each.changes),
        )
        for each in found
    }
    wanted = frozenset[Seen]().union(*(each.seen for each in true))
    assert seen == wanted
    # A repeat is the same notice, and no two others are.
    assert len({each.event_id for each in found}) == len(wanted)
    assert len(found) == len(wanted) + sum(len(each.seen) for each in again)
    assert all(each.occurred_at <= each.recorded_at for each in found)
    assert min(each.recorded_at for each in found) >= begun - timedelta(milliseconds=1)
    metrics = httpx.get(f"{signing.url}/metrics").text
    assert 'leadflow_portal_crm_webhooks_total{outcome="403",provider="hubspot"}' in metrics
