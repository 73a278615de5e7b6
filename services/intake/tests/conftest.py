"""Raw events by hand, and intake without a broker and a database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from intake.book import Book
from intake.decide import decide
from intake.model import Decision, Lead
from intake.prepare import prepare
from leadflow.records import LeadRecord, RawEvent
from leadflow.tenants import Tenant

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TENANT = Tenant(
    tenant_id="acme",
    timezone="America/Chicago",
    region="US",
    currency="USD",
    owners=("dana", "luis"),
    services=("roof-repair", "gutters"),
    minimum_budget=2000,
)


class Desk:
    """Takes raw events one after the other, each an hour after the one before."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.book = Book()
        self.events = 0

    def raw(
        self, kind: str, payload: dict[str, Any], *, source: str = "form", external_id: str = ""
    ) -> RawEvent:
        self.events += 1
        at = START + timedelta(hours=self.events)
        return RawEvent(
            event_id=f"e{self.events}",
            tenant_id=self.tenant.tenant_id,
            occurred_at=at,
            recorded_at=at,
            source=source,
            kind=kind,
            external_id=external_id or f"x{self.events}",
            payload=json.dumps(payload),
        )

    def decide(self, raw: RawEvent) -> Decision:
        prepared = prepare(raw, self.tenant)
        now = raw.occurred_at + timedelta(seconds=1)
        decision = decide(self.book.known(prepared), prepared, self.tenant, now)
        self.book.apply(decision)
        return decision

    def take(self, kind: str, payload: dict[str, Any], **where: str) -> tuple[LeadRecord, ...]:
        """The records that a raw event leads to; raises what it is refused with."""
        decision = self.decide(self.raw(kind, payload, **where))
        if decision.error is not None:
            raise decision.error
        return decision.records

    def leads(self) -> list[Lead]:
        """Every lead there is, in the order of creation."""
        return list(self.book.changes.leads.values())


@pytest.fixture
def tenant() -> Tenant:
    return TENANT


@pytest.fixture
def desk() -> Desk:
    return Desk(TENANT)


@pytest.fixture
def desk_of() -> Callable[[Tenant], Desk]:
    return Desk
