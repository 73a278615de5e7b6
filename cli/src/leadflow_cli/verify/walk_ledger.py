"""The dispatcher's tables, read as they are at one moment, row by row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.ids import answer_id
from leadflow_cli.errors import CliError
from leadflow_cli.verify.chain import ChainWalk, Head, Link
from leadflow_cli.verify.columns import AS_QUEUED, as_queued_in
from leadflow_cli.verify.kinds import Disagreement, Kind
from leadflow_cli.verify.notes import Notes
from leadflow_cli.verify.walk_log import TELL, told_of
from leadflow_cli.verify.wire import wire_sha256

ROWS_AT_ONCE = 5_000
Found = Callable[[Disagreement], None]
Tell = Callable[[str, int], None]

# What stands for a person is noted as hashes. The last is the one that the chain has (ADR 19); what
# was erased has none.
COLUMNS = (
    """
    message_id, tenant_id, channel, state, rule, body_sha256, provider, provider_id,
    encode(sha256(convert_to(response, 'UTF8')), 'hex') AS response_sha256, in_doubt,
    (extract(epoch FROM changed_at) * 1000000)::bigint AS changed_at_us,
    CASE WHEN provider NOT LIKE '%-api' AND state IN ('sent', 'unknown') THEN payload END
        AS payload,
    recipient, lead_id, """
    + ", ".join(AS_QUEUED)
    + """,
    CASE WHEN recipient <> '' THEN encode(sha256(convert_to(recipient, 'UTF8')), 'hex') END
        AS recipient_sha256,
    CASE WHEN address <> '' THEN encode(sha256(convert_to(address, 'UTF8')), 'hex') END
        AS address_sha256,
    CASE WHEN recipient <> '' OR address <> '' THEN encode(sha256(convert_to(
        json_build_array(salt, recipient, address)::text, 'UTF8')), 'hex') END AS to_sha256,
    payload IS NOT NULL AND encode(sha256(payload), 'hex') IS DISTINCT FROM body_sha256 AS changed
"""
)
LEDGER = "SELECT " + COLUMNS + "FROM dispatcher.ledger WHERE $1::text IS NULL OR tenant_id = $1"
AGAIN = "SELECT " + COLUMNS + "FROM dispatcher.ledger WHERE message_id = ANY ($1::text[])"
CHAIN = """
    SELECT tenant_id, seq, message_id, state, rule, body_sha256, provider, provider_id,
        response_sha256, (extract(epoch FROM at) * 1000000)::bigint AS at_us, previous, hash,
        format, lead_id, channel, to_sha256
    FROM dispatcher.chain WHERE $1::text IS NULL OR tenant_id = $1
    ORDER BY tenant_id COLLATE "C", seq
"""
HEADS = """
    SELECT tenant_id, seq, hash FROM dispatcher.chain_heads WHERE $1::text IS NULL OR tenant_id = $1
