"""What cannot be read is counted, with what is known of it."""

from __future__ import annotations

import json

import pytest

from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.kafka.port import Message
from portal_api.decode import Buried, Unreadable, decoder

RAW = {
    "event_id": "raw-1",
    "tenant_id": "acme",
    "source": "web",
    "kind": "lead",
    "external_id": "1",
    "occurred_at": "2026-11-20T09:00:00Z",
    "payload": {},
}
HEADERS = (
    ("dlq-topic", b"raw-events"),
    ("dlq-partition", b"3"),
    ("dlq-offset", b"17"),
    ("dlq-error", b"Malformed"),
    ("dlq-reason", b"not JSON"),
)


def message(topic: str, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> Message:
    return Message(topic, 3, 17, b"key", value, headers, 1_700_000_000_000)


def test_an_unreadable_raw_event_goes_by_its_place() -> None:
    record = decoder(Codec())(message("raw-events", b"\x00\x01 nonsense"))
    assert isinstance(record, Unreadable)
    assert (record.tenant_id, record.event_id) == ("", "3:17")


def test_its_dead_letter_goes_by_the_same_place() -> None:
    record = decoder(Codec())(message("intake-dlq", b"nonsense", HEADERS))
    assert isinstance(record, Buried)
    assert (record.tenant_id, record.event_id) == ("", "3:17")
    assert (record.service, record.error, record.reason) == ("intake", "Malformed", "not JSON")


def test_a_dead_letter_that_can_be_read_goes_by_its_event() -> None:
    record = decoder(Codec())(message("intake-dlq", json.dumps(RAW).encode(), HEADERS))
    assert (record.tenant_id, record.event_id) == ("acme", "raw-1")


def test_a_dead_letter_without_headers_is_still_counted() -> None:
    record = decoder(Codec())(message("intake-dlq", b"nonsense"))
    assert record.event_id == "-1:-1"


def test_bytes_of_our_own_topics_that_cannot_be_read_are_our_fault() -> None:
    with pytest.raises(CodecError):
        decoder(Codec())(message("lead-events", b"nonsense"))


def test_what_comes_back_from_a_replay_goes_by_the_place_that_it_had_first() -> None:
    replayed = (("replay-of", b"intake-dlq:3:5"), ("replay-origin", b"1:4"))
    raw = decoder(Codec())(message("raw-events", b"nonsense", replayed))
    letter = decoder(Codec())(message("intake-dlq", b"nonsense", (*replayed, *HEADERS)))
    assert raw.event_id == letter.event_id == "1:4"
    assert isinstance(letter, Buried)
    assert (letter.replay_of, letter.stuck) == ("intake-dlq:3:5", None)


def test_a_dead_letter_says_why_it_is_there_and_whether_it_can_go_back() -> None:
    letter = decoder(Codec())(message("intake-dlq", json.dumps(RAW).encode(), HEADERS[:1]))
    assert isinstance(letter, Buried)
    assert (letter.was, letter.cause) == ("RawEvent", "unknown")
    assert letter.stuck == "its headers do not say which partition it came from"
