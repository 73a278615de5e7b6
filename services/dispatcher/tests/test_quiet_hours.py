"""Quiet hours at the moment of sending. 47 CFR 64.1200(c)(1): before 8 a.m. and after 9 p.m. "local
time at the called party's location" nobody is called; product.md has it for texts too.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher import events
from dispatcher.decide import before_sending
from dispatcher.hours import Closed, closed, closed_for
from dispatcher.model import Entry, Known, Paused, State
from leadflow.tenants import Tenant

Make = Callable[..., Entry]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        # Chicago is six hours behind UTC in winter.
        ("2026-11-21T13:59:59+00:00", "2026-11-21T08:00:00-06:00"),
        ("2026-11-21T14:00:00+00:00", None),
        ("2026-11-22T02:59:59+00:00", None),
        ("2026-11-22T03:00:00+00:00", "2026-11-22T08:00:00-06:00"),
        # The clocks go forward: the night is an hour shorter.
        ("2026-03-08T06:00:00+00:00", "2026-03-08T08:00:00-05:00"),
    ],
)
def test_a_text_goes_out_between_eight_and_nine_where_the_lead_is(
    now: str, opens: str | None
) -> None:
    found = closed_for(None, "sms", "America/Chicago", at(now))
    assert (None if found is None else found.until) == (None if opens is None else at(opens))


def test_an_email_goes_out_at_night_unless_the_tenant_says_otherwise() -> None:
    night = at("2026-11-21T03:00:00+00:00")
    assert closed_for(None, "email", "Etc/UTC", night) is None
    tenant = Tenant(tenant_id="acme", send_hours={"email": "09:00-17:00"})
    found = closed_for(tenant, "email", "Etc/UTC", night)
    assert found is not None
    assert found.until == at("2026-11-21T09:00:00+00:00")
    # What the tenant does not name has no hours: it has set its own.
    assert closed_for(tenant, "sms", "Etc/UTC", night) is None


def test_where_nobody_knows_the_leads_zone_it_is_the_tenants_and_then_utc() -> None:
    morning = at("2026-11-21T10:00:00+00:00")  # 05:00 in New York
    tenant = Tenant(tenant_id="acme", timezone="America/New_York")
    assert closed_for(tenant, "sms", None, morning) is not None
    assert closed_for(tenant, "sms", "Europe/Berlin", morning) is None
    assert closed_for(None, "sms", None, morning) is None
    assert closed_for(None, "sms", "No/Such_Zone", morning) is None


def test_hours_over_midnight_are_open_on_both_sides_of_it() -> None:
    for hour, is_open in ((21, False), (22, True), (0, True), (5, True), (6, False), (12, False)):
        moment = datetime(2026, 11, 21, hour, tzinfo=UTC)
        assert (closed(moment, "UTC", "22:00-06:00") is None) == is_open


NIGHT = Closed(
    zone="America/Chicago",
    hours="08:00-21:00",
    until=datetime(2026, 11, 21, 14, tzinfo=UTC),
    seconds=3600.0,
)


def test_in_quiet_hours_a_message_waits_in_its_place_and_the_event_names_rule_and_inputs(
    make_entry: Make, now: datetime
) -> None:
    entry = make_entry(channel="sms", known=Known(consent=True))
    decision = before_sending(entry, Paused(), provider="sms-api", keyed=True, closed=NIGHT)
    # Queued, not held: of a lead's messages only the earliest that is queued is ever claimed.
    assert (decision.state, decision.delay_seconds) == (State.QUEUED, 3600.0)
    assert not decision.presented
    event = events.of_decision(entry, decision, now, provider="sms-api")
    assert event is not None
    assert (event.TYPE, event.to_avro()["rule"]) == ("MessageHeld", "quiet_hours")
    assert event.to_avro()["inputs"] == {
        "zone": "America/Chicago",
        "hours": "08:00-21:00",
        "until": "2026-11-21T14:00:00+00:00",
    }


def test_a_doubt_stays_one_while_its_message_waits_for_the_morning(make_entry: Make) -> None:
    entry = make_entry(in_doubt=True, provider="email-api")
    decision = before_sending(entry, Paused(), provider="email-api", keyed=True, closed=NIGHT)
    assert (decision.state, decision.in_doubt) == (State.QUEUED, True)


@pytest.mark.parametrize("channel", ["call", "task"])
def test_a_line_on_somebodys_list_wakes_nobody(make_entry: Make, channel: str) -> None:
    entry = make_entry(channel=channel)
    decision = before_sending(entry, Paused(), provider="record", keyed=True, closed=NIGHT)
    assert decision.state is State.RECORDED


def test_what_must_not_go_out_at_all_does_not_wait_for_the_morning(make_entry: Make) -> None:
    known = Known(suppressed_by="opt_out")
    entry = make_entry(known=known)
    decision = before_sending(entry, Paused(), provider="email-api", keyed=True, closed=NIGHT)
    assert decision.state is State.SUPPRESSED
    paused = Paused(frozenset({"everything"}))
    held = before_sending(make_entry(), paused, provider="email-api", keyed=True, closed=NIGHT)
    assert (held.state, held.rule) == (State.HELD, "paused")


def test_the_wait_ends_as_the_hours_open() -> None:
    now = at("2026-11-21T13:30:00.250000+00:00")
    found = closed(now, "America/Chicago", "08:00-21:00")
    assert found is not None
    assert now + timedelta(seconds=found.seconds) == found.until
