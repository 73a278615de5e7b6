"""What a sequencer tells again, on a real database: told later than before, it is news."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from portal_api.projections.tables import TIMELINE
from portal_api.store.connection import engine
from portal_api.store.models import ReadModels

from .process import Portal

pytestmark = pytest.mark.integration

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)


@pytest.mark.either_server
async def test_a_line_of_the_timeline_keeps_when_it_was_told_last(portal: Portal) -> None:
    event_id = str(uuid4())
    row = {
        "event_id": event_id,
        "tenant_id": "acme",
        "lead_id": f"lead-{event_id}",
        "topic": "enrollment-events",
        "type": "Enrolled",
        "source": "sequencer",
        "occurred_at": AT,
        "recorded_at": AT,
        "data": {},
    }
    database = engine(portal.database_url, pool_size=1)
    try:
        models = ReadModels(database)
        async with models.transaction() as changes:
            assert await changes.insert_new(TIMELINE, [row]) == {event_id}
        for told, before in ((LATER, AT), (AT, LATER), (LATER, LATER)):
            async with models.transaction() as changes:
                assert await changes.insert_new(TIMELINE, [row]) == set()
                assert await changes.retold({event_id: told, "another": told}) == {event_id: before}
    finally:
        await database.dispose()
