"""Which reports count, and who was at work: a person or a machine (ADR 23)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatcher.callbacks import Callback, Reported
from dispatcher.engagement import (
    MOST_TOLD,
    Refuse,
    Standing,
    Tell,
    Verdict,
    Wait,
    judge,
    judge_all,
    machine,
    speaks_for,
)
from dispatcher.engagement_agents import AGENTS, by_agent, by_network
from dispatcher.model import State

SENT_AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NOW = SENT_AT + timedelta(hours=3)
MESSAGE = Reported(
    message_id="m-1",
    tenant_id="acme",
    lead_id="lead-1",
    owner="dana",
    enrollment_id="e-1",
    sequence_id="s",
    step_id="hello",
    channel="email",
    recipient="ann@example.com",
    provider="resend",
    provider_id="p-1",
)
SENT = Standing(
    state=State.SENT,
    in_doubt=False,
    created_at=SENT_AT - timedelta(seconds=1),
    accepted_at=SENT_AT,
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


def report(kind: str, seconds: float = 3600, /, **changes: Any) -> Callback:
    """A report by Resend of what happened so many seconds after the send."""
    fields: dict[str, Any] = {
        "event_id": f"{kind}-{seconds}",
        "tenant_id": "acme",
        "source": "resend",
        "kind": kind,
        "message_id": None,
        "provider_id": "p-1",
        "occurred_at": SENT_AT + timedelta(seconds=seconds),
        "received_at": NOW,
    }
    details = {name: value for name, value in changes.items() if name not in fields}
    given = {name: value for name, value in changes.items() if name in fields}
    return Callback(**{**fields, **given, "details": details})


def verdict(
    callback: Callback,
    *told: str,
    standing: Standing = SENT,
    message: Reported = MESSAGE,
    around: tuple[Callback, ...] = (),
    now: datetime = NOW,
) -> Verdict:
    known = dict.fromkeys(told, SENT_AT)
    return judge(callback, message, standing, known, (*around, callback), now)


# --- whose word it is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "provider", "speaks"),
    [
        ("twilio", "twilio", True),
        ("twilio", "twilio-sms", True),
        ("twilio", "twilio-whatsapp", True),
        ("resend", "resend", True),
        ("standard", "webhook", True),
        ("standard", "webhook-sms", True),
        ("standard", "smtp", True),
        ("standard", "email-api", True),
        ("twilio", "resend", False),
        ("resend", "twilio-sms", False),
        ("resend", "resender", False),
        ("standard", "resend", False),
        ("resend", "smtp", False),
    ],
)
@pytest.mark.parametrize("by_our_id", [True, False])
def test_a_provider_speaks_for_what_went_out_over_it(
    source: str, provider: str, speaks: bool, by_our_id: bool
) -> None:
    assert speaks_for(source, provider, by_our_id=by_our_id) is speaks


def test_whoever_else_writes_raw_events_names_the_message_by_our_id() -> None:
    assert speaks_for("portal", "resend", by_our_id=True)
    assert speaks_for("mail-log", "smtp", by_our_id=True)
    assert not speaks_for("mail-log", "resend", by_our_id=False)
    assert speaks_for("email-api", "email-api", by_our_id=False)
    assert not speaks_for("portal", None, by_our_id=True)


def test_another_providers_report_is_refused() -> None:
    assert verdict(report("delivered", source="twilio")) == Refuse("other_provider")


def test_of_two_messages_with_the_same_providers_id_it_is_the_one_of_the_source() -> None:
    other = replace(MESSAGE, message_id="m-2", provider="twilio-sms")
    told: dict[str, dict[str, datetime]] = {"m-1": {}, "m-2": {}}
    both = ((other, SENT), (MESSAGE, SENT))
    message, found = judge_all(report("delivered"), both, told, {}, NOW)
    assert message is MESSAGE
    assert isinstance(found, Tell)


# --- what was never sent ---------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.SUPPRESSED, State.RECORDED, State.FAILED])
def test_nothing_can_be_reported_of_what_was_never_sent(state: State) -> None:
    standing = replace(SENT, state=state, accepted_at=None)
    assert verdict(report("bounced"), standing=standing) == Refuse("never_sent")


@pytest.mark.parametrize("state", [State.QUEUED, State.HELD])
def test_a_report_waits_some_minutes_for_a_message_that_is_not_out(state: State) -> None:
    standing = replace(SENT, state=state, accepted_at=None)
    heard = report("bounced", received_at=SENT_AT + timedelta(seconds=1))
    for seconds, expected in ((2, Wait()), (300, Wait()), (302, Refuse("never_sent"))):
        now = SENT_AT + timedelta(seconds=seconds)
        assert verdict(heard, standing=standing, now=now) == expected


@pytest.mark.parametrize("state", [State.CLAIMED, State.QUEUED, State.HELD])
def test_a_report_waits_for_the_end_of_a_doubt(state: State) -> None:
    standing = replace(SENT, state=state, in_doubt=True, accepted_at=None)
    assert verdict(report("delivered"), standing=standing) == Wait()


def test_a_message_of_which_nobody_knows_may_be_reported() -> None:
    standing = replace(SENT, state=State.UNKNOWN, in_doubt=True, accepted_at=None)
    assert isinstance(verdict(report("delivered"), standing=standing), Tell)


def test_a_report_waits_a_week_for_a_message_that_is_not_here() -> None:
    heard = report("delivered", received_at=SENT_AT)
    week = SENT_AT + timedelta(days=7)
    assert judge_all(heard, (), {}, {}, week) == (None, Wait())
    late = week + timedelta(seconds=1)
    assert judge_all(heard, (), {}, {}, late) == (None, Refuse("unknown_message"))


# --- times -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked", "bounced", "complained"])
def test_what_happened_before_the_message_is_not_about_it(kind: str) -> None:
    assert verdict(report(kind, -602)) == Refuse("before_the_message")
    assert isinstance(verdict(report(kind, -600)), Tell), "a clock may be behind by ten minutes"


def test_what_is_said_to_happen_in_the_future_happened_when_it_was_heard_of() -> None:
    ahead = (NOW - SENT_AT).total_seconds() + 86_400
    assert verdict(report("complained", ahead)) == Tell("complained", NOW)


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked", "bounced", "complained"])
def test_what_is_dated_more_than_a_day_ahead_is_refused(kind: str) -> None:
    ahead = (NOW - SENT_AT).total_seconds() + 86_400
    assert verdict(report(kind, ahead + 1)) == Refuse("in_the_future")


def test_what_is_dated_to_the_first_year_is_not_about_the_message() -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    told = report("bounced", occurred_at=first, bounce_type="hard")
    assert verdict(told) == Refuse("before_the_message")


# --- once ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "details", "what"),
    [
        ("delivered", {}, "delivered"),
        ("complained", {}, "complained"),
        ("bounced", {"bounce_type": "hard"}, "bounced:hard"),
        ("bounced", {"bounce_type": "soft"}, "bounced:soft"),
    ],
)
def test_a_kind_is_told_once_of_a_message_whatever_the_id_of_its_report(
    kind: str, details: dict[str, str], what: str
) -> None:
    found = verdict(report(kind, **details))
    assert isinstance(found, Tell)
    assert found.what == what
    assert verdict(report(kind, 7200, **details), what) == Refuse("repeat")


@pytest.mark.parametrize("kind", ["opened", "clicked"])
def test_the_same_open_or_click_under_another_id_is_a_repeat(kind: str) -> None:
    seen = {"user_agent": FIREFOX, "ip": "203.0.113.9", "url": "https://a.example"}
    first = verdict(report(kind, **seen))
    assert isinstance(first, Tell)
    assert verdict(report(kind, event_id="x", **seen), first.what) == Refuse("repeat")
    another = verdict(report(kind, 3700, **seen), first.what)
    assert isinstance(another, Tell)
    assert another.what != first.what


def test_a_label_makes_no_other_click_of_a_click() -> None:
    click = report("clicked", url="https://a.example")
    told = verdict(click)
    beside = report("clicked", 3601, url="https://b.example")
    assert isinstance(told, Tell)
    assert verdict(click, told.what, around=(beside,)) == Refuse("repeat")


def test_opens_are_told_so_often_and_people_are_not_crowded_out_by_machines() -> None:
    told: list[str] = []
    for number in range(MOST_TOLD + 1):
        found = verdict(report("opened", 3600 + number, user_agent="GoogleImageProxy"), *told)
        if number < MOST_TOLD:
            assert isinstance(found, Tell)
            told.append(found.what)
    assert found == Refuse("told_often_enough")
    assert isinstance(verdict(report("opened", user_agent=FIREFOX), *told), Tell)


# --- what contradicts ------------------------------------------------------------------------


def test_a_bounce_for_good_is_not_undone_by_a_later_delivery() -> None:
    assert verdict(report("delivered", 60), "bounced:hard") == Refuse("after_hard_bounce")


def test_a_bounce_that_came_back_after_the_delivery_leaves_the_delivery() -> None:
    known = {"bounced:hard": SENT_AT + timedelta(seconds=120)}
    found = judge(report("delivered", 60), MESSAGE, SENT, known, (), NOW)
    assert isinstance(found, Tell)


@pytest.mark.parametrize(
    ("told", "rule"), [("delivered", "after_delivery"), ("bounced:hard", "after_hard_bounce")]
)
def test_a_delay_that_is_over_is_no_news(told: str, rule: str) -> None:
    assert verdict(report("bounced", bounce_type="soft"), told) == Refuse(rule)


@pytest.mark.parametrize("told", ["delivered", "bounced:soft"])
def test_a_bounce_for_good_and_a_complaint_always_count(told: str) -> None:
    assert isinstance(verdict(report("bounced", bounce_type="hard"), told), Tell)
    assert isinstance(verdict(report("complained"), told, "bounced:hard"), Tell)


def test_an_open_needs_no_delivery() -> None:
    assert isinstance(verdict(report("opened")), Tell)


# --- machines --------------------------------------------------------------------------------


def by(callback: Callback, *around: Callback, message: Reported = MESSAGE) -> str | None:
    return machine(callback, message, SENT, (*around, callback))


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 "
         "(via ggpht.com GoogleImageProxy)", "image_proxy"),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "image_proxy"),
        ("Mozilla/5.0", "mail_privacy"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0", "image_proxy"),
        ("Barracuda Sentinel (EE)", "agent"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "agent"),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "agent"),
        ("facebookexternalhit/1.1", "agent"),
        ("WhatsApp/2.23.20.0", "agent"),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/120.0.0.0 Safari/537.36", "agent"),
        ("curl/8.5.0", "agent"),
        ("python-requests/2.32", "agent"),
        ("Go-http-client/2.0", "agent"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 "
         "(KHTML, like Gecko) Mobile/15E148", None),
        ("Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/120.0 Mobile",
         None),
        ("Mozilla/5.0 (Windows NT 10.0; Microsoft Outlook 16.0.17126; Pro)", None),
        ("Outlook-iOS/723.4027091.prod.iphone (3.24.0)", None),
        (FIREFOX, None),
        ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_known_agents_are_told_from_peoples(agent: str | None, reason: str | None) -> None:
    assert by_agent(agent) == reason


def test_every_agent_says_where_it_is_published() -> None:
    assert all(agent.source.startswith("https://") for agent in AGENTS)


def test_a_picture_that_apple_loads_was_opened_by_nobody_yet() -> None:
    assert by_network("17.58.97.1") == "mail_privacy"
    assert by_network("66.249.84.31") == "image_proxy"
    assert by_network("203.0.113.9") is None
    assert by_network("2001:db8::1") is None
    assert by_network("not an address") is None
    assert by(report("opened", ip="17.58.97.1")) == "mail_privacy"
    assert by(report("clicked", ip="17.58.97.1", url="https://a.example")) is None


def test_a_head_request_is_nobodys_click() -> None:
    assert by(report("clicked", method="HEAD", url="https://a.example")) == "head_request"
    assert by(report("clicked", method="GET", url="https://a.example")) is None


@pytest.mark.parametrize(("seconds", "reason"), [(0.5, "prefetch"), (1.9, "prefetch"), (2, None)])
@pytest.mark.parametrize("kind", ["opened", "clicked"])
def test_nobody_reads_within_two_seconds(kind: str, seconds: float, reason: str | None) -> None:
    assert by(report(kind, seconds)) == reason
    delivered = report("delivered", 60)
    assert by(report(kind, 60 + seconds), delivered) == reason


def test_a_delivery_that_was_said_to_be_much_later_makes_no_person_a_machine() -> None:
    assert by(report("opened", 3600), report("delivered", 3661)) is None
    heard = SENT_AT + timedelta(seconds=3601)
    ahead = report("delivered", 86_400 * 365, received_at=heard)
    assert by(report("opened", 3600), ahead) is None, "a clock that is ahead says nothing"
    assert by(report("opened", 3600), report("delivered", 3659)) == "prefetch"


def test_a_second_delivery_makes_no_person_a_machine() -> None:
    late = report("delivered", 3601)
    assert by(report("opened"), late, report("delivered", 60)) is None


def test_what_would_be_refused_says_nothing_about_others() -> None:
    forged = report("delivered", 3601, source="twilio")
    assert by(report("opened"), forged) is None
    click = report("clicked", url="https://a.example")
    assert by(click, report("clicked", 3601, source="twilio", url="https://b.example")) is None


def test_two_links_at_once_were_followed_by_a_machine() -> None:
    one, two = (report("clicked", 3600 + n, url=f"https://{n}.example") for n in (0, 2))
    assert (by(one, two), by(two, one)) == ("burst", "burst")
    opened = report("opened", 3601)
    assert by(opened, one, two) == "burst"


def test_one_link_twice_or_another_one_later_is_a_person() -> None:
    one = report("clicked", 3600, url="https://a.example")
    again = report("clicked", 3601, url="https://a.example")
    later = report("clicked", 3602.5, url="https://b.example")
    assert by(one, again, later) is None
    assert by(later, one) is None
    assert by(report("opened", 3600), one, again) is None


def test_a_read_receipt_is_the_persons_own() -> None:
    sms = replace(MESSAGE, channel="whatsapp", provider="twilio-whatsapp")
    assert by(report("opened", 0.1, source="twilio"), message=sms) is None


# --- whose mailbox came back ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_mail_that_comes_back_from_where_it_was_forwarded_to_says_nothing_of_the_lead(
    kind: str,
) -> None:
    """RFC 3464, 2.3.2: the final recipient may be another address than the one written to."""
    came_back = report("bounced", bounce_type=kind, recipient="ann.old@elsewhere.example")
    assert verdict(came_back) == Refuse("other_recipient")


@pytest.mark.parametrize(
    "recipient",
    ["ann@example.com", "<Ann@Example.com>", "bob@example.com, ann@example.com", "unknown", ""],
)
def test_a_mail_that_comes_back_from_the_lead_or_from_nobody_knows_where_counts(
    recipient: str,
) -> None:
    assert isinstance(verdict(report("bounced", bounce_type="hard", recipient=recipient)), Tell)
