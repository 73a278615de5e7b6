"""Raw events as JSON: taken as any upstream may write them, refused by the member's name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from leadflow.codec import Codec
from leadflow.errors import Malformed
from leadflow.kafka.port import Message
from leadflow.raw_json import decode_raw_event, raw_event_from_json
from leadflow.records import RawEvent, Tick

AT = datetime(2026, 11, 16, 15, 4, 5, 120_000, tzinfo=UTC)
RAW = {
    "event_id": "e-1",
    "tenant_id": "acme",
    "source": "web",
    "kind": "lead",
    "external_id": "x-1",
    "occurred_at": "2026-11-16T09:04:05.120-06:00",
    "payload": {"name": "Zoë", "tags": [1, None]},
}
EXPECTED = RawEvent(
    event_id="e-1",
    tenant_id="acme",
    source="web",
    kind="lead",
    external_id="x-1",
    occurred_at=AT,
    recorded_at=AT,
    payload='{"name":"Zoë","tags":[1,null]}',
)


def message(value: bytes | None) -> Message:
    return Message(
        topic="raw-events",
        partition=0,
        offset=0,
        timestamp_ms=round(AT.timestamp() * 1000),
        key=b"k",
        value=value,
        headers=(),
    )


def test_a_raw_event_may_be_json() -> None:
    value = b"\n " + json.dumps({**RAW, "more": True}).encode()
    assert decode_raw_event(Codec(), message(value)) == EXPECTED


def test_a_raw_event_may_be_avro() -> None:
    assert decode_raw_event(Codec(), message(Codec().encode(EXPECTED))) == EXPECTED


def test_another_record_is_no_raw_event() -> None:
    tick = Tick(event_id="t", tenant_id="", occurred_at=AT, recorded_at=AT, source="s", partition=0)
    with pytest.raises(Malformed, match="a Tick is no raw event"):
        decode_raw_event(Codec(), message(Codec().encode(tick)))


@pytest.mark.parametrize("name", RAW)
def test_a_missing_member_is_named(name: str) -> None:
    broken = {key: value for key, value in RAW.items() if key != name}
    with pytest.raises(Malformed, match=f"^{name} is missing"):
        raw_event_from_json(json.dumps(broken), AT)


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("value", [None, 7, True, ["secret"], " "])
def test_a_member_of_another_type_is_named_without_its_value(name: str, value: Any) -> None:
    with pytest.raises(Malformed, match=f"^{name} is missing or not") as caught:
        raw_event_from_json(json.dumps({**RAW, name: value}), AT)
    assert "secret" not in str(caught.value)


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(Malformed, match="occurred_at has no offset"):
        raw_event_from_json(json.dumps({**RAW, "occurred_at": "2026-11-16T09:04:05"}), AT)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"{", id="cut short"),
        pytest.param(b'{"a": }', id="no value"),
        pytest.param(b"{\xff}", id="not UTF-8"),
        pytest.param(b"{} {}", id="two on a line"),
        pytest.param(b'{"a": NaN}', id="a constant of Python"),
        pytest.param(b'{"a":' + b"[" * 100_000, id="too deep"),
    ],
)
def test_a_line_that_is_not_json_is_refused(value: bytes) -> None:
    with pytest.raises(Malformed, match="not JSON"):
        decode_raw_event(Codec(), message(value))


def test_a_text_that_utf8_cannot_hold_is_refused() -> None:
    with pytest.raises(Malformed, match="payload holds half a character"):
        raw_event_from_json(json.dumps({**RAW, "payload": {"name": "\ud83d"}}), AT)


def test_a_time_at_the_edge_of_the_calendar_is_refused() -> None:
    with pytest.raises(Malformed, match="outside the calendar"):
        raw_event_from_json(json.dumps({**RAW, "occurred_at": "0001-01-01T00:00:00+02:00"}), AT)
