"""What records mean for the CRM, and when failed ones are tried again."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync.crm.base import (
    CrmConflict,
    CrmError,
    CrmLimited,
    CrmMissing,
    CrmNever,
    CrmSignIn,
    CrmUnavailable,
)
from crm_sync.decide import contact_fields, idempotency_key, item_of, merge, next_try
from crm_sync.model import NextTry, Note, Origin, RetryPolicy, State, Task, Upsert
from leadflow import ids
from leadflow.errors import RecordRefused
from leadflow.records import Address, ConsentGrant, LeadRecord, Money

ORIGIN = Origin("lead-events", 3, 40)
POLICY = RetryPolicy(
    (timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1)), attempts=(3, 3, 24)
)


def change(record: LeadRecord) -> Upsert:
    item = item_of(record, ORIGIN)
    assert item is not None
    assert isinstance(item.change, Upsert)
    return item.change


def contact(*made: LeadRecord) -> dict[str, Any]:
    state: State = {}
    for record in made:
        state = merge(state, [change(record)])
    return contact_fields("acme", state)


def test_a_profile_becomes_the_contact_without_what_needs_an_approval(records: Any) -> None:
    record = records.created(
        first_name="Ada",
        email="ada@example.com",
        message="my own words",
        owner="dana",
        address=Address(city="Austin"),
        budget=Money(amount_minor=250_000, currency="USD"),
        consent=(ConsentGrant(channel="sms", granted=False),),
    )
    assert contact(record) == {
        "tenant_id": "acme",
        "first_name": "Ada",
        "email": "ada@example.com",
        "urgency": "normal",
        "timezone": "UTC",
        "source": "web-form",
        "address": {"city": "Austin"},
        "budget": {"amount_minor": 250_000, "currency": "USD"},
        "consent": {"sms": False},
        "stage": "new",
        "owner": "dana",
        "revision": 1,
    }


def test_a_quarantined_lead_means_nothing_to_the_crm(records: Any) -> None:
    assert item_of(records.created(status="quarantined"), ORIGIN) is None


def test_a_field_that_a_newer_profile_lacks_is_gone(records: Any) -> None:
    fields = contact(records.created(1, company="Engines Ltd"), records.updated(2))
    assert "company" not in fields


def test_an_older_profile_changes_nothing(records: Any) -> None:
    newer, older = records.updated(5, first_name="Grace"), records.created(1, first_name="Ada")
    assert contact(newer, older) == contact(newer)


def test_a_stage_newer_than_the_profile_stays_when_the_profile_comes_late(records: Any) -> None:
    fields = contact(records.stage(3, "won"), records.updated(2, stage="new", first_name="Ada"))
    assert (fields["stage"], fields["first_name"], fields["revision"]) == ("won", "Ada", 3)


def test_changes_in_any_order_and_repeated_end_in_one_contact(records: Any) -> None:
    made = [
        records.created(1, first_name="Ada"),
        records.updated(2, first_name="Grace"),
        records.stage(3, "won", owner="luis"),
        records.qualified("warm"),
        records.sent("m1"),
        records.sent("m2", accepted_at=records.now + timedelta(minutes=1)),
    ]
    in_order = contact(*made)
    assert in_order["last_message_id"] == "m2"
    for order in itertools.permutations(made):
        assert contact(*order, order[0]) == in_order


def test_a_merge_that_changes_nothing_gives_the_same_state_back(records: Any) -> None:
    record = records.created()
    state = merge({}, [change(record)])
    assert merge(state, [change(record)]) is state


@pytest.mark.parametrize("decision", ["approved", "edited"])
def test_an_approved_summary_becomes_a_note_with_the_summarys_id(
    records: Any, decision: str
) -> None:
    item = item_of(records.reviewed(decision, "words"), ORIGIN)
    assert item is not None
    assert item.change == Note("s-1", "words", records.now)


def test_a_rejected_summary_means_nothing_to_the_crm(records: Any) -> None:
    assert item_of(records.reviewed("rejected", "words"), ORIGIN) is None


@pytest.mark.parametrize("channel", ["task", "call"])
def test_what_a_person_is_to_do_becomes_a_task(records: Any, channel: str) -> None:
    item = item_of(records.recorded(channel, owner="rita"), ORIGIN)
    assert item is not None
    assert item.change == Task("m-1", channel, "Call Ada", "About the roof", records.now, "rita")


def test_a_task_without_a_subject_is_named_by_its_first_line(records: Any) -> None:
    item = item_of(records.recorded("task", subject=None, body="Call Ada\nabout the roof"), ORIGIN)
    assert item is not None
    assert isinstance(item.change, Task)
    assert item.change.title == "Call Ada"


def test_a_message_that_no_provider_was_there_to_send_is_no_task(records: Any) -> None:
    assert item_of(records.recorded("sms"), ORIGIN) is None


@pytest.mark.parametrize("text", [None, "other words"])
def test_an_approval_of_another_text_is_refused(records: Any, text: str | None) -> None:
    approved = records.reviewed("approved", "words")
    with pytest.raises(RecordRefused) as refused:
        item_of(records.reviewed("approved", text, text_hash=approved.text_hash), ORIGIN)
    assert refused.value.rule == "approval_covers_text"


def test_the_key_of_a_write_is_that_of_its_event_and_its_value() -> None:
    key = idempotency_key("e1", {"a": 1, "b": 2})
    assert key == idempotency_key("e1", {"b": 2, "a": 1})
    assert key.startswith("e1:")
    assert key != idempotency_key("e1", {"a": 1, "b": 3})
    assert key != idempotency_key("e2", {"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("attempts", "tier", "delay"),
    [
        (1, 0, timedelta(seconds=30)),
        (3, 0, timedelta(seconds=30)),
        (4, 1, timedelta(minutes=5)),
        (6, 1, timedelta(minutes=5)),
        (7, 2, timedelta(hours=1)),
        (30, 2, timedelta(hours=1)),
    ],
)
def test_delays_rise_with_the_attempts(
    records: Any, attempts: int, tier: int, delay: timedelta
) -> None:
    found = next_try(attempts, CrmUnavailable("down"), records.now, POLICY)
    assert found == NextTry(tier, records.now + delay)


def test_after_the_last_attempt_there_is_no_next_one(records: Any) -> None:
    assert next_try(31, CrmUnavailable("down"), records.now, POLICY) is None


def test_a_time_that_the_crm_names_is_kept_in_a_topic_that_is_as_slow(records: Any) -> None:
    error = CrmLimited("slow down", retry_after=timedelta(minutes=4))
    found = next_try(1, error, records.now, POLICY)
    assert found == NextTry(1, records.now + timedelta(minutes=5))


@pytest.mark.parametrize("wanted", [timedelta(hours=3), timedelta(days=365), timedelta.max])
def test_nobody_waits_longer_than_the_slowest_topic_whatever_the_crm_says(
    records: Any, wanted: timedelta
) -> None:
    for jitter, longest in ((0.0, timedelta(hours=1)), (0.5, timedelta(minutes=90))):
        error = CrmLimited("slow down", retry_after=wanted)
        found = next_try(1, error, records.now, replace(POLICY, jitter=jitter), "e1")
        assert found is not None
        assert found.tier == 2
        assert timedelta(hours=1) <= found.due_at - records.now <= longest


@pytest.mark.parametrize("error", [CrmNever("no"), CrmMissing("no")])
def test_what_can_never_succeed_is_not_tried_again(records: Any, error: CrmError) -> None:
    assert next_try(1, error, records.now, POLICY) is None


@pytest.mark.parametrize(
    "error", [CrmUnavailable(""), CrmLimited(""), CrmConflict(""), CrmSignIn("")]
)
def test_what_may_pass_is_tried_again(records: Any, error: CrmError) -> None:
    assert next_try(1, error, records.now, POLICY) is not None


@given(st.integers(1, 40), st.integers(0, 20_000))
def test_a_retry_is_not_before_what_the_crm_asked_for_but_for_the_slowest_delay(
    attempts: int, seconds: int
) -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 11, 21, tzinfo=UTC)
    wanted = timedelta(seconds=seconds)
    found = next_try(attempts, CrmLimited("", wanted), now, POLICY)
    assert (found is None) == (attempts > 30)
    if found is not None:
        assert found.due_at >= now + min(wanted, POLICY.delays[-1])
        assert found.due_at >= now + POLICY.delays[found.tier]


def test_the_crm_hears_nothing_of_a_test(records: Any) -> None:
    lead_id = ids.test_lead_id("acme", "olga@acme.example")
    assert item_of(records.sent("m1", lead_id=lead_id), ORIGIN) is None
    assert item_of(records.sent("m1"), ORIGIN) is not None
