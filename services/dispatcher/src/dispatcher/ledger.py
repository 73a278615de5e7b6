"""The ledger in SQL: arrive, claim, settle. The only way to a provider is through it.

Leases and retry times are judged by the database's clock, the one clock that all workers
share. Rows travel as one JSON text a statement: one round trip a batch.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher import cap_store
from dispatcher.caps import Cap, Others
from dispatcher.credentials import Credentials
from dispatcher.decide import CREDENTIAL_REFUSED, Decision
from dispatcher.facts import address_key
from dispatcher.halt_store import halt_of
from dispatcher.model import Arrival, Content, Entry, Known, Paused, State

ARRIVE = text("""
    WITH r AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r (
            ord integer, message_id text, tenant_id text, lead_id text, owner text,
            enrollment_id text, sequence_id text, step_id text, channel text, attempt integer,
            first_message_id text, recipient text, address text, compliance_note text,
            enrolled_at timestamptz, stop_on json, due_at timestamptz, payload text,
            body_sha256 text, state text, rule text, answers text, answers_event text,
            made_of json, event text
        )
    ), arrived AS (
        INSERT INTO ledger (
            message_id, tenant_id, lead_id, owner, enrollment_id, sequence_id, step_id, channel,
            attempt, first_message_id, recipient, address, compliance_note, enrolled_at, stop_on,
            due_at, payload, body_sha256, state, rule, ready_at, answers, answers_event, made_of
        )
        SELECT
            message_id, tenant_id, lead_id, owner, enrollment_id, sequence_id, step_id, channel,
            attempt, first_message_id, recipient, address, compliance_note, enrolled_at,
            ARRAY(SELECT json_array_elements_text(stop_on)), due_at,
            convert_to(payload, 'UTF8'), body_sha256, state, rule, due_at, answers, answers_event,
            made_of
        FROM r ORDER BY ord
        ON CONFLICT (message_id) DO NOTHING
        RETURNING message_id
    ), told AS (
        INSERT INTO outbox (key, value)
        SELECT r.lead_id, decode(r.event, 'base64')
        FROM r JOIN arrived USING (message_id) WHERE r.event IS NOT NULL ORDER BY r.ord
    )
    SELECT count(*) FROM arrived
""")

# What is known of the lead is read in the statement that claims: a stop that was committed
# before the claim is seen by it.
CLAIM = text("""
    WITH due AS MATERIALIZED (
        SELECT * FROM due_messages(CAST(:channel AS text), CAST(:limit AS integer))
    )
    UPDATE ledger l SET
        state = 'claimed', epoch = l.epoch + 1, worker = :worker, in_doubt = true,
        provider = CASE WHEN due.in_doubt THEN l.provider ELSE :provider END,
        doubt_since = CASE WHEN due.in_doubt THEN l.doubt_since ELSE now() END,
        ready_at = now() + make_interval(secs => :lease_seconds), changed_at = now()
    FROM due WHERE l.message_id = due.message_id
    RETURNING
        l.message_id, l.tenant_id, l.lead_id, l.owner, l.enrollment_id, l.sequence_id, l.step_id,
        l.channel, l.recipient, l.enrolled_at, l.stop_on, l.payload, l.body_sha256, l.epoch,
        l.attempts, l.position, l.rule, due.in_doubt AS was_in_doubt, due.provider AS last_provider,
        l.answers, l.refusals, l.first_message_id IS NOT NULL AS resent,
        coalesce(extract(epoch FROM now() - l.doubt_since), 'infinity')::float8 AS doubt_seconds,
        coalesce(extract(epoch FROM now() - l.tried_at), 0)::float8 AS trying_seconds
