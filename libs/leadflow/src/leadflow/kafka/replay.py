"""Dead letters as people look at them, and the copy that goes back to where one came from. Pure.

A copy has the key, the bytes and the headers of the record as it was, and three headers more:

    replay-of      the dead letter: topic:partition:offset
    replay-for     the service that buried it: all others pass the copy over, as they have had
                   the record already (ADR 30)
    replay-origin  partition:offset of the record's first place, however often it comes back
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from leadflow import topics
from leadflow.codec import Codec
from leadflow.errors import CodecError, LeadflowError
from leadflow.kafka.dead_letters import NAMES
from leadflow.kafka.port import Headers, Message, Outgoing
from leadflow.raw_json import decode_raw_event
from leadflow.records import Record

SUFFIX = "-dlq"
OF, FOR, ORIGIN = "replay-of", "replay-for", "replay-origin"
_RULE = re.compile(r"([a-z][a-z0-9_]*): ")
_VARYING = re.compile(r"\b[0-9a-f]{16,}\b|\d+")
_ID = re.compile(r"([a-z-]+-dlq):(\d+):(\d+)")
_CATALOGUE = frozenset(topic.name for topic in topics.ALL)


class NotReplayable(LeadflowError):
    """A dead letter that cannot go back: the text says why."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter by its headers. `origin_partition` and `origin_offset` are -1 where they
    cannot be read; `at` is the broker's time of the letter."""

    message: Message
    service: str
    origin_topic: str
    origin_partition: int
    origin_offset: int
    error: str
    reason: str
    at: datetime
    replay_of: str

    @property
    def letter_id(self) -> str:
        return letter_id(self.message.topic, self.message.partition, self.message.offset)

    @property
    def cause(self) -> str:
        return cause(self.error, self.reason)

    @property
    def first_place(self) -> str:
        """partition:offset that the record had before anything was replayed."""
        return _text(self.message, ORIGIN) or f"{self.origin_partition}:{self.origin_offset}"


def letter_id(topic: str, partition: int, offset: int) -> str:
    return f"{topic}:{partition}:{offset}"


def place_of(letter: str) -> tuple[str, int, int]:
    """Topic, partition and offset that a letter's id names. Raises ValueError."""
    found = _ID.fullmatch(letter)
    if found is None:
        raise ValueError(f"{letter!r} is no dead letter: they are named like intake-dlq:3:17")
    return found[1], int(found[2]), int(found[3])


def letter_of(message: Message) -> Letter:
    """What a message of a dead-letter topic says of itself."""
    return Letter(
        message=message,
        service=message.topic.removesuffix(SUFFIX),
        origin_topic=_text(message, "dlq-topic"),
        origin_partition=_number(message, "dlq-partition"),
        origin_offset=_number(message, "dlq-offset"),
        error=_text(message, "dlq-error") or "unknown",
        reason=_text(message, "dlq-reason"),
        at=datetime.fromtimestamp(message.timestamp_ms / 1000, UTC),
        replay_of=_text(message, OF),
    )


def cause(error: str, reason: str) -> str:
    """Why a letter is there, the same for all that are there for one cause: the error's class and
    the rule, or the error's words without the numbers and ids that vary."""
    found = _RULE.match(reason)
    told = found[1] if found else _VARYING.sub("#", reason)
    return error if told in ("", error) else f"{error}: {told}"


def record_of(codec: Codec, letter: Letter) -> Record | None:
    """The record that the letter was, None where nobody can read it."""
    try:
        if letter.origin_topic == topics.RAW_EVENTS.name:
            return decode_raw_event(codec, letter.message)
        return codec.decode(letter.message.value)
    except CodecError:
        return None


def replayable(letter: Letter) -> str | None:
    """Why a letter cannot go back, None where it can."""
    if not letter.origin_topic:
        return "its headers do not say where it came from"
    if letter.origin_topic not in _CATALOGUE or letter.origin_topic.endswith(SUFFIX):
        return f"{letter.origin_topic} is no topic that records go back to"
    if letter.origin_partition < 0:
        return "its headers do not say which partition it came from"
    return None


def copy_of(letter: Letter) -> Outgoing:
    """The record as it was, for the partition that it was read from. Raises NotReplayable."""
    if why := replayable(letter):
        raise NotReplayable(f"{letter.letter_id}: {why}")
    message = letter.message
    return Outgoing(
        letter.origin_topic,
        message.key,
        message.value,
        (
            *original_headers(message.headers),
            (OF, letter.letter_id.encode()),
            (FOR, letter.service.encode()),
            (ORIGIN, letter.first_place.encode()),
        ),
        letter.origin_partition,
    )


def original_headers(headers: Headers) -> Headers:
    """The headers that the record came with: without those of its burial, which are the last, and
    of an earlier replay."""
    buried = tuple(name for name, _ in headers[-len(NAMES) :]) == NAMES
    own = headers[: -len(NAMES)] if buried else headers
    return tuple(header for header in own if header[0] not in (OF, FOR, ORIGIN))


def is_for(message: Message, service: str) -> bool:
    """Whether a service has to look at a message; a replay is one service's."""
    wanted = message.header(FOR)
    return wanted is None or wanted == service.encode()


def _text(message: Message, header: str) -> str:
    return (message.header(header) or b"").decode("utf-8", "replace")


def _number(message: Message, header: str) -> int:
    try:
        return int(message.header(header) or b"-1")
    except ValueError:
        return -1
