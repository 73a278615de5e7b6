from typing import Any

from leadflow.codec import Codec
from leadflow.records import LeadCreated
from leadflow_cli.dlq import grouped, numbered, redacted


def letter(message: Any, reason: str, *, at: int, service: str = "intake") -> Any:
    headers = (
        ("dlq-service", service.encode()),
        ("dlq-topic", b"raw-events"),
        ("dlq-partition", b"3"),
        ("dlq-offset", b"41"),
        ("dlq-error", b"Malformed"),
        ("dlq-reason", reason.encode()),
        ("dlq-at", b"2026-11-21T10:44:54+00:00"),
    )
    return message(f"{service}-dlq", b"bytes", headers=headers, timestamp_ms=at)


def test_letters_are_numbered_from_the_oldest(message: Any) -> None:
    letters = numbered([letter(message, "new", at=2), letter(message, "old", at=1)])
    assert [(each.number, each.reason) for each in letters] == [(1, "old"), (2, "new")]
    assert letters[0].origin == "raw-events[3]@41"


def test_letters_of_one_moment_keep_their_numbers_however_they_are_read(message: Any) -> None:
    places = [(1, 0), (0, 0), (0, 1)]
    letters = [message("intake-dlq", b"x", partition=p, offset=o) for p, o in places]
    forwards, backwards = numbered(letters), numbered(reversed(letters))
    assert [each.message.place for each in forwards] == [each.message.place for each in backwards]
    assert [each.message.offset for each in forwards] == [0, 1, 0]


def test_letters_are_grouped_by_service_and_reason_the_largest_group_first(message: Any) -> None:
    letters = numbered(
        [
            letter(message, "not JSON", at=1),
            letter(message, "no caller", at=2),
            letter(message, "not JSON", at=3),
            letter(message, "not JSON", at=4, service="dispatcher"),
        ]
    )
    assert [
        (group.service, group.reason, [each.number for each in group.letters])
        for group in grouped(letters)
    ] == [
        ("intake", "not JSON", [1, 3]),
        ("dispatcher", "not JSON", [4]),
        ("intake", "no caller", [2]),
    ]


def test_a_letter_without_our_headers_is_of_its_topics_service(message: Any) -> None:
    (dead,) = numbered([message("crm-sync-dlq", b"x")])
    assert (dead.service, dead.reason) == ("crm-sync", "unknown")


def test_json_is_shown_by_its_shape_with_where_it_came_from() -> None:
    value = (
        b'{"event_id": "e-1", "kind": "lead", "payload": '
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
    assert shown.startswith("LeadCreated: ")
    assert "status active" in shown
    assert "Ada" not in shown


def test_what_cannot_be_read_is_shown_by_size_and_hash() -> None:
    assert redacted(Codec(), b"FAX from Ada") == (
        "12 bytes, SHA-256 fb744f349895b36b3a7bd99d13927680fc9f98cd37d8eb348497c591d326cbf0"
    )
    assert redacted(Codec(), None) == "no value"
    assert "Ada" not in redacted(Codec(), b'["Ada"]')
