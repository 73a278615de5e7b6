"""A refusal is one of an address: whoever is reached there hears of it, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from intake.model import email_key, message_key
from leadflow.records import AccountReplied, ConsentChanged, LeadRecord
from leadflow.tenants import Tenant

MESSAGE = "15536a5b-7d7e-52e3-b8fb-d332e1b3acc7"
MAIL, PHONE, OFFICE = "maria@example.com", "+15125550163", "+15125550164"


@pytest.fixture
def desk(desk_of: Callable[[Tenant], Any], tenant: Tenant) -> Any:
    """A tenant for whom further sightings are leads of their own."""
    return desk_of(replace(tenant, duplicate_policy="link"))


def lead(desk: Any, **payload: Any) -> str:
    return str(desk.take("lead", {"name": f"Person {desk.events}", **payload})[0].lead_id)


def sent(desk: Any, lead_id: str) -> None:
    """A message went to the lead."""
    desk.book = type(desk.book)(
        desk.leads(),
        {
            **_found(desk),
            message_key("acme", MESSAGE): [lead_id],
        },
    )


def _found(desk: Any) -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = {}
    for key, lead_id in desk.book.changes.keys:
        found.setdefault(key, []).append(lead_id)
    return found


def refused(records: tuple[LeadRecord, ...]) -> dict[str, set[str]]:
    """The channels that were refused, by lead."""
    told: dict[str, set[str]] = {}
    for each in records:
        if isinstance(each, ConsentChanged):
            assert not each.granted
            told.setdefault(each.lead_id, set()).add(each.channel)
    return told


def test_a_link_of_one_lead_opts_out_all_who_are_reached_at_its_address(desk: Any) -> None:
    one, two = lead(desk, email=MAIL), lead(desk, email=MAIL.upper(), phone=PHONE)
    other = lead(desk, email="ann@example.com")
    records = desk.take("opt_out", {"lead": one, "channel": "email"})
    assert refused(records) == {one: {"email"}, two: {"email"}}
    assert {each.lead_id for each in records} == {one, two}
    assert len({each.event_id for each in records}) == 2
    consent = {each.lead_id: each.grant("email") for each in desk.leads()}
    assert consent[two] is not None
    assert not consent[two].granted
    assert consent.get(other) is None


def test_the_same_opt_out_again_gives_the_same_events(desk: Any) -> None:
    one = lead(desk, email=MAIL)
    lead(desk, email=MAIL)
    raw = desk.raw("opt_out", {"lead": one, "channel": "email"})
    first, again = desk.decide(raw), desk.decide(raw)
    assert [each.event_id for each in first.records] == [each.event_id for each in again.records]


def test_each_hears_of_the_channels_of_the_addresses_that_it_shares(desk: Any) -> None:
    one = lead(desk, email=MAIL, phone=PHONE)
    by_mail, by_phone = lead(desk, email=MAIL, phone=OFFICE), lead(desk, phone=PHONE)
    at_the_office = lead(desk, phone=OFFICE)
    records = desk.take("opt_out", {"lead": one, "channel": "all"})
    assert refused(records) == {
        one: {"email", "sms", "call", "whatsapp"},
        by_mail: {"email"},
        by_phone: {"sms", "call", "whatsapp"},
    }
    assert at_the_office not in refused(records)


def test_a_stop_from_an_alias_reaches_every_lead_behind_the_leads_own_address(desk: Any) -> None:
    one, two = lead(desk, email=MAIL), lead(desk, email=MAIL)
    sent(desk, one)
    records = desk.take(
        "reply", {"message_id": MESSAGE, "from": "alias@elsewhere.example", "text": "STOP"}
    )
    assert refused(records) == {one: {"email", "sms", "call", "whatsapp"}, two: {"email"}}
    about = {
        (each.lead_id, each.address)
        for each in records
        if isinstance(each, ConsentChanged) and each.channel == "email"
    }
    assert about == {(one, MAIL), (one, "alias@elsewhere.example"), (two, MAIL)}


def test_a_stop_by_text_reaches_whoever_has_the_writers_mailbox(desk: Any) -> None:
    one, two = lead(desk, email=MAIL, phone=PHONE), lead(desk, email=MAIL)
    records = desk.take("reply", {"from": PHONE, "text": "STOP"})
    assert refused(records) == {one: {"email", "sms", "call", "whatsapp"}, two: {"email"}}


def test_who_waits_in_quarantine_hears_of_it_too(desk: Any) -> None:
    one = lead(desk, email=MAIL)
    doubtful = lead(desk, email=MAIL, website_hp="http://spam.example")
    assert [each.status for each in desk.leads()] == ["active", "quarantined"]
    assert set(refused(desk.take("opt_out", {"email": MAIL}))) == {one, doubtful}


def test_who_went_to_another_address_does_not_hear(desk: Any) -> None:
    one = lead(desk, email=MAIL)
    gone = desk.take("lead", {"email": MAIL}, external_id="crm-1")[0].lead_id
    desk.take("lead", {"email": "new@example.com"}, external_id="crm-1")
    assert refused(desk.take("opt_out", {"lead": one, "channel": "email"})) == {one: {"email"}}
    assert gone != one


def test_a_permission_is_of_the_one_who_gave_it(desk: Any) -> None:
    one, two = lead(desk, email=MAIL), lead(desk, email=MAIL)
    desk.take("opt_out", {"lead": one, "channel": "email"})
    records = desk.take("opt_in", {"lead": one, "channel": "email"})
    assert [(each.lead_id, each.granted) for each in records] == [(one, True)]
    assert two


def test_a_mail_outside_of_our_threads_stops_mails_to_its_address_and_nothing_else(
    desk: Any,
) -> None:
    """Anybody can write anything into From."""
    one = lead(desk, email=MAIL, phone=PHONE, company="Acme Roofing")
    lead(desk, email="bob@gmail.com", company="Acme Roofing")
    records = desk.take("reply", {"from": MAIL, "text": "STOP"})
    assert refused(records) == {one: {"email"}}
    records = desk.take("reply", {"from": MAIL, "text": "I am busy"})
    assert [each.lead_id for each in records] == [one]
    assert not any(isinstance(each, AccountReplied) for each in records)


def test_a_mail_in_our_thread_is_the_persons_own(desk: Any) -> None:
    one = lead(desk, email=MAIL, phone=PHONE, company="Acme Roofing")
    colleague = lead(desk, email="bob@gmail.com", company="Acme Roofing")
    sent(desk, one)
    records = desk.take("reply", {"message_id": MESSAGE, "from": MAIL, "text": "I am busy"})
    assert [each.lead_id for each in records if isinstance(each, AccountReplied)] == [colleague]
    records = desk.take("reply", {"message_id": MESSAGE, "from": MAIL, "text": "STOP"})
    assert refused(records) == {one: {"email", "sms", "call", "whatsapp"}}


def test_who_answers_a_mail_in_somebody_elses_name_stops_that_address_alone(desk: Any) -> None:
    """The thread vouches for those to whom it went."""
    one = lead(desk, email=MAIL, phone=PHONE)
    victim = lead(desk, email="ann@example.com", phone=OFFICE, company="North")
    lead(desk, email="bob@gmail.com", company="North")
    sent(desk, one)
    records = desk.take("reply", {"message_id": MESSAGE, "from": "ann@example.com", "text": "STOP"})
    assert refused(records) == {one: {"email", "sms", "call", "whatsapp"}, victim: {"email"}}
    records = desk.take("reply", {"message_id": MESSAGE, "from": "ann@example.com", "text": "Hi"})
    assert not any(isinstance(each, AccountReplied) for each in records)


def test_whoever_passes_a_mail_on_may_say_whose_it_is(desk: Any) -> None:
    one = lead(desk, email=MAIL, phone=PHONE)
    records = desk.take("reply", {"lead": one, "from": MAIL, "text": "STOP"})
    assert refused(records) == {one: {"email", "sms", "call", "whatsapp"}}


WAYS = ("A@EXÄMPLE.com", "a@xn--exmple-cua.com", "a\u3164@exämple.com")


@pytest.mark.parametrize("written", WAYS)
def test_an_opt_out_is_about_an_address_in_whichever_way_it_is_written(
    desk: Any, written: str
) -> None:
    one = lead(desk, email="a@exämple.com")
    records = desk.take("opt_out", {"email": written})
    assert refused(records) == {one: {"email"}}
    assert {each.address for each in records if isinstance(each, ConsentChanged)} == {
        "a@xn--exmple-cua.com"
    }


def test_a_lead_from_before_there_was_one_form_has_the_key_that_is_asked_for() -> None:
    assert email_key("acme", "a@exämple.com") == email_key("acme", "a@xn--exmple-cua.com")


def test_of_such_a_lead_the_opt_out_names_the_address_once_as_its_profile_writes_it(
    desk: Any,
) -> None:
    one = lead(desk, email="a@exämple.com")
    (known,) = desk.leads()
    desk.book = type(desk.book)([replace(known, email="a@exämple.com")], _found(desk))
    records = desk.take("opt_out", {"email": "a@xn--exmple-cua.com"})
    told = [each for each in records if isinstance(each, ConsentChanged)]
    assert [(each.lead_id, each.address) for each in told] == [(one, "a@exämple.com")]
