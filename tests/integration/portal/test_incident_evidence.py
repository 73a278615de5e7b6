"""What the rules of incidents count, asked of the read models in a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import confluent_kafka
import httpx
import pytest

from leadflow.errors import Malformed, RecordRefused, public_reason
from portal_api.incidents.rules import RULES
from portal_api.store import signals
from portal_api.store.connection import engine, rows

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

Wait = Callable[..., Any]
STRANGER = RecordRefused("unknown_lead", "reply of nobody known")
BROKEN = Malformed("payload: not a JSON object")
OTHERWISE_REFUSED = RecordRefused("other_tenant", "an unknown_lead: of another tenant")


class Source:
    """Somebody who sends raw events of which some end in intake's dead letters."""

    def __init__(self, portal: Any, name: str) -> None:
        self.name = name
        self.tenant_id = portal.tenants[1].tenant_id
        self._portal = portal
        self._producer = confluent_kafka.Producer({"bootstrap.servers": portal.bootstrap})

    def sends(self, number: int, kind: str, error: Exception) -> None:
        for each in range(number):
            event = uuid4().hex
            now = datetime.now(UTC)
            value = json.dumps(
                {
                    "event_id": event,
                    "tenant_id": self.tenant_id,
                    "occurred_at": now.isoformat(),
                    "recorded_at": now.isoformat(),
                    "source": self.name,
                    "kind": kind,
                    "external_id": event,
                    "payload": {},
                }
            ).encode()
            headers = {
                "dlq-topic": "raw-events",
                "dlq-partition": "0",
                "dlq-offset": str(each),
                "dlq-error": type(error).__name__,
                "dlq-reason": public_reason(error),
            }
            self._producer.produce("raw-events", value, key=event.encode())
            self._producer.produce(
                "intake-dlq", value, key=event.encode(), headers=list(headers.items())
            )
        assert self._producer.flush(30) == 0

    def known(self) -> int:
        """How many of its events and their ends the read models have."""
        sql = """
            SELECT count(*) AS n FROM raw_events r JOIN dead_letters d USING (tenant_id, event_id)
            WHERE r.source = :source AND r.tenant_id = :tenant AND r.outcome = 'dlq'
        """
        wanted = {"source": self.name, "tenant": self.tenant_id}
        [found] = on_database(self._portal, lambda connection: rows(connection, sql, wanted))
        return int(found["n"])

    def counted(self) -> list[tuple[int, int]]:
        """(total, bad) as the rule about webhooks counts this source."""
        rule = RULES["webhook"]
        found = on_database(
            self._portal,
            lambda connection: signals.count(connection, "webhook", rule, datetime.now(UTC), ()),
        )
        mine = (self.tenant_id, self.name)
        return [(each.total, each.bad) for each in found if (each.tenant_id, each.subject) == mine]


def on_database(portal: Any, work: Callable[[Any], Coroutine[Any, Any, list[Any]]]) -> list[Any]:
    async def ask() -> list[Any]:
        database = engine(portal.database_url, pool_size=1)
        try:
            async with database.connect() as connection:
                return await work(connection)
        finally:
            await database.dispose()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, ask()).result()


def own_incidents(ops: httpx.Client) -> list[dict[str, Any]]:
    """Without those about everybody, which everybody sees."""
    items = ops.get("/incidents", params={"state": "all"}).json()["items"]
    return [each for each in items if each["tenant_id"]]


def test_what_strangers_send_never_pauses_a_tenant_and_what_cannot_be_read_does(
    portal: Any, wait_until: Wait
) -> None:
    """A reply or an opt-out of nobody known was understood: it is no sign of a broken webhook,
    neither as a failure nor as one more among those that went well."""
    strangers, mixed = Source(portal, "mailbox"), Source(portal, "form")
    strangers.sends(30, "reply", STRANGER)
    strangers.sends(30, "opt_out", STRANGER)
    # Twelve that are broken are under the floor of twenty, however many strangers write.
    mixed.sends(12, "lead", BROKEN)
    mixed.sends(40, "reply", STRANGER)
    wait_until(lambda: (strangers.known(), mixed.known()) == (60, 52), "what ended badly")
    assert strangers.counted() == [(0, 0)]
    assert mixed.counted() == [(12, 12)]
    with portal.client("ops", strangers.tenant_id) as ops:
        assert own_incidents(ops) == []

        mixed.sends(8, "reply", OTHERWISE_REFUSED)
        wait_until(lambda: mixed.known() == 60, "what was refused for another reason")
        assert mixed.counted() == [(20, 20)]
        [incident] = wait_until(lambda: own_incidents(ops), "the rule to open an incident")
    assert (incident["rule"], incident["scope"]) == ("webhook", f"tenant:{mixed.tenant_id}")
    assert (incident["evidence"]["total"], incident["evidence"]["bad"]) == (20, 20)
