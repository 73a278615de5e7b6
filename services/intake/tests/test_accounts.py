"""Contacts of one account, and who hears that one of them replied."""

from typing import Any

import pytest

from intake.accounts import MOST_CONTACTS, account_key, company
from leadflow.records import AccountReplied, LeadRecord, LeadUpdated

WORK = {"first_name": "Ada", "company": "Acme Roofing, Inc."}


def lead(desk: Any, email: str, **more: Any) -> str:
    records = desk.take("lead", {"email": email, "name": f"Person {desk.events}", **more})
    lead_id: str = records[0].lead_id
    return lead_id


def heard(records: tuple[LeadRecord, ...]) -> dict[str, str]:
    """Who replied, by who hears of it."""
    return {e.lead_id: e.replied_lead_id for e in records if isinstance(e, AccountReplied)}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Acme Roofing, Inc.", "acme roofing"),
        ("The ACME Roofing Co.", "acme roofing"),
        ("Müller & Söhne GmbH & Co. KG", "muller sohne"),
        ("A.C.M.E. LLC", "acme"),
        ("3M", "3m"),
        ("n/a", None),
        ("Self-employed", None),
        ("  ", None),
        (None, None),
    ],
)
def test_a_company_is_its_name_without_its_form(given: str | None, name: str | None) -> None:
    assert company(given) == name


def test_the_other_contacts_of_the_company_hear_of_a_reply(desk: Any) -> None:
    first = lead(desk, "ada@acme.example", company="Acme Roofing, Inc.")
    second = lead(desk, "bob@gmail.com", company="ACME Roofing")
    lead(desk, "eve@gmail.com", company="Other Roofing")
    records = desk.take("reply", {"lead": first, "from": "ada@acme.example", "text": "Yes"})
    assert heard(records) == {second: first}
    [event] = [each for each in records if isinstance(each, AccountReplied)]
    assert (event.tenant_id, event.channel, event.cause_id) == ("acme", "email", "e4")


def test_without_a_company_the_domain_of_the_mailbox_is_the_account(desk: Any) -> None:
    first, second = lead(desk, "ada@big.example"), lead(desk, "bob@Big.example")
    reply = {"lead": second, "from": "bob@big.example", "text": "Yes"}
    assert heard(desk.take("reply", reply)) == {first: second}


@pytest.mark.parametrize("domain", ["gmail.com", "web.de", "mailinator.com"])
def test_a_mailbox_provider_is_no_account(desk: Any, domain: str) -> None:
    for name in ("ada", "bob"):
        lead(desk, f"{name}@{domain}", consent={"email": True})
    assert all(account_key(each) is None for each in desk.leads())


@pytest.mark.parametrize(
    "reply",
    [
        {"text": "I am away", "headers": {"Auto-Submitted": "auto-replied"}},
        {"text": "STOP"},
        {"text": "START", "channel": "sms"},
    ],
)
def test_a_machine_or_a_keyword_is_no_news_for_the_others(desk: Any, reply: dict[str, Any]) -> None:
    first = lead(desk, "ada@big.example")
    lead(desk, "bob@big.example")
    assert heard(desk.take("reply", {"lead": first, "from": "ada@big.example", **reply})) == {}


def test_whoever_went_to_another_company_does_not_hear(desk: Any) -> None:
    first = lead(desk, "ada@mail.example", company="Acme")
    records = desk.take("lead", {"email": "bob@mail2.example", "name": "Bob Bo", "company": "Acme"})
    bob = records[0].lead_id
    records = desk.take("lead", {"email": "bob@mail2.example", "company": "Umbrella"})
    assert records[0].lead_id == bob
    reply = {"lead": first, "from": "ada@mail.example", "text": "Yes"}
    assert heard(desk.take("reply", reply)) == {}


def test_a_quarantined_contact_does_not_hear(desk: Any) -> None:
    first = lead(desk, "ada@big.example")
    lead(desk, "bob@big.example", website_hp="http://spam.example")
    assert [each.status for each in desk.leads()] == ["active", "quarantined"]
    reply = {"lead": first, "from": "ada@big.example", "text": "Yes"}
    assert heard(desk.take("reply", reply)) == {}


def test_a_word_that_very_many_write_is_no_account(desk: Any) -> None:
    contacts = [
        lead(desk, f"p{number}@m{number}.example", company="Google")
        for number in range(MOST_CONTACTS)
    ]
    reply = {"lead": contacts[0], "from": "p0@m0.example", "text": "Yes"}
    assert len(heard(desk.take("reply", reply))) == MOST_CONTACTS - 1
    lead(desk, "one@more.example", company="Google")
    assert heard(desk.take("reply", reply)) == {}


def test_a_reply_names_the_day_on_which_an_automatic_answer_says_that_somebody_is_back(
    desk: Any,
) -> None:
    lead(desk, "ada@big.example")
    away = {"from": "ada@big.example", "text": "I am out until Nov 30."}
    [reply] = desk.take("reply", {**away, "headers": {"Auto-Submitted": "auto-replied"}})
    assert (reply.automatic, reply.returns_on) == (True, "2026-11-30")
    [reply] = desk.take("reply", away)
    assert (reply.automatic, reply.returns_on) == (False, None)


def test_what_is_known_goes_ahead_of_an_event_of_a_lead_that_was_silent_for_very_long(
    desk: Any,
) -> None:
    ada = lead(desk, "ada@big.example", phone="+15125550111")
    known_since = desk.leads()[0].known_since
    [reply] = desk.take("reply", {"from": "ada@big.example", "text": "Yes"})
    assert reply.TYPE == "ReplyReceived"
    desk.events += 24 * 400
    for kind, payload in (
        ("reply", {"from": "ada@big.example", "text": "Yes"}),
        ("call_missed", {"caller": "+15125550111"}),
        ("stage_change", {"lead": ada, "to": "contacted"}),
    ):
        reminder, said = desk.take(kind, payload)[:2]
        assert isinstance(reminder, LeadUpdated)
        assert (reminder.lead_id, reminder.email) == (ada, "ada@big.example")
        assert reminder.known_since == known_since
        assert said.TYPE != "LeadUpdated"
    again = desk.take("lead", {"email": "ada@big.example"})
    assert [each.TYPE for each in again].count("LeadUpdated") == 1
