"""A source of leads that falls silent is an incident; the echo of our own messages is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from leadflow.database import role_url
from portal_api.incidents.rules import RULES
from portal_api.store import signals
from portal_api.store.connection import engine

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

INSERT = text("""
    INSERT INTO raw_events (tenant_id, event_id, kind, source, external_id, received_at)
    VALUES (:tenant, :event_id, :kind, :source, :event_id, :at)
""")


async def test_reports_that_stop_are_no_silence(admin_url: str, secret: str) -> None:
    tenant, now = f"t-{uuid4()}", datetime.now(UTC)
    rows = [
        {
            "tenant": tenant,
            "event_id": uuid4().hex,
            "kind": kind,
            "source": source,
            "at": now - timedelta(days=days, hours=1),
        }
        for days in range(1, 8)
        for kind, source in (("lead", "form"), ("delivered", "resend"), ("opened", "portal"))
    ]
    database = engine(role_url(admin_url, "portal", secret), pool_size=1)
    try:
        async with database.begin() as connection:
            await connection.execute(INSERT, rows)
            found = await signals.count(connection, "silence", RULES["silence"], now, [])
    finally:
        await database.dispose()
    counted = {each.subject: each.bad for each in found if each.tenant_id == tenant}
    assert counted == {"form": 1}