""")

# What was said, as late as it can be asked.
KNOWN = text("""
    SELECT l.message_id,
        (SELECT s.reason FROM suppressions s
            WHERE s.tenant_id = l.tenant_id AND s.channel = l.channel AND s.address = l.address
                AND s.active
            -- an opt-out last: the answer to a keyword goes out in spite of it, and of it alone
            ORDER BY s.reason = 'opt_out', s.reason LIMIT 1) AS suppressed_by,
        CASE WHEN l.answers IS NULL THEN 0 ELSE (
            SELECT count(*) FROM ledger a
            WHERE a.tenant_id = l.tenant_id AND a.channel = l.channel AND a.address = l.address
                AND a.answers IS NOT NULL AND a.state = 'sent'
                AND a.created_at > now() - interval '1 day') END AS answered,
        extract(epoch FROM now() - l.due_at)::double precision AS age_seconds,
        extract(epoch FROM now() - l.created_at)::double precision AS waited_seconds,
        (SELECT c.granted FROM consents c
            WHERE c.lead_id = l.lead_id AND c.channel = l.channel) AS consent,
        (SELECT z.timezone FROM zones z WHERE z.lead_id = l.lead_id) AS timezone,
        (SELECT array_agg(s.stop ORDER BY s.stop) FROM stops s
            WHERE s.lead_id = l.lead_id) AS stop_names,
        (SELECT array_agg(s.at ORDER BY s.stop) FROM stops s
            WHERE s.lead_id = l.lead_id) AS stop_times,
        h.stopped_by, h.stopped_at, h.inputs AS halt_inputs, h.paused_by
    FROM ledger l LEFT JOIN halts h ON h.enrollment_id = l.enrollment_id
    WHERE l.message_id = ANY (CAST(:ids AS text[]))
""")

SETTLE = text("""
    WITH settled AS (
        UPDATE ledger l SET
            state = r.state, rule = r.rule, scope = r.scope,
            ready_at = now() + make_interval(secs => r.delay_seconds),
            attempts = l.attempts + r.presented, refusals = l.refusals + r.refused,
            in_doubt = r.in_doubt,
            doubt_since = CASE WHEN r.in_doubt THEN l.doubt_since END,
            tried_at = CASE r.trying WHEN true THEN coalesce(l.tried_at, now()) WHEN false THEN NULL
                ELSE l.tried_at END,
            provider_id = coalesce(r.provider_id, l.provider_id),
            response = coalesce(r.response, l.response), worker = NULL, changed_at = now()
        FROM json_to_recordset(CAST(:rows AS json)) AS r (
            ord integer, message_id text, epoch bigint, state text, rule text, scope text,
            delay_seconds double precision, presented integer, refused integer, trying boolean,
            in_doubt boolean,
            provider_id text, response text, event text
        )
        WHERE l.message_id = r.message_id AND l.epoch = r.epoch AND l.state = 'claimed'
        RETURNING l.lead_id, r.event, r.ord
    ), told AS (
        INSERT INTO outbox (key, value)
        SELECT lead_id, decode(event, 'base64') FROM settled WHERE event IS NOT NULL ORDER BY ord
    )
    SELECT count(*) FROM settled
""")

# The scopes in which something waits, by one probe of an index each, however much it is.
WAITING_SCOPES = """
    WITH RECURSIVE waiting (scope) AS (
        SELECT min(scope) FROM ledger WHERE state = 'held' AND rule = 'HELD_BY'
        UNION ALL
        SELECT (SELECT min(l.scope) FROM ledger l
            WHERE l.state = 'held' AND l.rule = 'HELD_BY' AND l.scope > w.scope)
        FROM waiting w WHERE w.scope IS NOT NULL
    )
    SELECT scope FROM waiting WHERE scope IS NOT NULL
"""

# As many as the rate allows since the last look, over all workers: they meet in the row of the
# scope. What was not used for more than two seconds is forfeit, or a flood would be saved up.
RELEASE_SCOPE = """
    WITH pace AS (
        INSERT INTO releases AS r (scope, at, given) VALUES (:scope, now(), 0)
        ON CONFLICT (scope) DO UPDATE SET (given, at) = (
            SELECT steps, since + steps * apart
            FROM (SELECT CAST(:apart AS interval) AS apart) AS a,
                LATERAL (SELECT greatest(r.at, now() - CAST(:longest AS interval)) AS since) AS s,
                LATERAL (SELECT greatest(0, floor(
                    extract(epoch FROM now() - since) / extract(epoch FROM apart)
                ))::integer AS steps) AS n
        )
        RETURNING given
    )
    UPDATE ledger SET state = 'queued', rule = NULL, scope = NULL, ready_at = now(),
        tried_at = NULL, changed_at = now()
    WHERE message_id IN (
        SELECT message_id FROM ledger
        WHERE state = 'held' AND rule = 'HELD_BY' AND scope = :scope AND ready_at <= now()
        ORDER BY position LIMIT (SELECT given FROM pace) FOR UPDATE SKIP LOCKED
    )
