"""The topics messages and message-events, and the dispatcher's dead letters, to their ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from dispatcher.facts import address_key
from leadflow import records
from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.kafka.port import Message
from leadflow.topics import DISPATCHER_DLQ, MESSAGE_EVENTS, MESSAGES
from leadflow_cli.ledger import FINAL
from leadflow_cli.reading import Reader
from leadflow_cli.verify.columns import as_queued_of
from leadflow_cli.verify.notes import Notes
from rendering.cleaning import cleaned

AT_ONCE = 5_000
QUEUE = """
    INSERT INTO queued VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET read = max(read, excluded.read)
"""
PLACE = "INSERT OR IGNORE INTO places VALUES (?, ?, ?)"
DEAD = "INSERT OR IGNORE INTO dead VALUES (?, ?)"
TELL = "INSERT OR IGNORE INTO told VALUES (?, ?, ?, ?, ?)"


class LogWalk:
    """`read_to` is the dispatcher's offset in each partition of `messages`: what lies before it
    has to be in the ledger, what lies behind it may still be on its way."""

    def __init__(self, notes: Notes, tenant_id: str | None, read_to: Mapping[int, int]) -> None:
        self._notes = notes
        self._tenant_id = tenant_id
        self._read_to = read_to
        self._codec = Codec()
        self._waiting: dict[str, list[tuple[Any, ...]]] = {}

    def whole(self, log: Reader, tell: Callable[[str, int], None]) -> None:
        """Raises CliError."""
        topics = (MESSAGES.name, MESSAGE_EVENTS.name, DISPATCHER_DLQ.name)
        places = [place for topic in topics for place in log.partitions(topic)]
        seen = 0
        for seen, message in enumerate(log.to_end(places), start=1):
            self._take(message)
            if seen % AT_ONCE == 0:
                self._write()
                tell("records of the log", seen)
        self._write()
        tell("records of the log", seen)

    def _take(self, message: Message) -> None:
        if message.topic == DISPATCHER_DLQ.name:
            if message.header("dlq-topic") == MESSAGES.name.encode():
                place = tuple(
                    int(message.header(name) or b"-1") for name in ("dlq-partition", "dlq-offset")
                )
                self._note(DEAD, place)
            return
        queue = message.topic == MESSAGES.name
        read = message.offset < self._read_to.get(message.partition, 0)
        try:
            record = self._codec.decode(message.value or b"")
        except CodecError:
            if queue and read and self._tenant_id is None:
                self._note(PLACE, (None, message.partition, message.offset))
            return
        if self._tenant_id not in (None, record.tenant_id):
            return
        if isinstance(record, records.MessageQueued) and queue:
            self._note(QUEUE, queued_of(record, read=read))
            self._note(PLACE, (record.message_id, message.partition, message.offset))
        elif (said := told_of(record)) is not None:
            self._note(TELL, said)

    def _note(self, statement: str, row: tuple[Any, ...]) -> None:
        self._waiting.setdefault(statement, []).append(row)

    def _write(self) -> None:
        for statement, rows in self._waiting.items():
            self._notes.add(statement, rows)
        self._waiting.clear()


def queued_of(record: records.MessageQueued, *, read: bool) -> tuple[Any, ...]:
    """What was queued, as the ledger is to have it; addresses as hashes."""
    recipient = cleaned(record.recipient).strip()
    address = address_key(record.channel, recipient)
    hashes = [
        hashlib.sha256(each.encode()).hexdigest() if each else None for each in (recipient, address)
    ]
    return (
        record.message_id, record.tenant_id, int(read), record.lead_id, record.channel, *hashes,
        as_queued_of(record),
    )  # fmt: skip


def told_of(record: Any) -> tuple[Any, ...] | None:
    """What an event says of its message's end; None for an event that tells of none."""
    end = FINAL.get(type(record))
    if end is None:
        return None
    return (
        record.message_id,
        end,
        record.tenant_id,
        getattr(record, "body_hash", None),
        getattr(record, "provider_id", None),
    )
