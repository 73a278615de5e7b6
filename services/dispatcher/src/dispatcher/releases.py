"""What goes on by itself once what it waited for is there: a word of consent, the end of a pause of
its enrollment, an address, a turn.

What is looked at grows with what changed and with what is due, not with what waits.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatcher import store
from dispatcher.content import Writer
from dispatcher.model import Content

CONSENTED = text("SELECT release_consented(:since, :until, :limit)")
# Everything that waits: whatever was missed, by a clock or a worker that stood still.
ALL_CONSENTED = text("""
    UPDATE ledger SET state = 'queued', rule = NULL, tried_at = NULL, ready_at = now(),
        changed_at = now()
    WHERE message_id IN (
        SELECT l.message_id FROM ledger l JOIN consents c USING (lead_id, channel)
        WHERE l.state = 'held' AND l.rule = 'no_consent'
        ORDER BY l.position LIMIT :limit FOR UPDATE OF l SKIP LOCKED
    )
""")
RESUMED = text("SELECT release_resumed(:since, :until, :limit)")
ALL_RESUMED = text("""
    UPDATE ledger SET state = 'queued', rule = NULL, scope = NULL, tried_at = NULL,
        ready_at = now(), changed_at = now()
    WHERE message_id IN (
        SELECT l.message_id FROM ledger l LEFT JOIN halts h USING (enrollment_id)
        WHERE l.state = 'held' AND l.rule = 'enrollment_paused'
            AND (h.paused_by IS NULL OR h.stopped_by IS NOT NULL)
        ORDER BY l.position LIMIT :limit FOR UPDATE OF l SKIP LOCKED
    )
""")
# For a word whose transaction took so long, or a message that was held while the word came.
LATE = timedelta(seconds=60)
EVERYTHING_EVERY = timedelta(hours=1)

FOOTLESS = text("""
    SELECT message_id, tenant_id, lead_id, owner, enrollment_id, sequence_id, step_id, channel,
        recipient, provider, provider_id, payload, body_sha256
    FROM ledger
    WHERE state = 'held' AND rule = 'compliance_footer_missing' AND payload IS NOT NULL
        AND tenant_id = ANY (CAST(:tenants AS text[]))
    LIMIT :limit FOR UPDATE SKIP LOCKED
""")
FOOTLESS_AT_ONCE = 100

POSTPONE = text("SELECT postpone_followers(:at_most)")
LOOKED_AT = 2_000


class Heard:
    """What waits for a word and goes on as soon as it is heard. Of one process."""

    def __init__(self, noted: TextClause, everything: TextClause) -> None:
        self._noted = noted
        self._everything = everything
        self._heard: datetime | None = None
        self._all_at: datetime | None = None

    async def release(self, engine: AsyncEngine, limit: int) -> int:
        """Queue what waited for a word that was heard since the last call; returns how many."""
        async with engine.connect() as connection:
            now: datetime = (await connection.execute(text("SELECT now()"))).scalar_one()
            if self._all_at is None or self._heard is None or now >= self._all_at:
                released = (await connection.execute(self._everything, {"limit": limit})).rowcount
                if released < limit:
                    self._all_at, self._heard = now + EVERYTHING_EVERY, now
                return released
            found = []
            for since, until in ((self._heard, now), (self._heard - LATE, now - LATE)):
                window = {"since": since, "until": until, "limit": limit}
                found.append(int(await connection.scalar(self._noted, window) or 0))
            if max(found) < limit:
                self._heard = now
        return sum(found)


class Releases:
    """Of one process; several may look at the same time. Raises what SQLAlchemy raises."""

    def __init__(self, engine: AsyncEngine, writer: Writer) -> None:
        self._engine = engine
        self._at_once = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writer = writer
        self._tenants = sorted(
            tenant_id for tenant_id, tenant in writer.tenants.items() if tenant.postal_address
        )
        self._consents = Heard(CONSENTED, ALL_CONSENTED)
        self._resumes = Heard(RESUMED, ALL_RESUMED)

    async def consented(self, *, limit: int) -> int:
        """Queue what waited for a word of consent that has been heard; returns how many."""
        return await self._consents.release(self._at_once, limit)

    async def resumed(self, *, limit: int) -> int:
        """Queue what waited for its enrollment, which goes on or was stopped; returns how many.
        Who resumes many does so at a rate (the portal's `bulk`)."""
        return await self._resumes.release(self._at_once, limit)

    async def addressed(self) -> int:
        """Queue e-mails that were held because their tenant had no postal address, with the footer
        that it has by now; returns how many."""
        if not self._tenants:
            return 0
        asked = {"tenants": self._tenants, "limit": FOOTLESS_AT_ONCE}
        async with self._engine.begin() as connection:
            rows = (await connection.execute(FOOTLESS, asked)).all()
            for row in rows:
                bytes_so_far = Content(payload=bytes(row.payload), sha256=row.body_sha256)
                content = self._writer.with_address(store.reported(row), bytes_so_far)
                if content is not None:
                    await store.approve(connection, row.message_id, content)
        return len(rows)

    async def postponed(self) -> int:
        """Let what is due behind a message that waits wait with it; returns how many."""
        async with self._at_once.connect() as connection:
            return int(await connection.scalar(POSTPONE, {"at_most": LOOKED_AT}) or 0)