"""
OUTBOX = "SELECT value FROM dispatcher.outbox"

NOTE_LEDGER = "INSERT OR REPLACE INTO ledger VALUES (?" + ", ?" * 16 + ")"
# The dispatcher queues it itself: it stands in no topic.
NOTE_ANSWER = (
    "INSERT INTO queued (message_id, tenant_id, read) VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
)
# Ordered by number: a message's last row stays.
NOTE_CHAINED = "INSERT OR REPLACE INTO chained VALUES (?" + ", ?" * 13 + ")"


class LedgerWalk:
    """Reads one database; rows of one tenant where `tenant_id` is given."""

    def __init__(self, url: str, tenant_id: str | None) -> None:
        self._url = url
        self._tenant_id = tenant_id
        self.heads: dict[str, Head] = {}

    async def whole(
        self, notes: Notes, found: Found, tell: Tell, kept: Mapping[str, Head] | None = None
    ) -> None:
        """Ledger, outbox, chain and heads, as one moment has them. Raises CliError."""
        async with (
            self._connected() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await self._ledger(connection, notes, found, tell)
            codec = Codec()
            async for rows in self._pages(connection, OUTBOX):
                records = [_record(codec, row["value"]) for row in rows]
                said = [told_of(record) for record in records if record is not None]
                notes.add(TELL, [each for each in said if each is not None])
            for row in await connection.fetch(HEADS, self._tenant_id):
                self.heads[row["tenant_id"]] = Head(row["seq"], row["hash"])
            walk, seen = ChainWalk(self.heads, kept), 0
            async for rows in self._pages(connection, CHAIN, self._tenant_id):
                links = [Link(**dict(row)) for row in rows]
                for link in links:
                    for disagreement in walk.step(link):
                        found(disagreement)
                notes.add(NOTE_CHAINED, [_chained(link) for link in links])
                seen += len(rows)
                tell("rows of the chain", seen)
            for disagreement in walk.end():
                found(disagreement)

    async def again(self, notes: Notes) -> None:
        """What the ledger says by now about the messages of the table `suspects`."""
        suspects = notes.db.execute("SELECT message_id FROM suspects")
        async with self._connected() as connection:
            while some := suspects.fetchmany(ROWS_AT_ONCE):
                rows = await connection.fetch(AGAIN, [message_id for (message_id,) in some])
                notes.add(
                    NOTE_LEDGER,
                    [_noted(row) for row in rows if self._tenant_id in (None, row["tenant_id"])],
                )

    async def _ledger(self, connection: Any, notes: Notes, found: Found, tell: Tell) -> None:
        seen = 0
        async for rows in self._pages(connection, LEDGER, self._tenant_id):
            notes.add(NOTE_LEDGER, [_noted(row) for row in rows])
            notes.add(
                NOTE_ANSWER,
                [(row["message_id"], row["tenant_id"]) for row in rows if _answers_keyword(row)],
            )
            for row in rows:
                if row["changed"]:
                    found(
                        Disagreement(
                            Kind.PAYLOAD_CHANGED,
                            row["tenant_id"],
                            row["message_id"],
                            f"the bytes kept do not have the hash {row['body_sha256']}",
                        )
                    )
            seen += len(rows)
            tell("messages of the ledger", seen)

    @staticmethod
    async def _pages(connection: Any, question: str, *values: Any) -> AsyncIterator[list[Any]]:
        cursor = await connection.cursor(question, *values)
        while rows := await cursor.fetch(ROWS_AT_ONCE):
            yield rows

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        try:
            connection = await asyncpg.connect(self._url, timeout=10)
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            raise CliError(
                f"the dispatcher's database cannot be read ({type(error).__name__}): "
                "see LEADFLOW_DATABASE_URL"
            ) from error
        try:
            yield connection
        except (OSError, asyncpg.PostgresError) as error:
            raise CliError(
                f"the dispatcher's tables cannot be read ({type(error).__name__}): {error}"
            ) from error
        finally:
            async with asyncio.timeout(5):
                await connection.close()


def _record(codec: Codec, value: bytes) -> Any:
    try:
        return codec.decode(value)
    except CodecError:
        return None


def _answers_keyword(row: Any) -> bool:
    """Whether it answers a STOP, START or HELP: its id follows from the raw event that it names."""
    keyword, event_id = row["answers"], row["answers_event"]
    return None not in (keyword, event_id) and row["message_id"] == answer_id(
        row["tenant_id"], event_id, keyword.removesuffix(" again"), row["recipient"]
    )


def _noted(row: Any) -> tuple[Any, ...]:
    return (
        row["message_id"],
        row["tenant_id"],
        row["channel"],
        row["state"],
        row["rule"],
        row["body_sha256"],
        row["provider"],
        row["provider_id"],
        row["response_sha256"],
        row["in_doubt"],
        row["changed_at_us"],
        wire_sha256(row["provider"], row["body_sha256"], row["payload"]),
        row["lead_id"],
        row["recipient_sha256"],
        row["address_sha256"],
        row["to_sha256"],
        as_queued_in(row),
    )


def _chained(link: Link) -> tuple[Any, ...]:
    return (
        link.message_id,
        link.tenant_id,
        link.seq,
        link.state,
        link.rule,
        link.body_sha256,
        link.provider,
        link.provider_id,
        link.response_sha256,
        link.format,
        link.lead_id,
        link.channel,
        link.to_sha256,
        link.at_us,
    )
