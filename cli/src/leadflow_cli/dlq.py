"""Dead letters: grouped by why they are there, and shown without the person. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.kafka.port import Message
from leadflow_cli.wording import describe

# Members of a raw event that say where it came from, and hold no person.
_PLAIN = ("event_id", "tenant_id", "source", "kind", "external_id", "occurred_at")


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead letter, from the headers of leadflow.kafka.dead_letters. `number` counts the letters
    of the listing from 1, the oldest first."""

    number: int
    service: str
    reason: str
    error: str
    at: str
    origin: str
    message: Message


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one service with one reason."""

    service: str
    reason: str
    letters: tuple[Dead, ...]


def numbered(messages: Iterable[Message]) -> list[Dead]:
    """The letters in the order in which they were put away."""
    ordered = sorted(messages, key=lambda each: (each.timestamp_ms, *each.place, each.offset))
    return [
        Dead(
            number=number,
            service=_text(message, "dlq-service") or message.topic.removesuffix("-dlq"),
            reason=_text(message, "dlq-reason") or "unknown",
            error=_text(message, "dlq-error"),
            at=_text(message, "dlq-at"),
            origin=f"{_text(message, 'dlq-topic')}[{_text(message, 'dlq-partition')}]"
            f"@{_text(message, 'dlq-offset')}",
            message=message,
        )
        for number, message in enumerate(ordered, start=1)
    ]


def grouped(letters: Iterable[Dead]) -> list[Group]:
    """By service and reason, the largest group first."""
    groups: dict[tuple[str, str], list[Dead]] = {}
    for letter in letters:
        groups.setdefault((letter.service, letter.reason), []).append(letter)
    found = [Group(service, reason, tuple(each)) for (service, reason), each in groups.items()]
    return sorted(found, key=lambda group: (-len(group.letters), group.service, group.reason))


def redacted(codec: Codec, value: bytes | None) -> str:
    """What can be said about the bytes without showing a person: a record's plain fields, the
    shape of JSON, or the size and the hash of what cannot be read."""
    if value is None:
        return "no value"
    try:
        record = codec.decode(value)
    except CodecError:
        pass
    else:
        return f"{record.TYPE}: {describe(record)}"
    try:
        data = json.loads(value)
    except ValueError:
        return f"{len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()}"
    if not isinstance(data, dict):
        return f"JSON: {_shape(data)}"
    shown = {name: part if name in _PLAIN else _shape(part) for name, part in data.items()}
    return json.dumps(shown, ensure_ascii=False, indent=1)


def _shape(value: Any) -> Any:
    """The value without its texts and numbers."""
    match value:
        case dict():
            return {name: _shape(part) for name, part in value.items()}
        case list():
            return [_shape(part) for part in value]
        case str():
            return f"<text of {len(value)}>"
        case bool() | None:
            return value
        case _:
            return "<number>"


def _text(message: Message, header: str) -> str:
    return (message.header(header) or b"").decode(errors="replace")
