"""Who is expected to enter a sequence, under the names and in the order of the sequencer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from leadflow.records import EnrollRequested, SequencePublished
from portal_api.bulk.decide import commands, enrolling
from portal_api.bulk.model import Candidate, Job, Outlook, Passage, Word

DAY = timedelta(days=1)


def expected(
    sequence: SequencePublished, t0: datetime, paused: tuple[str, ...] = (), **lead: Any
) -> Outlook:
    known = {"lead_id": "l", "status": "active", "email": "ada@example.com", **lead}
    return enrolling.outlook(Candidate(**known), sequence, paused, t0)


def run(t0: datetime, sequence_id: str = "acme.first-touch", **more: Any) -> Passage:
    return Passage(
        **{
            "enrollment_id": "e",
            "sequence_id": sequence_id,
            "version": 3,
            "status": "active",
            "enrolled_at": t0 - 9 * DAY,
            **more,
        }
    )


def test_a_lead_that_is_not_there_is_refused_without_asking(
    sequence: SequencePublished, t0: datetime
) -> None:
    found = expected(sequence, t0, status="")
    assert (found.refused, found.asked) == ("unknown_lead", False)


@pytest.mark.parametrize("status", ["quarantined", "merged"])
def test_only_active_leads_enter(sequence: SequencePublished, t0: datetime, status: str) -> None:
    found = expected(sequence, t0, status=status)
    assert (found.refused, dict(found.inputs)) == ("lead_not_active", {"status": status})
    assert found.asked, "the sequencer has the word"


@pytest.mark.parametrize("status", ["active", "paused"])
def test_nobody_is_in_a_sequence_twice_at_a_time(
    sequence: SequencePublished, t0: datetime, status: str
) -> None:
    found = expected(sequence, t0, passages=(run(t0, status=status),))
    assert (found.refused, found.inputs["enrollment_id"]) == ("already_active", "e")


def test_an_equal_or_higher_priority_of_the_group_keeps_the_lead(
    sequence: SequencePublished, t0: datetime
) -> None:
    group = replace(sequence, exclusive_group="g", priority=50)
    rival = run(t0, "acme.other", group="g", priority=50)
    found = expected(group, t0, passages=(rival,))
    assert (found.refused, found.inputs["held_by"]) == ("exclusive", "acme.other")
    assert expected(group, t0, passages=(replace(rival, priority=49),)).refused == ""
    assert expected(group, t0, passages=(replace(rival, status="completed"),)).refused == ""
    assert expected(sequence, t0, passages=(replace(rival, group=""),)).refused == ""


def test_a_refusal_of_all_channels_stands_until_one_is_allowed(
    sequence: SequencePublished, t0: datetime
) -> None:
    no = Word(channel="all", granted=False, at=t0 - DAY)
    assert expected(sequence, t0, words=(no,)).refused == "consent_refused"
    yes = Word(channel="email", granted=True, at=t0)
    assert expected(sequence, t0, words=(no, yes)).refused == ""
    internal = replace(sequence, consent_rule="internal")
    assert expected(internal, t0, words=(no,)).refused == ""


def test_who_was_in_it_enters_again_by_the_rule_of_the_sequence(
    sequence: SequencePublished, t0: datetime
) -> None:
    past = run(t0, status="stopped", ended_at=t0 - 5 * DAY)
    found = expected(sequence, t0, passages=(past,))
    assert (found.refused, found.inputs["entries"]) == ("reentry", "1")
    week = replace(sequence, reentry_rule="after_days", reentry_days=7)
    assert expected(week, t0, passages=(past,)).inputs["days"] == "7"
    assert expected(replace(week, reentry_days=5), t0, passages=(past,)).refused == ""
    always = replace(sequence, reentry_rule="always")
    assert expected(always, t0, passages=(past,)).refused == ""


def test_a_first_message_that_could_not_go_out_is_said_before(
    sequence: SequencePublished, t0: datetime
) -> None:
    assert "skipped" not in expected(sequence, t0).plan
    assert expected(sequence, t0, email="").plan["skipped"] == "no_recipient"
    no = Word(channel="email", granted=False, at=t0)
    assert expected(sequence, t0, words=(no,)).plan["skipped"] == "consent_refused"
    sms = replace(sequence, steps=(replace(sequence.steps[0], channel="sms"),))
    assert expected(sms, t0, phone="+15125550100").plan["skipped"] == "consent_missing"
    task = replace(sequence, steps=sequence.steps[1:])
    assert "skipped" not in expected(task, t0, email="").plan


@pytest.mark.parametrize(
    "scope",
    [
        "everything",
        "tenant:acme",
        "channel:acme:email",
        "sequence:acme:acme.first-touch",
        "sequence:acme:first-touch",
    ],
)
def test_a_pause_refuses_nobody_and_holds_the_first_step(
    sequence: SequencePublished, t0: datetime, scope: str
) -> None:
    found = expected(sequence, t0, paused=(scope, "tenant:other"))
    assert (found.refused, found.plan["held_by"]) == ("", scope)
    assert "held_by" not in expected(sequence, t0, paused=("tenant:other",)).plan


def test_a_command_that_is_made_again_is_the_same(t0: datetime) -> None:
    job = Job(
        bulk_id="b",
        tenant_id="acme",
        sequence_id="acme.first-touch",
        action="enroll",
        requested_by="olga",
        started_at=t0,
    )
    first = commands.command(job, "l", owner="dana")
    assert isinstance(first, EnrollRequested)
    assert first == commands.command(job, "l", owner="dana")
    assert (first.occurred_at, first.recorded_at) == (t0, t0)
    assert first.event_id != commands.event_id("b", "other")
    with pytest.raises(ValueError, match="not started"):
        commands.command(replace(job, started_at=None), "l")
    with pytest.raises(ValueError, match="no enrollment"):
        commands.command(replace(job, action="stop"), "l")
