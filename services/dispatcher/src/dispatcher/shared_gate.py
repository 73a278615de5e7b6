"""The gate that all dispatchers share: limits and breakers as rows of PostgreSQL.

One transaction a batch, and none where nothing is limited. Rows are locked in the order of their
keys, so that two dispatchers wait for each other and never lock each other out; the clock is the
database's. Dies a process with tokens taken, they are lost and nothing goes out too fast.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from email.utils import parseaddr

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher import breaker as breakers
from dispatcher.breaker import Breaker, Heard, Rules, State
from dispatcher.breaker_news import Change
from dispatcher.gate import LIMIT, Admission, Wait
from dispatcher.limits import Asked, Bucket, Limits, Rate, turns
from dispatcher.model import Answer, Entry
from dispatcher.pace import Wakeup
from leadflow.clock import Clock

log = structlog.get_logger()

# How long a process may believe that nothing has happened to a breaker, and keep its counts.
BELIEVE_SECONDS = 1.0

# Locks what it returns; what is not there yet is made, in the past.
BUCKETS = text("""
    INSERT INTO buckets AS b (key, full_at, tail)
    SELECT key, 'epoch', 'epoch' FROM unnest(CAST(:keys AS text[])) AS k (key) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET key = excluded.key
    RETURNING key, extract(epoch FROM full_at)::float8 AS full_at,
        extract(epoch FROM tail)::float8 AS tail,
        extract(epoch FROM clock_timestamp())::float8 AS now
""")
SAVE_BUCKETS = text("""
    UPDATE buckets b SET full_at = to_timestamp(r.full_at), tail = to_timestamp(r.tail)
    FROM unnest(CAST(:keys AS text[]), CAST(:full_at AS float8[]), CAST(:tail AS float8[]))
        AS r (key, full_at, tail)
    WHERE b.key = r.key
""")
BREAKER = text("""
    INSERT INTO breakers AS b (provider) VALUES (:provider)
    ON CONFLICT (provider) DO UPDATE SET provider = excluded.provider
    RETURNING state, good, bad, messages, opened, allowance, left_over,
        extract(epoch FROM since)::float8 AS since,
        extract(epoch FROM look_at)::float8 AS look_at,
        extract(epoch FROM clock_timestamp())::float8 AS now
""")
SAVE_BREAKER = text("""
    UPDATE breakers SET state = :state, good = :good, bad = :bad, messages = :messages,
        opened = :opened, allowance = :allowance, left_over = :left_over,
        since = to_timestamp(:since), look_at = to_timestamp(:look_at)
    WHERE provider = :provider
""")
# The limits that the waits in the ledger were told by. It never ends by itself.
NOTE_LIMITS = text("""
    INSERT INTO buckets (key, full_at, tail) VALUES (:key, 'infinity', 'infinity')
    ON CONFLICT (key) DO NOTHING RETURNING key
""")
DROP_NOTES = text("DELETE FROM buckets WHERE key LIKE 'limits:%' AND key <> :key")
# In their order, and not all at once.
ASK_AGAIN = text("""
    UPDATE ledger SET ready_at = now() + (ready_at - now()) / 300
    WHERE state = 'queued' AND rule LIKE 'limit:%' AND ready_at > now() + interval '1 minute'
""")
# What is full and has no queue says the same when it is not there.
FORGET = text("""
    DELETE FROM buckets WHERE key IN (
        SELECT key FROM buckets
        WHERE full_at < now() - interval '1 day' AND tail < now() - interval '1 day'
        LIMIT :limit FOR UPDATE SKIP LOCKED
    )
