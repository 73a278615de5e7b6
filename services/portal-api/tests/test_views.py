"""Rows into what the API and the page say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from leadflow.records import Arm, SequencePublished
from portal_api import paging, story, views
from portal_api.problems import Problem
from portal_api.store.upserts import as_json


@pytest.mark.parametrize(
    ("minutes", "delay_from", "label"),
    [
        (0, "enrollment", "T+0h"),
        (1440, "enrollment", "T+24h"),
        (4320, "enrollment", "T+72h"),
        (10080, "enrollment", "T+7d"),
        (20160, "enrollment", "T+14d"),
        (5, "enrollment", "T+5m"),
        (90, "enrollment", "T+1h30m"),
        (1440, "previous", "+24h"),
    ],
)
def test_delays_read_as_in_seed_003(
    sequence: SequencePublished, minutes: int, delay_from: str, label: str
) -> None:
    step = replace(sequence.steps[0], delay_minutes=minutes, delay_from=delay_from)
    assert views.delay_label(step) == label


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"delay_days": 2}, "T+2d"),
        ({"delay_business_days": 3, "delay_from": "previous"}, "+3bd"),
        ({"delay_days": 1, "delay_business_days": 1, "delay_minutes": 90}, "T+1d+1bd+1h30m"),
    ],
)
def test_days_by_the_calendar_are_told_from_hours(
    sequence: SequencePublished, changes: dict[str, Any], label: str
) -> None:
    assert views.delay_label(replace(sequence.steps[0], **changes)) == label


def test_a_step_shows_its_variants_with_their_shares(sequence: SequencePublished) -> None:
    arms = tuple(
        Arm(name=name, weight=weight, template_name="t", subject=name, body=name)
        for name, weight in (("a", 1), ("b", 3))
    )
    shown = views.step(replace(sequence.steps[0], arms=arms, spread_minutes=20), 0, {})
    assert [(each["name"], each["share"]) for each in shown["arms"]] == [("a", 0.25), ("b", 0.75)]
    assert shown["spread_minutes"] == 20


def test_a_moved_step_says_why_in_the_story() -> None:
    data = {
        "step_id": "hello",
        "channel": "sms",
        "due_at": "2026-11-23T14:00:00+00:00",
        "rule": "quiet_hours",
        "inputs": {"zone": "America/Chicago", "hours": "08:00-21:00"},
    }
    told = story.text("StepScheduled", "sequencer", data)
    assert told.startswith("Hello (sms) is due at 2026-11-23T14:00:00+00:00: ")
    assert "America/Chicago" in told
    assert "08:00-21:00" in told
    del data["rule"]
    assert story.text("StepScheduled", "sequencer", data).endswith("+00:00")


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ({}, "idle"),
        ({"scheduled": 2}, "scheduled"),
        ({"scheduled": 2, "held": 1}, "queued"),
        ({"recorded": 1, "queued": 4}, "recorded"),
        ({"sent": 1, "queued": 4, "failed": 9}, "sent"),
    ],
)
def test_a_step_stands_where_its_furthest_message_does(counts: dict[str, int], status: str) -> None:
    assert views.step_status(counts) == status


def test_rates_are_over_what_was_sent_and_only_emails_can_be_opened() -> None:
    stats = views.stats({"sent": 31, "sent_email": 20, "opened": 10, "replied": 3}, 4)
    assert stats["open_rate"] == 0.5
    assert stats["reply_rate"] == round(3 / 31, 4)


def test_a_rate_of_nothing_is_unknown_not_zero() -> None:
    stats = views.stats({}, 4)
    assert stats["open_rate"] is None
    assert stats["progress_pct"] == 0


def test_moved_counts_the_leads_that_reached_another_stage() -> None:
    stats = views.stats({"enrolled": 31, "moved:contacted": 7, "moved:won": 2}, 4)
    assert stats["moved"] == {"count": 9, "of": 31, "to": {"contacted": 7, "won": 2}}


def test_progress_is_the_share_of_steps_that_is_done() -> None:
    # Four runs of five steps: one ended (5 of 5), the live ones did 2, 2 and 1.
    counts = {"enrolled": 4, "active": 3, "stopped": 1, "live_steps_done": 5}
    assert views.stats(counts, 5)["progress_pct"] == 50


def message_row(**more: Any) -> dict[str, Any]:
    times = ("replied_at", "clicked_at", "opened_at", "bounced_at")
    return {"state": "sent", **dict.fromkeys(times), **more}


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (message_row(), "sent"),
        (message_row(opened_at=1), "opened"),
        (message_row(opened_at=1, clicked_at=1, replied_at=1), "replied"),
        (message_row(state="suppressed", opened_at=1), "suppressed"),
        (message_row(state="scheduled"), "scheduled"),
    ],
)
def test_a_message_is_called_by_how_far_it_got(row: dict[str, Any], status: str) -> None:
    assert views.message_status(row) == status


def test_a_cursor_comes_back_as_it_went() -> None:
    at = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert paging.decode(paging.encode(at, "lead-1")) == (at, "lead-1")
    assert paging.decode(None) == (None, "")


def test_a_cursor_of_another_make_is_refused() -> None:
    with pytest.raises(Problem) as problem:
        paging.decode("not-a-cursor")
    assert problem.value.status == 400


def test_a_page_tells_whether_there_is_more() -> None:
    rows: list[dict[str, Any]] = [{"id": number} for number in range(3)]
    assert paging.page(rows, 2, lambda row: str(row["id"])) == (rows[:2], "1")
    assert paging.page(rows, 3, lambda row: str(row["id"])) == (rows, None)


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("StepSkipped", {"step_id": "hello", "channel": "sms", "rule": "no_recipient"},
         "Hello (sms) was skipped: no_recipient"),
        ("MessageSuppressed", {"channel": "email", "rule": "opt_out"},
         "Email was not sent: opt_out"),
        ("LeadCreated", {"status": "quarantined"}, "Came in from web, and was quarantined"),
        ("ConsentChanged", {"channel": "sms", "granted": False}, "Refused sms"),
        ("SomethingNew", {}, "SomethingNew"),
    ],
)  # fmt: skip
def test_the_story_names_the_rule(kind: str, data: dict[str, Any], text: str) -> None:
    assert story.text(kind, "web", data) == text


def test_rows_reach_postgresql_without_what_it_cannot_hold() -> None:
    assert as_json([{"a": "x\x00y", "b": ["\x00"]}]) == '[{"a":"xy","b":[""]}]'
    assert as_json([{"a": "\\u0000"}]) == '[{"a":"\\\\u0000"}]'
    assert as_json([{"a": "\ud800"}]) == '[{"a":"?"}]'


def test_a_doubt_says_since_when_it_is_and_the_first_word_about_it() -> None:
    t0 = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def word(outcome: str, by: str) -> dict[str, Any]:
        data = {"message_id": "m-1", "outcome": outcome, "settled_by": by, "reason": "looked"}
        return {"type": "DoubtSettled", "at": t0, "data": data}

    unknown = {"type": "MessageUnknown", "at": t0, "data": {"message_id": "m-1"}}
    other = {"type": "MessageUnknown", "at": t0, "data": {"message_id": "m-2"}}
    assert views.doubt("m-1", []) is None
    assert views.doubt("m-1", [other]) is None
    assert views.doubt("m-1", [unknown]) == {"since": t0, "provider_id": None, "word": None}
    # The dispatcher follows the first word: what comes after it finds nothing in doubt.
    found = views.doubt("m-1", [other, unknown, word("sent", "olga"), word("failed", "rob")])
    assert found is not None
    assert found["word"] == {
        "outcome": "sent",
        "by": "olga",
        "reason": "looked",
        "provider_id": None,
        "at": t0,
    }
