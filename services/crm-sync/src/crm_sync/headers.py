"""What a record in a retry topic says beside its original bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from crm_sync.model import Origin, Waiting
from leadflow.errors import Malformed
from leadflow.kafka.port import Headers, Message, Outgoing

PREFIX = "retry-"


@dataclass(frozen=True, slots=True)
class RetryHeaders:
    """Headers `retry-topic`, `-partition`, `-offset` (the origin), `-attempt`, `-hop`,
    `-due` (ISO 8601, UTC), `-error` (class) and `-reason`."""

    origin: Origin
    attempts: int
    hop: int
    due_at: datetime


def read(message: Message) -> RetryHeaders:
    """Raises Malformed if the message was not put into its topic by crm-sync."""
    try:
        return RetryHeaders(
            Origin(
                _text(message, "topic"),
                int(_text(message, "partition")),
                int(_text(message, "offset")),
            ),
            int(_text(message, "attempt")),
            int(_text(message, "hop")),
            datetime.fromisoformat(_text(message, "due")).astimezone(UTC),
        )
    except ValueError as error:
        raise Malformed("a header of the retry topic cannot be read") from error


def due_at(message: Message) -> datetime | None:
    """The gate of the retry loops: not before this. None lets a strange message through to
    where it is refused."""
    try:
        return read(message).due_at
    except Malformed:
        return None


def original(message: Message) -> Message:
    """The message as it was in its first topic, whichever topic it was read from."""
    if message.header(f"{PREFIX}topic") is None:
        return message
    origin = read(message).origin
    headers = tuple(header for header in message.headers if not header[0].startswith(PREFIX))
    return replace(
        message,
        topic=origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        headers=headers,
    )


def waiting_copy(message: Message, entry: Waiting, topic: str, error: str, reason: str) -> Outgoing:
    """`message` for the retry topic. Its key puts it into the same partition number."""
    first = original(message)
    headers: Headers = (
        *first.headers,
        (f"{PREFIX}topic", entry.origin.topic.encode()),
        (f"{PREFIX}partition", str(entry.origin.partition).encode()),
        (f"{PREFIX}offset", str(entry.origin.offset).encode()),
        (f"{PREFIX}attempt", str(entry.attempts).encode()),
        (f"{PREFIX}hop", str(entry.hop).encode()),
        (f"{PREFIX}due", entry.due_at.isoformat().encode()),
        (f"{PREFIX}error", error.encode()),
        (f"{PREFIX}reason", reason.encode()),
    )
    return Outgoing(topic, first.key, first.value, headers)


def _text(message: Message, name: str) -> str:
    value = message.header(PREFIX + name)
    if value is None:
        raise Malformed(f"header {PREFIX}{name} is missing")
    return value.decode()
