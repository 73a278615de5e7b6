"""What a provider refused because of us waits in the ledger until it takes something again."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import text

from dispatcher.credentials import Credentials
from dispatcher.decide import Retries, after_answer, before_sending
from dispatcher.ledger import Ledger, Settled, arrive
from dispatcher.model import Accepted, Arrival, Content, Entry, Paused, Refused, State
from dispatcher.providers.base import KEY_SECONDS, Busy, NoAnswer
from leadflow import database
from leadflow.clock import SystemClock

from .dispatching import own_database, until

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

NOW = Retries(first_seconds=0.0)
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
        ledger, credentials = Ledger(engine, "w"), Credentials(SystemClock())
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
            # Another process, which sends over another provider, waits for nothing.
            others = Credentials(SystemClock(), ["smtp"])
            assert others.release_every("email-api") < credentials.release_every("email-api")
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


async def test_the_ledger_remembers_how_long_a_doubt_and_an_outage_have_lasted(
    admin_url: str, secret: str
) -> None:
    async with own_database(admin_url, secret) as url:
        engine = database.engine(url, pool_size=2)
        ledger = Ledger(engine, "w")

        async def claimed(lease_seconds: float = 20) -> Entry:
            (entry,) = await ledger.claim(
                "email", "email-api", limit=1, lease_seconds=lease_seconds
            )
            (known,) = await ledger.look_up([entry])
            return known

        async def settled(entry: Entry, answer: Refused) -> None:
            decision = after_answer(entry, answer, NOW, provider="email-api", keyed=True)
            outcome = Settled(entry=entry, decision=decision, event=None)
            assert await ledger.settle([outcome]) == 1

        async def pass_by(hours: int) -> None:
            moved = ", ".join(
                f"{name} = {name} - interval '{hours} hours'"
                for name in ("doubt_since", "tried_at", "ready_at")
            )
            async with engine.begin() as connection:
                await connection.execute(text(f"UPDATE ledger SET {moved}"))

        try:
            async with engine.begin() as connection:
                await arrive(connection, [(arrival(), None)])
            for hours in (0, 5, 10):
                entry = await claimed()
                assert not entry.in_doubt
                assert entry.trying_seconds == pytest.approx(hours * 3600, abs=60)
                await settled(entry, Busy("answered 503").refused())
                await pass_by(5)
            dies = await claimed(lease_seconds=0)  # with the message, and nobody knows
            await pass_by(22)
            entry = await claimed()
            assert (dies.in_doubt, entry.in_doubt) == (False, True)
            assert entry.doubt_seconds == pytest.approx(22 * 3600, abs=60)
            await settled(entry, NoAnswer("no answer").refused())
            await pass_by(2)
            entry = await claimed()
            assert entry.doubt_seconds == pytest.approx(24 * 3600, abs=60), "from the first call on"
            decision = before_sending(
                entry, Paused(), provider="email-api", keyed=True, key_seconds=KEY_SECONDS
            )
            assert decision.state is State.UNKNOWN
        finally:
            await engine.dispose()
