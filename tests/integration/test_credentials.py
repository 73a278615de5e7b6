"""What a provider refused because of us waits in the ledger until it takes something again."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import text

from dispatcher.credentials import Credentials
from dispatcher.decide import Retries, after_answer
from dispatcher.ledger import Ledger, Settled, arrive
from dispatcher.model import Accepted, Arrival, Content, Refused
from leadflow import database

from .dispatching import own_database, until

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

REFUSED = Refused(
    error_class="Unauthorized", reason="answered 401", retryable=False, maybe_accepted=False
)


def arrival() -> Arrival:
    payload = b'{"subject":"Hello","text":"Hi","to":"ann@example.com"}'
    return Arrival(
        message_id=str(uuid4()),
        tenant_id="a",
        lead_id=str(uuid4()),
        owner=None,
        enrollment_id=None,
        sequence_id=None,
        step_id=None,
        channel="email",
        attempt=1,
        first_message_id=None,
        recipient="ann@example.com",
        compliance_note="",
        enrolled_at=None,
        stop_on=(),
        due_at=datetime.now(UTC),
        content=Content(payload=payload, sha256=hashlib.sha256(payload).hexdigest()),
    )


async def test_refused_messages_wait_and_go_on_once_the_provider_takes_something(
    admin_url: str, secret: str
) -> None:
    async with own_database(admin_url, secret) as url:
        engine = database.engine(url, pool_size=2)
        ledger, credentials = Ledger(engine, "w"), Credentials()
        try:
            async with engine.begin() as connection:
                await arrive(connection, [(arrival(), None) for _ in range(30)])
            entries = await ledger.claim("email", "email-api", limit=30, lease_seconds=20)
            credentials.heard("email-api", [REFUSED] * 30)
            await ledger.settle(
                [
                    Settled(
                        entry=each,
                        decision=after_answer(
                            each, REFUSED, Retries(), provider="email-api", keyed=True
                        ),
                        event=None,
                    )
                    for each in entries
                ]
            )
            async with engine.connect() as connection:
                held = await connection.execute(
                    text("SELECT DISTINCT state, rule, scope, attempts FROM ledger")
                )
                assert [tuple(row) for row in held] == [
                    ("held", "credential_refused", "credential:email-api", 0)
                ]
            # Half a minute from one to the next while it refuses.
            assert [await ledger.release_refused(credentials) for _ in range(3)] == [0, 0, 0]
            credentials.heard("email-api", [Accepted(provider_id=None, response="")])
            released = 0

            async def all_of_them() -> bool:
                nonlocal released
                released += await ledger.release_refused(credentials)
                return released == 30

            await until(all_of_them, "all are let go")
            assert len(await ledger.claim("email", "email-api", limit=50, lease_seconds=20)) == 30
        finally:
            await engine.dispose()