"""


def held_by(statement: str, rule: str) -> TextClause:
    """The statement for what one rule holds: a partial index is chosen by a constant."""
    return text(statement.replace("HELD_BY", rule))


WAITING = {rule: held_by(WAITING_SCOPES, rule) for rule in ("paused", CREDENTIAL_REFUSED)}
RELEASE = {rule: held_by(RELEASE_SCOPE, rule) for rule in WAITING}
LONGEST_SAVED = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A decision about a claimed message, and its event as it goes to the broker, if any."""

    entry: Entry
    decision: Decision
    event: bytes | None


class Ledger:
    """Raises what SQLAlchemy raises; `leadflow.errors.is_retryable` tells what may pass."""

    def __init__(self, engine: AsyncEngine, worker: str) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._worker = worker

    async def claim(
        self, channel: str, provider: str, *, limit: int, lease_seconds: float
    ) -> list[Entry]:
        """Claim up to `limit` messages that are due, in the order of their arrival.

        Of one lead and channel only the earliest is given out, what may be out already before all
        others. A message whose lease is over is claimed anew, in doubt. What is known of their
        leads is to be looked up.
        """
        async with self._engine.connect() as connection:
            result = await connection.execute(
                CLAIM,
                {
                    "channel": channel,
                    "provider": provider,
                    "worker": self._worker,
                    "limit": limit,
                    "lease_seconds": lease_seconds,
                },
            )
            rows = sorted(result.all(), key=lambda row: row.position)
        return [_entry(row) for row in rows]

    async def look_up(self, entries: Sequence[Entry]) -> list[Entry]:
        """The same entries with what is known by now of their leads and addresses."""
        if not entries:
            return []
        async with self._engine.connect() as connection:
            found = await connection.execute(KNOWN, {"ids": [each.message_id for each in entries]})
            known = {row.message_id: _known(row) for row in found}
        return [replace(each, known=known[each.message_id]) for each in entries]

    async def others(self, caps: Mapping[str, Cap]) -> dict[str, Others]:
        """What the leads of claimed messages got besides them, by message."""
        async with self._engine.connect() as connection:
            return await cap_store.others(connection, caps)

    async def settle(self, outcomes: Sequence[Settled]) -> int:
        """Record decisions and their events; returns how many claims were still ours.

        A decision of a claim that somebody else has taken over changes nothing.
        """
        if not outcomes:
            return 0
        async with self._engine.connect() as connection:
            rows = [_outcome(number, outcome) for number, outcome in enumerate(outcomes)]
            count = await connection.scalar(SETTLE, {"rows": orjson.dumps(rows).decode()})
        return int(count or 0)

    async def release(self, paused: Paused) -> int:
        """Queue again what no pause covers any more, at the rate of its scope."""
        released = 0
        async with self._engine.connect() as connection:
            for scope in await connection.scalars(WAITING["paused"]):
                if scope not in paused.scopes:
                    apart = timedelta(minutes=1) / paused.rate(scope)
                    released += await _let_go(connection, "paused", scope, apart)
        return released

    async def release_refused(self, credentials: Credentials) -> int:
        """Queue again what providers refused because of us, slowly while they still do."""
        released = 0
        async with self._engine.connect() as connection:
            for scope in await connection.scalars(WAITING[CREDENTIAL_REFUSED]):
                apart = credentials.release_every(scope.removeprefix("credential:"))
                released += await _let_go(connection, CREDENTIAL_REFUSED, scope, apart)
        return released


