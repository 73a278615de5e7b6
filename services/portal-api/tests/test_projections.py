"""Records become the same rows, however they are batched and whichever topic is read first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadflow import ids, records
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message
from portal_api.projections import leads, project
from portal_api.projections.handler import fresh
from portal_api.projections.rows import GREATEST, LAST, LEAST, Rows, Table, by
from portal_api.projections.tables import (
    CONSENTS,
    ENROLLMENTS,
    FIRST_TOUCHES,
    LEADS,
    MESSAGES,
    RAW_EVENTS,
    SUMMARIES,
    SUPPRESSIONS,
    TEST_SENDS,
)
from portal_api.projections.timeline import line

About = Callable[..., dict[str, Any]]
Make = Callable[..., Received]


def profile(fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        **fields,
        "cause_id": "raw-1",
        "revision": 1,
        "external_id": "form-1",
        "status": "active",
        "first_name": "Maria",
        "urgency": "normal",
        "timezone": "UTC",
        "timezone_from": "utc",
        "stage": "new",
        "received": "{}",
        "extra": "{}",
        **more,
    }


def test_an_older_profile_does_not_overwrite_a_newer_one_in_either_order(
    about: About, received: Make
) -> None:
    created = records.LeadCreated(**profile(about(), email="old@example.com"))
    updated = records.LeadUpdated(
        **profile(about(1), revision=2, email="new@example.com", cause_id="raw-2", source="chat")
    )
    for order in permutations([created, updated]):
        (row,) = project([received("lead-events", each) for each in order]).of(LEADS)
        assert row["email"] == "new@example.com"
        assert (row["source"], row["external_id"]) == ("web", "form-1")


def test_a_refused_resend_leaves_the_message_as_it_was(about: About, received: Make) -> None:
    enrollment = ids.enrollment_id("lead-1", "acme.one", 1)
    unknown = records.MessageUnknown(
        **about(),
        message_id=ids.message_id(enrollment, "hello"),
        enrollment_id=enrollment,
        sequence_id="acme.one",
        step_id="hello",
        channel="sms",
        provider="sms-api",
        reason="no answer",
    )
    refused = records.StepSkipped(
        **about(5),
        enrollment_id=enrollment,
        sequence_id="acme.one",
        sequence_version=1,
        step_id="hello",
        step_index=0,
        channel="sms",
        rule="quiet_hours",
        inputs={"resend_of": unknown.message_id, "by": "olga"},
    )
    batch = [received("message-events", unknown), received("enrollment-events", refused)]
    (row,) = project(batch).of(MESSAGES)
    assert row["state"] == "unknown"
    assert list(project(batch).of(ENROLLMENTS)) == []


def test_a_word_about_a_doubt_is_news_and_leaves_the_message_in_doubt(
    about: About, received: Make
) -> None:
    word = records.DoubtSettled(
        **about(5), message_id="m-1", outcome="sent", settled_by="olga", reason="it is in the log"
    )
    (row,) = project([received("message-reviews", word)]).of(MESSAGES)
    assert row == {
        "message_id": "m-1",
        "tenant_id": "acme",
        "lead_id": "lead-1",
        "updated_at": word.recorded_at,
    }


def test_a_stage_change_of_a_lower_revision_is_passed_over(about: About, received: Make) -> None:
    moved = records.StageChanged(
        **about(), cause_id="raw-2", revision=3, from_stage="new", to_stage="won"
    )
    late = records.LeadUpdated(**profile(about(1), revision=2, stage="contacted"))
    for order in permutations([moved, late]):
        (row,) = project([received("lead-events", each) for each in order]).of(LEADS)
        assert row["stage"] == "won"


@pytest.mark.parametrize(
    ("record", "became"),
    [
        (lambda f: records.LeadCreated(**profile(f)), "normalized"),
        (lambda f: records.LeadCreated(**profile(f, status="quarantined")), "quarantined"),
        (lambda f: records.LeadUpdated(**profile(f, duplicate_rule="email")), "merged"),
        (lambda f: records.LeadUpdated(**profile(f)), "normalized"),
        (
            lambda f: records.BookingMade(**f, cause_id="raw-1"),
            "normalized",
        ),
    ],
)
def test_each_lead_event_says_what_became_of_its_raw_event(
    about: About, record: Callable[[dict[str, Any]], records.LeadRecord], became: str
) -> None:
    assert leads.outcome(record(about())) == became


def test_a_raw_event_is_accounted_for_once_however_many_lead_events_it_caused(
    about: About, received: Make
) -> None:
    raw = records.RawEvent(
        event_id="raw-1",
        tenant_id="acme",
        occurred_at=about()["occurred_at"],
        recorded_at=about()["occurred_at"],
        source="web",
        kind="lead",
        external_id="form-1",
        payload="{}",
    )
    merged = records.LeadUpdated(**profile(about(), duplicate_rule="email"))
    scored = records.LeadQualified(
        **about(),
        cause_id="raw-1",
        fit=1,
        intent=1,
        temperature="cold",
        next_action="wait",
        decided_by="rules",
    )
    batch = [
        received("raw-events", raw, 40),
        received("raw-events", raw, 900),
        received("lead-events", scored),
        received("lead-events", merged),
    ]
    for order in permutations(batch):
        (row,) = project(order).of(RAW_EVENTS)
        assert row["outcome"] == "merged"
        assert row["received_at"].microsecond == 40_000


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked", "bounced", "complained"])
def test_a_callback_of_a_provider_is_no_lead_that_came_in(
    about: About, received: Make, kind: str, t0: datetime
) -> None:
    raw = records.RawEvent(
        event_id="callback",
        tenant_id="acme",
        occurred_at=t0,
        recorded_at=t0,
        source="email-api",
        kind=kind,
        external_id="1",
        payload="{}",
    )
    assert not project([received("raw-events", raw)])


def a_message(about: About) -> list[tuple[str, records.LeadRecord]]:
    message = ids.message_id("run-1", "hello")
    where = {
        "enrollment_id": "run-1",
        "sequence_id": "acme.first-touch",
        "step_id": "hello",
        "channel": "email",
    }
    run = {**where, "sequence_version": 1, "step_index": 0}
    due = about()["occurred_at"]
    return [
        ("enrollment-events", records.StepScheduled(**about(), **run, due_at=due)),
        (
            "enrollment-events",
            records.StepFired(**about(1), **run, message_id=message, due_at=due),
        ),
        (
            "messages",
            records.MessageQueued(
                **about(1),
                **where,
                message_id=message,
                attempt=1,
                recipient="maria@example.com",
                template_name="hello",
                subject="Hi",
                body="Hi",
                compliance_note="",
                send_state="queued",
                due_at=due,
            ),
        ),
        (
            "message-events",
            records.MessageHeld(**about(2), **where, message_id=message, rule="paused"),
        ),
        (
            "message-events",
            records.MessageSent(
                **about(3),
                **where,
                message_id=message,
                provider="email-api",
                body_hash="00",
                accepted_at=due + timedelta(seconds=4),
                epoch=1,
            ),
        ),
        (
            "message-events",
            records.MessageOpened(
                **about(9),
                **where,
                message_id=message,
                cause_id="c",
                provider="email-api",
                automated=False,
            ),
        ),
    ]


@given(order=st.permutations(range(6)), cut=st.integers(0, 6))
def test_a_message_ends_the_same_in_any_order_and_any_batches(order: list[int], cut: int) -> None:
    numbers = iter(range(1000))
    at = datetime.fromisoformat("2026-11-20T09:00:00+00:00")

    def fields(minutes: float = 0, **more: Any) -> dict[str, Any]:
        when = at + timedelta(minutes=minutes)
        known = {"event_id": f"e{next(numbers)}", "tenant_id": "acme", "lead_id": "lead-1"}
        return {**known, "occurred_at": when, "recorded_at": when, "source": "x", **more}

    said = a_message(fields)
    into = Rows()
    for part in (order[:cut], order[cut:]):
        batch = [
            Received(Message(said[at_][0], 0, 0, b"", b"", (), 0), said[at_][1]) for at_ in part
        ]
        for row in project(batch).of(MESSAGES):
            into.put(MESSAGES, **row)
    (row,) = into.of(MESSAGES)
    assert row["state"] == "sent"
    assert row["sent_at"] == at + timedelta(seconds=4)
    assert row["opened_at"] == at + timedelta(minutes=9)
    assert row["recipient"] == "maria@example.com"


def test_opens_and_clicks_of_scanners_count_for_nothing(about: About, received: Make) -> None:
    where = {"message_id": "m", "channel": "email", "cause_id": "c", "provider": "p"}
    batch = [
        received("message-events", records.MessageOpened(**about(), **where, automated=True)),
        received("message-events", records.MessageClicked(**about(), **where, automated=True)),
    ]
    assert project(batch).of(MESSAGES) == []


def test_what_was_recorded_for_a_person_is_never_sent(about: About, received: Make) -> None:
    recorded = records.MessageRecorded(
        **about(), message_id="m", channel="task", body_hash="00", subject="Call", body="Call"
    )
    rows = project([received("message-events", recorded)])
    assert rows.of(MESSAGES)[0]["state"] == "recorded"
    assert rows.of(FIRST_TOUCHES) == []


@pytest.mark.parametrize(
    ("rule", "status"),
    [("reply", "stopped"), ("opt_out", "unsubscribed"), ("complaint", "unsubscribed")],
)
def test_a_stop_by_opt_out_reads_as_unsubscribed(
    about: About, received: Make, rule: str, status: str
) -> None:
    stopped = records.EnrollmentStopped(
        **about(), enrollment_id="run-1", sequence_id="s", sequence_version=1, rule=rule
    )
    (row,) = project([received("enrollment-events", stopped)]).of(ENROLLMENTS)
    assert (row["status"], row["stop_rule"]) == (status, rule)


def test_the_latest_word_on_consent_stands(about: About, received: Make) -> None:
    created = records.LeadCreated(
        **profile(about(), consent=(records.ConsentGrant(channel="email", granted=True),))
    )
    refused = records.ConsentChanged(**about(5), cause_id="raw-9", channel="email", granted=False)
    for order in permutations([created, refused]):
        rows = project([received("lead-events", each) for each in order])
        (row,) = rows.of(CONSENTS)
        assert row["granted"] is False


def test_a_rejected_summary_carries_no_text(about: About, received: Make) -> None:
    rejected = records.SummaryReviewed(
        **about(),
        summary_id="s",
        project_id="acme",
        decision="rejected",
        text_hash="00",
        text="never shown",
        reviewer="rita",
    )
    (row,) = project([received("summaries", rejected)]).of(SUMMARIES)
    assert row["approved_text"] is None


def test_a_repeated_record_is_applied_once(about: About, received: Make, t0: datetime) -> None:
    enrolled = records.Enrolled(
        **about(),
        enrollment_id="run-1",
        sequence_id="s",
        sequence_version=1,
        entry=1,
        enrolled_by="trigger",
        trigger_event_id="t",
    )
    again = received("enrollment-events", enrolled)
    assert fresh([again, again], {enrolled.event_id}) == [again]
    assert fresh([again], set()) == []


def test_the_timeline_keeps_no_payload_and_no_text_that_is_kept_elsewhere(about: About) -> None:
    row = line(records.LeadCreated(**profile(about(), received='{"name":"Maria"}')), "lead-events")
    assert "received" not in row["data"]
    assert row["data"]["first_name"] == "Maria"


NUMBERS = Table(
    "numbers",
    ("key",),
    {"low": LEAST, "high": GREATEST, "last": LAST, "guarded": by("guard"), "guard": GREATEST},
)
VALUES = st.fixed_dictionaries(
    {name: st.none() | st.integers(0, 5) for name in ("low", "high", "last", "guarded", "guard")}
)


@given(rows=st.lists(VALUES, min_size=1, max_size=6), cut=st.integers(0, 6))
def test_merging_in_batches_is_merging_at_once(rows: list[dict[str, Any]], cut: int) -> None:
    whole, first, second = Rows(), Rows(), Rows()
    for at, row in enumerate(rows):
        whole.put(NUMBERS, key="k", **row)
        (first if at < cut else second).put(NUMBERS, key="k", **row)
    parts = [*first.of(NUMBERS), *second.of(NUMBERS)]
    merged = parts[0] if len(parts) == 1 else NUMBERS.merge(parts[0], parts[1])
    assert merged == whole.of(NUMBERS)[0]


def test_a_test_stands_in_a_table_of_its_own_and_nowhere_else(about: About, received: Make) -> None:
    lead_id = ids.test_lead_id("acme", "olga@acme.example")
    batch = [
        received(topic, replace(record, lead_id=lead_id))
        for topic, record in a_message(about)
        if topic != "enrollment-events"
    ]
    assert fresh(batch, set()) == batch, "it has no story in which a repeat would be found"
    for order in (batch, batch[::-1]):
        into = project(order)
        assert [table.name for table in into.tables()] == ["test_sends"]
        [row] = into.of(TEST_SENDS)
        assert (row["state"], row["recipient"]) == ("sent", "maria@example.com")


def test_what_a_killed_sequencer_had_told_is_shown_as_its_successor_decided_it(
    about: About, received: Make
) -> None:
    """It told of an enrollment's end and was killed before its row was written; when the next one
    decided it again, automation rested."""

    def told(kind: str, event_id: str, minutes: float, **more: Any) -> Received:
        fields = about(minutes, event_id=event_id, enrollment_id="e-1", sequence_id="acme.one")
        record: Any = getattr(records, kind)
        return received("enrollment-events", record(**fields, sequence_version=1, **more))

    enrolled: dict[str, Any] = {"entry": 1, "enrolled_by": "trigger", "trigger_event_id": "t-1"}
    first = [told("Enrolled", "a", 0, **enrolled), told("EnrollmentCompleted", "b", 0)]
    then = [told("Enrolled", "a", 5, **enrolled), told("EnrollmentPaused", "c", 5, rule="incident")]
    last = [told("EnrollmentCompleted", "b", 9)]
    for whole in ([*first, *then, *last], [*first, *then]):
        for cut in range(len(whole) + 1):
            batches = [whole[:cut], whole[cut:], whole[1:], whole]  # the last two are read again
            kept: dict[str, datetime] = {}
            rows: dict[Any, dict[str, Any]] = {}
            for batch in batches:
                ids_of = {each.record.event_id for each in batch}
                new = ids_of - kept.keys()
                before = {key: at for key, at in kept.items() if key in ids_of}
                chosen = fresh(batch, new, before)
                for each in batch:
                    name, at = each.record.event_id, each.record.recorded_at
                    kept[name] = max(at, kept.get(name, at))
                for row in project(chosen).of(ENROLLMENTS):
                    held = rows.get(row["enrollment_id"])
                    rows[row["enrollment_id"]] = ENROLLMENTS.merge(held, row) if held else row
            assert rows["e-1"]["status"] == ("completed" if whole[-1] is last[0] else "paused")


def test_an_entry_in_another_form_of_an_address_is_the_one_that_is_compared(
    about: About, received: Make, t0: datetime
) -> None:
    """The log has entries from before there was one form."""

    def entry(at: int, address: str, active: bool) -> records.SuppressionChanged:
        return records.SuppressionChanged(
            event_id=f"s-{at}",
            tenant_id="acme",
            occurred_at=t0 + timedelta(minutes=at),
            recorded_at=t0 + timedelta(minutes=at),
            source="import",
            suppression_id=ids.suppression_id("acme", "email", address, "manual"),
            channel="email",
            address=address,
            reason="manual",
            active=active,
        )

    told = [entry(0, "nb\u00ad@example.com", True), entry(1, "nb@example.com", False)]
    (row,) = project([received("suppressions", each) for each in told]).of(SUPPRESSIONS)
    assert row["suppression_id"] == told[1].suppression_id
    assert (row["address"], row["active"]) == ("nb@example.com", False)
