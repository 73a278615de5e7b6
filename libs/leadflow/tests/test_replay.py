"""What is put back of a dead letter, and which letters are meant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from leadflow.kafka.dead_letters import NAMES
from leadflow.kafka.port import Message
from leadflow.kafka.replay import (
    NotReplayable,
    cause,
    copy_of,
    is_for,
    letter_of,
    place_of,
    replayable,
)
from leadflow.kafka.reviews import DISCARDED, OPEN, REPLAYED, Filter, Run, standing, wanted

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
VALUES = ("crm-sync", "lead-events", "7", "41", "CrmNever", "upsert was answered 422", "then")


def buried(*own: tuple[str, bytes], **changes: str) -> Message:
    texts = dict(zip(NAMES, VALUES, strict=True)) | {
        name.replace("_", "-"): value for name, value in changes.items()
    }
    headers = (*own, *((name, value.encode()) for name, value in texts.items()))
    stamp = int(AT.timestamp() * 1000)
    return Message("crm-sync-dlq", 2, 5, b"lead-1", b"bytes", headers, stamp)


def test_a_copy_has_the_bytes_the_key_and_the_headers_of_the_record_and_says_whose_it_is() -> None:
    copy = copy_of(letter_of(buried(("traceparent", b"00-1"), ("dlq-at", b"an upstream's"))))
    assert (copy.topic, copy.partition) == ("lead-events", 7)
    assert (copy.key, copy.value) == (b"lead-1", b"bytes")
    assert copy.headers == (
        ("traceparent", b"00-1"),
        ("dlq-at", b"an upstream's"),
        ("replay-of", b"crm-sync-dlq:2:5"),
        ("replay-for", b"crm-sync"),
        ("replay-origin", b"7:41"),
    )


def test_what_comes_back_and_is_replayed_again_still_knows_its_first_place() -> None:
    first = copy_of(letter_of(buried()))
    second = copy_of(letter_of(buried(*first.headers, dlq_offset="99")))
    assert dict(second.headers) == {
        "replay-of": b"crm-sync-dlq:2:5", "replay-for": b"crm-sync", "replay-origin": b"7:41",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"dlq_topic": ""}, "where it came from"),
        ({"dlq_topic": "intake-dlq"}, "no topic that records go back to"),
        ({"dlq_topic": "sequencer-leads-changelog"}, "no topic that records go back to"),
        ({"dlq_partition": "x"}, "which partition"),
    ],
)
def test_what_has_no_way_back_is_refused_with_the_reason(headers: dict[str, str], why: str) -> None:
    letter = letter_of(buried(**headers))
    assert why in (replayable(letter) or "")
    with pytest.raises(NotReplayable, match=why):
        copy_of(letter)


def test_a_replay_is_for_the_service_that_buried_it_and_any_other_record_for_everybody() -> None:
    message = replace(buried(), headers=(("replay-for", b"crm-sync"),))
    assert is_for(message, "crm-sync")
    assert not is_for(message, "sequencer")
    assert is_for(replace(message, headers=()), "sequencer")


@pytest.mark.parametrize(
    ("error", "reason", "found"),
    [
        ("RecordRefused", "unknown_lead: reply of nobody known", "RecordRefused: unknown_lead"),
        ("Malformed", "not JSON", "Malformed: not JSON"),
        ("CrmNever", "upsert 17: answered 422", "CrmNever: upsert #: answered #"),
        ("UnknownSchema", "no schema with fingerprint 00ff00ff00ff00ff", "UnknownSchema: no "
         "schema with fingerprint #"),
        ("KeyError", "KeyError", "KeyError"),
        ("KeyError", "", "KeyError"),
    ],
)  # fmt: skip
def test_letters_with_one_cause_are_told_alike_whatever_varies(
    error: str, reason: str, found: str
) -> None:
    assert cause(error, reason) == found


def test_a_filter_takes_what_fits_all_of_it_and_says_so_in_words() -> None:
    letter = letter_of(buried(dlq_error="RecordRefused", dlq_reason="unknown_lead: nobody"))
    for reason in ("RecordRefused", "unknown_lead", "RecordRefused: unknown_lead"):
        assert Filter(reason=reason).fits(letter, "acme")
    assert not Filter(reason="unknown").fits(letter, "acme")
    assert Filter(service="crm-sync", tenant="acme", since=AT).fits(letter, "acme")
    assert not Filter(until=AT).fits(letter, "acme")
    assert Filter(until=AT + timedelta(seconds=1)).fits(letter, "acme")
    assert not Filter(tenant="acme").fits(letter, "north")
    assert not Filter(service="intake").fits(letter, "acme")
    assert Filter(letter_ids=("crm-sync-dlq:2:5",)).fits(letter, "acme")
    assert not Filter(letter_ids=("crm-sync-dlq:2:6",)).fits(letter, "acme")
    assert Filter(service="intake", tenant="acme").in_words() == "service intake, tenant acme"
    assert Filter().in_words() == "every dead letter"


def test_a_letters_id_names_its_place() -> None:
    assert place_of("crm-sync-dlq:2:5") == ("crm-sync-dlq", 2, 5)
    for wrong in ("crm-sync-dlq:2", "lead-events:2:5", "x-dlq:a:5", "5"):
        with pytest.raises(ValueError, match="is no dead letter"):
            place_of(wrong)


def test_a_run_that_is_carried_on_notes_the_same_review_again() -> None:
    run = Run(run_id="r", action=REPLAYED, chosen="all", by="olga", reason=None, source="cli")
    about = {"tenant_id": "acme", "service": "intake", "cause": "Malformed"}
    first = run.review(letter_id="intake-dlq:0:1", at=AT, **about)
    later = run.review(letter_id="intake-dlq:0:1", at=AT + timedelta(hours=1), **about)
    other = run.review(letter_id="intake-dlq:0:2", at=AT, **about)
    assert first.event_id == later.event_id != other.event_id
    assert standing([first, other, later]) == {"intake-dlq:0:1": later, "intake-dlq:0:2": other}


def test_what_was_replayed_is_taken_again_only_when_that_is_said() -> None:
    assert wanted(REPLAYED, OPEN, again=False)
    assert not wanted(REPLAYED, REPLAYED, again=False)
    assert not wanted(REPLAYED, DISCARDED, again=False)
    assert wanted(REPLAYED, REPLAYED, again=True)
    assert not wanted(DISCARDED, REPLAYED, again=True)
