from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadflow.codec import Codec
from leadflow.kafka.dead_letters import NAMES
from leadflow.kafka.reviews import DISCARDED, OPEN, REPLAYED, Filter, Run, standing
from leadflow.records import LeadCreated
from leadflow.redacted import redacted
from leadflow_cli.dlq import Dead, age, dead_letters, fitting, grouped, plan

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def letter(
    message: Any, reason: str, *, at: int = 0, service: str = "intake", topic: str = "raw-events"
) -> Any:
    texts = (service, topic, "3", "41", "Malformed", reason, "2026-11-21T10:44:54+00:00")
    headers = tuple(zip(NAMES, (text.encode() for text in texts), strict=True))
    return message(f"{service}-dlq", b"bytes", headers=headers, timestamp_ms=at)


def reviewed(action: str, *letter_ids: str) -> Any:
    run = Run(run_id=action, action=action, chosen="", by="olga", reason=None, source="cli")
    return [
        run.review(letter_id=each, tenant_id="", service="", cause="", at=AT) for each in letter_ids
    ]


def read(messages: list[Any], *reviews: Any) -> list[Dead]:
    return dead_letters(Codec(), messages, standing(reviews))


def test_letters_come_the_oldest_first_however_they_are_read(message: Any) -> None:
    places = [(1, 0), (0, 0), (0, 1)]
    letters = [message("intake-dlq", b"x", partition=p, offset=o) for p, o in places]
    names = ["intake-dlq:0:0", "intake-dlq:0:1", "intake-dlq:1:0"]
    assert [each.letter_id for each in read(letters)] == names
    assert [each.letter_id for each in read(letters[::-1])] == names


def test_letters_are_grouped_by_service_and_cause_and_counted_by_how_they_stand(
    message: Any,
) -> None:
    messages = [
        letter(message, "not JSON", at=1),
        letter(message, "no schema 17", at=2),
        letter(message, "not JSON", at=3),
        letter(message, "no schema 18", at=4),
        letter(message, "not JSON", at=5, service="dispatcher"),
    ]
    done = reviewed(REPLAYED, "intake-dlq:0:0", "intake-dlq:0:2")
    found = [
        (group.service, group.cause, dict(group.states)) for group in grouped(read(messages, *done))
    ]
    assert found == [
        ("intake", "Malformed: no schema #", {OPEN: 2}),
        ("dispatcher", "Malformed: not JSON", {OPEN: 1}),
        ("intake", "Malformed: not JSON", {REPLAYED: 2}),
    ]


def test_a_letter_without_our_headers_is_of_its_topics_service(message: Any) -> None:
    (dead,) = read([message("crm-sync-dlq", b"x")])
    assert (dead.letter.service, dead.letter.cause, dead.state) == ("crm-sync", "unknown", OPEN)


def test_a_second_replay_passes_over_what_was_replayed_and_says_so(message: Any) -> None:
    messages = [
        letter(message, "a"), letter(message, "b"), letter(message, "c"),
        letter(message, "d", topic="a changelog"),
    ]  # fmt: skip
    done = [*reviewed(REPLAYED, "intake-dlq:0:0"), *reviewed(DISCARDED, "intake-dlq:0:1")]
    letters = read(messages, *done)
    once = plan(letters, REPLAYED, again=False)
    assert [each.letter_id for each in once.taken] == ["intake-dlq:0:2"]
    assert once.passed == {
        "replayed before": 1,
        "discarded before": 1,
        "a changelog is no topic that records go back to": 1,
    }
    again = plan(letters, REPLAYED, again=True)
    assert [each.letter_id for each in again.taken] == [
        "intake-dlq:0:0", "intake-dlq:0:1", "intake-dlq:0:2",
    ]  # fmt: skip
    gone = plan(letters, DISCARDED, again=False)
    assert [each.letter_id for each in gone.taken] == ["intake-dlq:0:2", "intake-dlq:0:3"]


def test_a_filter_by_tenant_takes_letters_whose_record_can_be_read(
    message: Any, record: Any
) -> None:
    created = record(LeadCreated, tenant_id="acme")
    headers = (("dlq-topic", b"lead-events"),)
    letters = read(
        [message("crm-sync-dlq", created, headers=headers), message("crm-sync-dlq", b"x")]
    )
    (found,) = fitting(letters, Filter(tenant="acme"))
    assert (found.was, found.event_id) == ("LeadCreated", created.event_id)


@pytest.mark.parametrize(
    ("passed", "told"),
    [
        (timedelta(seconds=40), "40 s"),
        (timedelta(minutes=12, seconds=59), "12 min"),
        (timedelta(hours=5), "5 h"),
        (timedelta(days=3, hours=7), "3 d"),
        (timedelta(seconds=-5), "0 s"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_fits(passed: timedelta, told: str) -> None:
    assert age(AT - passed, AT) == told


def test_json_is_shown_by_its_shape_with_where_it_came_from() -> None:
    value = (
        b'{"event_id": "e-1", "kind": "lead", "source": {"name": "Ada"}, "payload": '
        b'{"name": "Ada", "budget": {"amount": 7}, "photos": ["u"], "sms": true}}'
    )
    shown = redacted(Codec(), value)
    assert '"event_id": "e-1"' in shown
    assert '"name": "<text of 3>"' in shown
    assert '"amount": "<number>"' in shown
    assert '"sms": true' in shown
    assert "Ada" not in shown


def test_text_that_took_the_place_of_a_payload_is_not_shown() -> None:
    shown = redacted(Codec(), b'{"kind": "lead", "payload": "name=Ada&phone=5550100"}')
    assert "Ada" not in shown
    assert '"payload": "<text of 22>"' in shown


def test_a_record_is_shown_without_the_person(record: Any) -> None:
    codec = Codec()
    created = record(LeadCreated, first_name="Ada", status="active")
    shown = redacted(codec, codec.encode(created))
    assert '"type": "LeadCreated"' in shown
    assert '"status": "active"' in shown
    assert "Ada" not in shown
    assert '"first_name": "[redacted]"' in shown


def test_what_cannot_be_read_is_shown_by_size_and_hash() -> None:
    assert redacted(Codec(), b"FAX from Ada") == (
        "12 bytes, SHA-256 fb744f349895b36b3a7bd99d13927680fc9f98cd37d8eb348497c591d326cbf0"
    )
    assert redacted(Codec(), None) == "no value"
    assert "Ada" not in redacted(Codec(), b'["Ada"]')
