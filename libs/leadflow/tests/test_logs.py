"""Nothing that a schema marks as personal reaches a log line, at any depth."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from leadflow import logs
from leadflow.codec import schemas
from leadflow.errors import BrokerError, RecordRefused, public_reason
from leadflow.records import RECORD_TYPES, ConsentGrant, Record

ADDRESS = "m@example.com"
Examples = dict[tuple[str, int], dict[str, Any]]


def marked(node: Any) -> set[str]:
    """Names of the fields that a schema marks, at any depth."""
    if isinstance(node, list):
        return {name for item in node for name in marked(item)}
    if not isinstance(node, dict):
        return set()
    own = {node["name"]} if node.get("privacy") == "pii" else set()
    return own | {name for item in node.values() for name in marked(item)}


def texts(node: Any, names: set[str], personal: bool, inside: bool = False) -> set[str]:
    """Every text in a field that is marked or lies in one; or, not `personal`, in all others."""
    if isinstance(node, dict):
        items = (texts(v, names, personal, inside or k in names) for k, v in node.items())
        return set().union(*items)
    if isinstance(node, list):
        return set().union(*(texts(item, names, personal, inside) for item in node))
    return {node} if inside is personal and isinstance(node, str) else set()


def line(**event: Any) -> str:
    """The event as it is written."""
    return json.dumps(logs.redact(None, "info", event), default=str, ensure_ascii=False)


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda each: each.TYPE)
def test_no_personal_text_of_any_record_is_written(
    record_type: type[Record], examples: Examples
) -> None:
    values = examples[record_type.TYPE, record_type.VERSION]
    names = marked(next(s for s in schemas() if s["name"] == record_type.TYPE))
    # An owner's name is written for what it is, even where a template repeats it.
    hidden = texts(values, names, True) - texts(values, names, False)
    assert bool(hidden) == bool(names)
    written = line(event="handled", each=[values])
    written += line(event="handled", record=record_type.from_avro(values))
    for text in hidden:
        assert json.dumps(text, ensure_ascii=False) not in written
    assert record_type.TYPE in written
    assert written.count(values["event_id"]) == 2


@pytest.mark.parametrize("name", sorted(marked([*schemas()])))
def test_a_field_of_a_marked_name_is_hidden_on_its_own(name: str) -> None:
    assert line(**{name: "Marisol"}) == json.dumps({name: logs.REDACTED})
    assert "Marisol" not in line(a={"b": [{name: {"c": "Marisol"}}]})
    assert line(**{name: None}) == json.dumps({name: None})


def test_why_something_is_tried_again_can_be_read() -> None:
    assert line(reason=public_reason(BrokerError("no answer"))) == '{"reason": "no answer"}'


@pytest.mark.parametrize(
    "said", [ADDRESS, str(ValueError(ADDRESS)), public_reason(ValueError(ADDRESS)), [ADDRESS]]
)
def test_a_reason_tells_of_nobody_wherever_it_comes_from(said: Any) -> None:
    assert ADDRESS not in line(reason=said)
    assert ADDRESS not in line(record={"reason": said})


def test_a_nested_record_on_its_own_is_redacted() -> None:
    grant = ConsentGrant(channel="sms", granted=True, ip="203.0.113.24")
    written = line(grants=(grant,))
    assert "203.0.113.24" not in written
    assert '"channel": "sms"' in written


def test_what_is_not_personal_stays() -> None:
    assert (
        line(event="ready", port=8091, at=[1, 2])
        == '{"event": "ready", "port": 8091, "at": [1, 2]}'
    )


def test_an_error_is_told_without_the_words_of_others() -> None:
    try:
        try:
            raise ValueError(f"Key (email)=({ADDRESS}) already exists")
        except ValueError as error:
            raise RecordRefused("stage", "lost needs a reason") from error
    except RecordRefused as error:
        event = logs.describe_error(None, "error", {"event": "failed", "exc_info": error})
        same = logs.describe_error(None, "error", {"event": "failed", "exc_info": True})
    assert same == event
    written = event["exception"]
    assert ADDRESS not in written
    first, second = written.split("which led to\n")
    assert first.endswith("\nValueError\n")
    assert second.endswith("\nRecordRefused: stage: lost needs a reason\n")
    assert written.count("test_logs.py") == 2


def test_a_group_of_errors_is_told_one_by_one() -> None:
    group = ExceptionGroup(ADDRESS, [ValueError(ADDRESS), KeyError(ADDRESS)])
    event = logs.describe_error(None, "error", {"exc_info": (type(group), group, None)})
    assert event == {"exception": "ExceptionGroup\nValueError\nKeyError\n"}


def test_an_event_without_an_error_stays_as_it_is() -> None:
    assert logs.describe_error(None, "info", {"event": "a", "exc_info": None}) == {"event": "a"}


def test_a_service_writes_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        logs.configure("intake")
        structlog.get_logger().info("sent", recipient="m@example.com", count=2)
        written = json.loads(capsys.readouterr().err)
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    at = datetime.fromisoformat(written.pop("timestamp"))
    assert at.tzinfo == UTC
    assert written == {
        "event": "sent",
        "level": "info",
        "service": "intake",
        "recipient": logs.REDACTED,
        "count": 2,
    }
