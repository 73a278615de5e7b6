import hashlib
import json
from typing import Any

import pytest

from leadflow_cli.lines import key_of, problem_of, ranges, read_lines

EVENT = {
    "event_id": "e-1",
    "tenant_id": "acme",
    "source": "website-form",
    "kind": "lead",
    "external_id": "wf-1",
    "occurred_at": "2026-11-20T06:07:30Z",
    "payload": {"name": "Ada"},
}


def line(**changes: Any) -> bytes:
    return json.dumps(EVENT | changes).encode()


def test_a_raw_event_is_keyed_by_tenant_source_and_external_id() -> None:
    assert key_of(line()) == b"acme:website-form:wf-1"


def test_a_broken_event_whose_key_can_be_read_keeps_its_place_among_those_of_that_key() -> None:
    assert key_of(line(payload="name=Phil", occurred_at="yesterday")) == b"acme:website-form:wf-1"


@pytest.mark.parametrize(
    "value",
    [
        b"FAX: call me",
        b'{"event_id": "cut',
        b"[]",
        b"7",
        b'{"a":' * 100_000,
        line(tenant_id=None),
        line(source=" "),
    ],
)
def test_what_cannot_be_read_is_keyed_by_its_hash(value: bytes) -> None:
    assert key_of(value) == b"unreadable:" + hashlib.sha256(value).hexdigest()[:32].encode()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (line(), None),
        (line(kind="opened"), None),
        (b"FAX: call me", "not JSON"),
        (line(tenant_id=""), "tenant_id is missing or not a text"),
        (line(payload="text"), "payload is missing or not an object"),
        (line(occurred_at="yesterday"), "occurred_at is missing or not an ISO 8601 time"),
        (line(kind="newsletter"), "there is no kind 'newsletter'"),
    ],
)
def test_a_line_is_told_apart_from_a_raw_event_by_the_rules_of_its_shape(
    value: bytes, problem: str | None
) -> None:
    assert problem_of(value) == problem


def test_lines_are_numbered_as_in_the_file_and_their_bytes_stay_as_given() -> None:
    spaced = b'  {"tenant_id": 1}  \r\n'
    read = list(read_lines([line() + b"\n", b"\n", spaced, b"no end"]))
    assert [(each.number, each.value) for each in read] == [
        (1, line()),
        (3, b'  {"tenant_id": 1}  '),
        (4, b"no end"),
    ]
    assert [each.problem is None for each in read] == [True, False, False]


def test_numbers_are_told_in_short() -> None:
    assert ranges([1, 2, 3, 5, 8, 9]) == "1-3, 5, 8-9"
    assert ranges([7]) == "7"
    assert ranges([]) == ""