async def _let_go(connection: AsyncConnection, rule: str, scope: str, apart: timedelta) -> int:
    longest = max(apart, LONGEST_SAVED)
    resumed = await connection.execute(
        RELEASE[rule], {"scope": scope, "apart": apart, "longest": longest}
    )
    return resumed.rowcount


async def arrive(
    connection: AsyncConnection, arrivals: Sequence[tuple[Arrival, bytes | None]]
) -> int:
    """Enter messages, each with its event if it is held; returns how many were new."""
    if not arrivals:
        return 0
    # A message that comes twice in a batch is one message.
    unique = {arrival.message_id: (arrival, event) for arrival, event in reversed(arrivals)}
    rows = [
        _arrival(number, arrival, event)
        for number, (arrival, event) in enumerate(reversed(unique.values()))
    ]
    return int(await connection.scalar(ARRIVE, {"rows": orjson.dumps(rows).decode()}) or 0)


def _arrival(number: int, arrival: Arrival, event: bytes | None) -> dict[str, Any]:
    content = arrival.content
    return {
        "ord": number,
        "message_id": arrival.message_id,
        "tenant_id": arrival.tenant_id,
        "lead_id": arrival.lead_id,
        "owner": arrival.owner,
        "enrollment_id": arrival.enrollment_id,
        "sequence_id": arrival.sequence_id,
        "step_id": arrival.step_id,
        "channel": arrival.channel,
        "attempt": arrival.attempt,
        "first_message_id": arrival.first_message_id,
        "recipient": arrival.recipient,
        "address": address_key(arrival.channel, arrival.recipient),
        "compliance_note": arrival.compliance_note,
        "enrolled_at": None if arrival.enrolled_at is None else arrival.enrolled_at.isoformat(),
        "stop_on": arrival.stop_on,
        "due_at": arrival.due_at.isoformat(),
        "payload": None if content is None else content.payload.decode(),
        "body_sha256": None if content is None else content.sha256,
        "state": State.QUEUED if arrival.rule is None else State.HELD,
        "rule": arrival.rule,
        "answers": arrival.answers,
        "answers_event": arrival.answers_event,
        "made_of": dict(arrival.made_of),
        "event": _base64(event),
    }


def _outcome(number: int, outcome: Settled) -> dict[str, Any]:
    decision = outcome.decision
    return {
        "ord": number,
        "message_id": outcome.entry.message_id,
        "epoch": outcome.entry.epoch,
        "state": decision.state,
        "rule": decision.rule or None,
        "scope": decision.inputs.get("scope"),
        "delay_seconds": decision.delay_seconds,
        "presented": int(decision.presented),
        "refused": int(decision.refused),
        "trying": decision.trying,
        "in_doubt": decision.in_doubt,
        "provider_id": decision.provider_id,
        "response": decision.response or decision.reason or None,
        "event": _base64(outcome.event),
    }


def _base64(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        message_id=row.message_id,
        tenant_id=row.tenant_id,
        lead_id=row.lead_id,
        owner=row.owner,
        enrollment_id=row.enrollment_id,
        sequence_id=row.sequence_id,
        step_id=row.step_id,
        channel=row.channel,
        recipient=row.recipient,
        enrolled_at=row.enrolled_at,
        stop_on=tuple(row.stop_on),
        content=Content(payload=row.payload, sha256=row.body_sha256),
        epoch=row.epoch,
        attempts=row.attempts,
        in_doubt=row.was_in_doubt,
        provider=row.last_provider,
        rule=row.rule,
        answers=row.answers,
        refusals=row.refusals,
        resent=row.resent,
        doubt_seconds=row.doubt_seconds,
        trying_seconds=row.trying_seconds,
    )


def _known(row: Row[Any]) -> Known:
    return Known(
        suppressed_by=row.suppressed_by,
        stops=dict(zip(row.stop_names or (), row.stop_times or (), strict=True)),
        consent=row.consent,
        timezone=row.timezone,
        halt=halt_of(row),
        answered=row.answered,
        age_seconds=row.age_seconds,
        waited_seconds=row.waited_seconds,
    )
