"""Calls to providers that keep one key for a whole call: which messages they carried.

Written down before the call, so that after a death it is known what may have been accepted
under which key (ADR 25). Ages are told by the database's clock, the one that all share.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

# Under the claims of the ledger, locked: whoever claims one of the messages after us finds the
# call, and we make none once somebody has. Pointers are written in the order of the ids, so that
# two who write about the same messages wait for each other instead of in a circle.
MAKE = text("""
    WITH r AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:messages AS json)) AS r (
            place integer, message_id text, epoch bigint
        )
    ), ours AS MATERIALIZED (
        SELECT l.message_id FROM ledger l JOIN r USING (message_id)
        WHERE l.epoch = r.epoch AND l.state = 'claimed' FOR SHARE OF l
    ), whole AS MATERIALIZED (
        SELECT (SELECT count(*) FROM ours) = (SELECT count(*) FROM r) AS ok
    ), made AS (
        INSERT INTO calls (call_key, message_ids, body_sha256)
        SELECT :key, ARRAY(SELECT message_id FROM r ORDER BY place), :sha256
        FROM whole WHERE ok
        ON CONFLICT (call_key) DO UPDATE SET made_at = now()
    ), pointed AS (
        INSERT INTO called (message_id, call_key)
        SELECT message_id, :key FROM r, whole WHERE ok ORDER BY message_id
        ON CONFLICT (message_id) DO UPDATE SET call_key = excluded.call_key
    )
    SELECT ok FROM whole
""")

LATEST = text("""
    SELECT c.call_key, c.message_ids, c.body_sha256, c.void, c.provider_ids,
        CAST(extract(epoch FROM now() - c.made_at) AS double precision) AS age_seconds
    FROM called JOIN calls c USING (call_key) WHERE called.message_id = :message_id
""")

PAYLOADS = text("""
    SELECT l.message_id, l.payload FROM ledger l
    WHERE l.message_id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:ids AS json))))
""")

RESOLVE = text("""
    UPDATE calls SET void = :void, provider_ids = CASE WHEN :void THEN NULL ELSE
        ARRAY(SELECT json_array_elements_text(CAST(:provider_ids AS json))) END
    WHERE call_key = :key
""")

# The time of the next call under the provider's own limit, taken if it is near enough.
TURN = text("""
    WITH last AS (
        INSERT INTO buckets AS b (key, full_at, tail) VALUES (:key, 'epoch', 'epoch')
        ON CONFLICT (key) DO UPDATE SET key = excluded.key
        RETURNING greatest(full_at, clock_timestamp()) AS at, clock_timestamp() AS now
    )
    SELECT extract(epoch FROM at - now)::float8 AS seconds, extract(epoch FROM at)::float8 AS at
    FROM last
""")
TAKE = text("""
    UPDATE buckets SET full_at = to_timestamp(:at) + make_interval(secs => :apart)
    WHERE key = :key
""")

# A message that is not at its end may yet have to be asked about, however old its call.
FORGET = text("""
    WITH old AS MATERIALIZED (
        SELECT c.call_key FROM calls c
        WHERE c.made_at < now() - make_interval(hours => 48) AND NOT EXISTS (
            SELECT FROM ledger l
            WHERE l.message_id = ANY(c.message_ids) AND l.state IN ('queued', 'claimed', 'held')
        )
        LIMIT :limit
    ), pointers AS (
        DELETE FROM called USING old WHERE called.call_key = old.call_key
    )
    DELETE FROM calls USING old WHERE calls.call_key = old.call_key
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that was made, or was about to be. `message_ids` are in the order of its body.

    `void`: the provider has not accepted it and never will. `provider_ids`, once they are
    known: of each message, empty for one that was refused.
    """

    key: str
    message_ids: Sequence[str]
    body_sha256: str
    age_seconds: float = 0.0
    void: bool = False
    provider_ids: Sequence[str] | None = None


class Claimed(Protocol):
    """A message under a claim of ours."""

    @property
    def message_id(self) -> str: ...
    @property
    def epoch(self) -> int: ...


class CallBook(Protocol):
    """Where calls are written down. Raises what SQLAlchemy raises."""

    async def make(self, key: str, messages: Sequence[Claimed], body_sha256: str) -> bool:
        """Write a call down before it is made; False: a claim is somebody else's by now."""

    async def latest(self, message_id: str) -> Call | None:
        """The call that the message was last in; None: it was in no call."""

    async def payloads(self, message_ids: Sequence[str]) -> Sequence[bytes] | None:
        """The kept bytes of each message, in this order; None where one is gone."""

    async def resolve(self, key: str, provider_ids: Sequence[str] | None) -> None:
        """What became of a call: the provider's ids, or None: it was not accepted."""

    async def turn(self, provider: str, apart: float, longest: float) -> float:
        """In how many seconds a call may be made, by whatever process; at that time it is ours,
        unless it is more than `longest` away. Calls are `apart` seconds from one another."""


class Calls:
    """The book in the dispatcher's own schema."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._pool = engine
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def make(self, key: str, messages: Sequence[Claimed], body_sha256: str) -> bool:
        rows = [
            {"place": place, "message_id": message.message_id, "epoch": message.epoch}
            for place, message in enumerate(messages)
        ]
        async with self._engine.connect() as connection:
            ok = await connection.scalar(
                MAKE, {"key": key, "messages": json.dumps(rows), "sha256": body_sha256}
            )
        return bool(ok)

    async def latest(self, message_id: str) -> Call | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(LATEST, {"message_id": message_id})).first()
        if row is None:
            return None
        return Call(
            key=row.call_key,
            message_ids=tuple(row.message_ids),
            body_sha256=row.body_sha256,
            age_seconds=row.age_seconds,
            void=row.void,
            provider_ids=None if row.provider_ids is None else tuple(row.provider_ids),
        )

    async def payloads(self, message_ids: Sequence[str]) -> Sequence[bytes] | None:
        async with self._engine.connect() as connection:
            found = await connection.execute(PAYLOADS, {"ids": json.dumps(list(message_ids))})
            kept = {row.message_id: row.payload for row in found}
        payloads = [kept.get(message_id) for message_id in message_ids]
        return None if None in payloads else [bytes(payload) for payload in payloads if payload]

    async def resolve(self, key: str, provider_ids: Sequence[str] | None) -> None:
        async with self._engine.connect() as connection:
            given = {"void": provider_ids is None, "provider_ids": json.dumps(provider_ids or [])}
            await connection.execute(RESOLVE, {"key": key, **given})

    async def turn(self, provider: str, apart: float, longest: float) -> float:
        key = f"calls:{provider}"
        async with self._pool.begin() as connection:
            row = (await connection.execute(TURN, {"key": key})).one()
            if row.seconds <= longest:
                await connection.execute(TAKE, {"key": key, "at": row.at, "apart": apart})
        return float(row.seconds)


async def forget(connection: AsyncConnection, limit: int) -> None:
    """Drop calls that nobody will ask about any more."""
    await connection.execute(FORGET, {"limit": limit})
