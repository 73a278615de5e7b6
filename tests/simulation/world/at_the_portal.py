"""What must hold at the portal: what it shows is what the log says, what it answered is so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from leadflow import ids
from leadflow.kafka.loop import Received
from portal_api.bulk.model import LIVE
from portal_api.decode import decoder
from portal_api.projections import project
from portal_api.projections.handler import fresh
from portal_api.projections.rows import Row, Table
from portal_api.projections.tables import (
    CONSENTS,
    DEAD_LETTERS,
    ENROLLMENTS,
    LEADS,
    MESSAGES,
    RAW_EVENTS,
    REFUSALS,
    REPLIES,
    STAGE_MOVES,
)
from sequencer.model import LeadRow

from .durable import Durable
from .portal import PROJECTED, Asked
from .portal_tables import PortalTables
from .story import CODEC, COMMANDS, raw_event
from .story import RAW_EVENTS as RAW

# What two topics say of one row with the same right is as they happened to be read.
EITHER = {
    MESSAGES.name: {"scheduled_for", "subject", "body"},
    RAW_EVENTS.name: {"lead_id"},
}
OF_EQUAL_RANK = {"state", "rule", "inputs", "reason", "provider", "provider_id"}
SHOWN: tuple[Table, ...] = (
    LEADS, CONSENTS, STAGE_MOVES, REPLIES, ENROLLMENTS, REFUSALS, MESSAGES, RAW_EVENTS,
    DEAD_LETTERS,
)  # fmt: skip


def shown_and_asked(
    durable: Durable, tables: PortalTables, asked: Iterable[Asked], rows: Sequence[LeadRow]
) -> Iterator[str]:
    """Everything that is wrong, in words; `rows` are the sequencer's at the end."""
    yield from _as_the_log_says(durable, tables)
    yield from _as_it_is(tables, rows)
    yield from _answered(durable, asked)
    yield from _carried_out(durable, tables)


def _as_the_log_says(durable: Durable, tables: PortalTables) -> Iterator[str]:
    """The read models of one reader who reads every topic once, from its beginning to its end."""
    read = decoder(CODEC)
    log = [
        Received(message, read(message))
        for topic in PROJECTED
        for place, messages in durable.logs.items()
        if place.topic == topic
        for message in messages
    ]
    wanted = project(fresh(log, {each.record.event_id for each in log}))
    for table in SHOWN:
        there = {key: _plain(table, row) for key, row in tables.of(table).items()}
        meant = {
            tuple(row[part] for part in table.key): _plain(table, row) for row in wanted.of(table)
        }
        for key in there.keys() | meant.keys():
            if there.get(key) != meant.get(key):
                yield f"SHOWN WRONG: {table.name} {key}: {there.get(key)} for {meant.get(key)}"


def _plain(table: Table, row: Row) -> Row:
    left_out = EITHER.get(table.name, set())
    if table is MESSAGES and row.get("rank") == 5:
        left_out = left_out | OF_EQUAL_RANK
    return {k: v for k, v in row.items() if v is not None and k not in left_out}


def _as_it_is(tables: PortalTables, rows: Sequence[LeadRow]) -> Iterator[str]:
    """An enrollment runs where the sequencer has it running, and is over where that is."""
    shown = tables.of(ENROLLMENTS)
    for row in rows:
        over = [
            ids.enrollment_id(row.lead_id, each.sequence_id, each.entries) for each in row.finished
        ]
        live = [each.enrollment_id for each in row.live]
        for enrollment_id in (*over, *live):
            status = shown.get((enrollment_id,), {}).get("status", "nowhere")
            if (status in LIVE) != (enrollment_id in live):
                yield f"SHOWN AS {status}: {enrollment_id[:8]} of lead {row.lead_id[:8]}"


def _answered(durable: Durable, asked: Iterable[Asked]) -> Iterator[str]:
    """Everybody was answered; who was told that it was taken can rely on it; one request is one
    command, however often it was repeated."""
    said = {raw.event_id: raw for raw in map(raw_event, _log(durable, RAW))}
    commands: dict[str, set[str]] = defaultdict(set)
    for message in _log(durable, COMMANDS):
        record: Any = CODEC.decode(message.value)
        commands[getattr(record, "requested_by", "")].add(record.event_id)
    opted_out = "".join(raw.payload for raw in said.values() if raw.kind == "opt_out")
    for each in asked:
        if each.final is None:
            yield f"NEVER ANSWERED: {each.key}"
            continue
        status, body = each.final
        if each.what == "unsubscribe":
            if status == 200 and f"of message {each.key}" not in opted_out:
                yield f"LOST THOUGH ANSWERED: {each.key}"
            continue
        if len(commands[each.key]) > 1:
            yield f"ASKED FOR TWICE: {each.key}"
        told = body if status == 202 else {}
        if each.what == "mail":
            if status != 202 or told.get("event_id") not in said:
                yield f"LOST THOUGH ANSWERED: {each.key}: {each.final}"
        elif "event_id" in told and told["event_id"] not in commands[each.key]:
            yield f"LOST THOUGH ANSWERED: {each.key}"
        elif told.get("said") and told["said"] not in said:
            yield f"LOST THOUGH ANSWERED: the opt-out of {each.key}"


def _carried_out(durable: Durable, tables: PortalTables) -> Iterator[str]:
    """Every job came to its end, and asked once for each lead, in the same words each time."""
    words: dict[str, bytes] = {}
    for message in _log(durable, COMMANDS):
        record: Any = CODEC.decode(message.value)
        if getattr(record, "requested_by", "").startswith("bulk-") and (
            words.setdefault(record.event_id, message.value or b"") != message.value
        ):
            yield f"ASKED FOR TWO WAYS: {record.TYPE} of {record.requested_by}"
    for bulk_id, job in tables.jobs.items():
        states = [each["state"] for each in tables.items[bulk_id]]
        if job["state"] != "finished":
            yield f"NEVER CARRIED OUT: {bulk_id}: {states}"
        for item in tables.items[bulk_id]:
            if item["event_id"] not in words:
                yield f"LOST THOUGH ANSWERED: an item of {bulk_id}"


def _log(durable: Durable, topic: str) -> list[Any]:
    return [each for place, log in durable.logs.items() if place.topic == topic for each in log]