""")
TELL = text("INSERT INTO outbox (topic, key, value) VALUES (:topic, :key, :value)")


# Makes the record of a change: topic, key, value.
Told = Callable[[Change], tuple[str, str, bytes]]


class SharedGate:
    """Raises what SQLAlchemy raises: then nothing goes, and it is asked again."""

    def __init__(
        self,
        engine: AsyncEngine,
        limits: Limits,
        rules: Rules,
        *,
        told: Told,
        clock: Clock,
        to_publish: Wakeup,
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._rules = rules
        self._told = told
        self._clock = clock
        self._to_publish = to_publish
        # By provider: until when its breaker is taken to be closed, and what was counted meanwhile.
        self._closed_until: dict[str, float] = {}
        self._counts: dict[str, Heard] = {}

    async def begin(self) -> None:
        """Where the limits are others than before, let who waits for them ask again soon."""
        digest = hashlib.sha256(repr(self._limits).encode()).hexdigest()
        async with self._engine.begin() as connection:
            key = {"key": f"limits:{digest}"}
            if (await connection.execute(NOTE_LIMITS, key)).first() is not None:
                await connection.execute(DROP_NOTES, key)
                await connection.execute(ASK_AGAIN)

    async def forget(self, limit: int) -> int:
        """Drop buckets that say nothing any more; how many there were."""
        async with self._engine.begin() as connection:
            return (await connection.execute(FORGET, {"limit": limit})).rowcount

    async def allowance(self, provider: str, wanted: int) -> int:
        """How many messages may be claimed for it now; 0 while it is given a rest."""
        if self._clock.monotonic() < self._closed_until.get(provider, 0.0):
            return wanted
        given = 0

        def step(row: Breaker, now: float) -> Breaker:
            nonlocal given
            row, given = breakers.take(row, wanted, now, self._rules)
            return row

        await self._change(provider, step)
        return given

    async def unused(self, provider: str, number: int) -> None:
        """So many of an allowance were not sent after all."""
        if self._clock.monotonic() < self._closed_until.get(provider, 0.0) or number <= 0:
            return
        await self._change(provider, lambda row, now: breakers.give_back(row, number))

    async def observe(self, provider: str, answers: Sequence[Answer]) -> None:
        heard = self._count(provider, breakers.counted(answers))
        if not heard.bad and self._clock.monotonic() < self._closed_until.get(provider, 0.0):
            return  # told with the next look
        await self._change(provider, lambda row, now: row)

    async def refused(self, provider: str, reason: str) -> None:
        """It takes nothing from us: no dispatcher goes on, and people are told why."""
        await self._change(
            provider, lambda row, now: breakers.trip(row, now, self._rules), reason=reason
        )

    def _count(self, provider: str, heard: Heard) -> Heard:
        """Add to what is not told yet."""
        self._counts[provider] = self._counts.get(provider, Heard()).and_of(heard)
        return self._counts[provider]

    async def reset(self, provider: str, said_at: datetime) -> None:
        """A person says that it works again; a word from before it opened says nothing."""

        def step(row: Breaker, now: float) -> Breaker:
            if row.state is State.CLOSED or said_at.timestamp() < row.since:
                return row
            return breakers.closed(now, self._rules)

        await self._change(provider, step, by_rule=False)

    async def _change(
        self,
        provider: str,
        step: Callable[[Breaker, float], Breaker],
        *,
        by_rule: bool = True,
        reason: str = "",
    ) -> None:
        """Take a step, after what was counted since the last, and tell what it changed."""
        heard = self._counts.pop(provider, Heard())
        try:
            async with self._engine.begin() as connection:
                found = (await connection.execute(BREAKER, {"provider": provider})).one()
                before = Breaker(
                    state=State(found.state),
                    good=found.good,
                    bad=found.bad,
                    messages=found.messages,
                    since=found.since,
                    look_at=found.look_at,
                    opened=found.opened,
                    allowance=found.allowance,
                    left_over=found.left_over,
                )
                counted = breakers.plausible(before, found.now, self._rules)
                if heard.good or heard.bad:
                    counted = breakers.observe(counted, heard, found.now, self._rules)
                after = step(counted, found.now)
                if after != before:
                    await connection.execute(SAVE_BREAKER, {"provider": provider, **_row(after)})
                change = _change_of(provider, before, after, found.now, reason)
                if change is not None and by_rule:
                    topic, key, value = self._told(change)
                    await connection.execute(TELL, {"topic": topic, "key": key, "value": value})
        except BaseException:
            self._count(provider, heard)
            raise
        if after.state is State.CLOSED:
            self._closed_until[provider] = self._clock.monotonic() + BELIEVE_SECONDS
        else:
            self._closed_until.pop(provider, None)
        if change is not None:
            log.warning("breaker", provider=provider, state=after.state.value)
            self._to_publish.set()

    async def admit(self, provider: str, entries: Sequence[Entry]) -> Admission:
        if not self._limits or not entries:
            return Admission(go=entries)
        today = self._clock.now().date()
        asked = [
            Asked(self._rates_of(provider, entry, today), _has_waited(entry)) for entry in entries
        ]
        keys = sorted({key for each in asked for key in each.rates})
        if not keys:
            return Admission(go=entries)
        async with self._engine.begin() as connection:
            found = (await connection.execute(BUCKETS, {"keys": keys})).all()
            buckets = {row.key: Bucket(row.full_at, row.tail) for row in found}
            now = max(row.now for row in found)
            given, changed = turns(asked, buckets, now)
            await _save(connection, changed)
        go = [entry for entry, turn in zip(entries, given, strict=True) if not turn.key]
        wait = [
            Wait(entry=entry, rule=f"{LIMIT}{turn.key}", seconds=turn.seconds)
            for entry, turn in zip(entries, given, strict=True)
            if turn.key
        ]
        return Admission(go=go, wait=wait)

    def _rates_of(self, provider: str, entry: Entry, today: date) -> Mapping[str, Rate]:
        mailbox = domain = ""
        if entry.channel == "email":
            domain = entry.recipient.rpartition("@")[2].lower()
            if self._limits.by_mailbox:
                mailbox = parseaddr(entry.content.send().get("from", ""))[1].lower()
        return self._limits.rates_of(
            provider=provider,
            tenant_id=entry.tenant_id,
            mailbox=mailbox,
            domain=domain,
            today=today,
        )


def _has_waited(entry: Entry) -> bool:
    return entry.rule is not None and entry.rule.startswith(LIMIT)


def _row(row: Breaker) -> dict[str, object]:
    return {
        "state": row.state.value,
        "good": row.good,
        "bad": row.bad,
        "messages": row.messages,
        "opened": row.opened,
        "allowance": row.allowance,
        "left_over": row.left_over,
        "since": row.since,
        "look_at": row.look_at,
    }


def _change_of(
    provider: str, before: Breaker, after: Breaker, now: float, reason: str
) -> Change | None:
    opened = before.state is State.CLOSED and after.state is State.OPEN
    closed = before.state is not State.CLOSED and after.state is State.CLOSED
    if not (opened or closed):
        return None
    at = datetime.fromtimestamp(now, UTC)
    return Change(
        provider=provider,
        opened=opened,
        bad=after.bad,
        total=after.good + after.bad,
        at=at,
        reason=reason,
    )


async def _save(connection: AsyncConnection, buckets: Mapping[str, Bucket]) -> None:
    if buckets:
        await connection.execute(
            SAVE_BUCKETS,
            {
                "keys": list(buckets),
                "full_at": [bucket.full_at for bucket in buckets.values()],
                "tail": [bucket.tail for bucket in buckets.values()],
            },
        )
