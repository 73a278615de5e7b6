from __future__ import annotations

from typing import Any

import pytest

from intake.prepare import prepare
from intake.quality import gibberish
from leadflow.records import LeadCreated

GOOD = {
    "name": "Maria Delgado",
    "email": "maria@example.com",
    "phone": "512 555 0163",
    "message": "Water is coming in over the nursery.",
    "consent": {"email": True},
}


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({}, []),
        ({"website_hp": ""}, []),
        ({"website_hp": "http://seo.example"}, ["honeypot"]),
        ({"hp": "x"}, ["honeypot"]),
        ({"_gotcha": "x"}, ["honeypot"]),
        ({"email": "a@mailinator.com"}, ["disposable_email"]),
        ({"email": "not an address"}, ["invalid_email"]),
        ({"phone": "000-000-0000"}, ["impossible_phone"]),
        ({"name": "asdfgh jklqwrt"}, ["gibberish_name"]),
        ({"message": "zxcvbnm qwrtpsdf hjklzx"}, ["gibberish_message"]),
        ({"message": "http://a.example http://b.example www.c.example"}, ["link_stuffing"]),
        ({"message": "see http://a.example and http://b.example"}, []),
        ({"consent": {"email": False}}, ["missing_consent"]),
        ({"consent": None}, ["missing_consent"]),
        ({"email": None, "phone": None}, ["no_contact"]),
        ({"email": "x", "phone": "1"}, ["no_contact", "invalid_email", "impossible_phone"]),
    ],
)
def test_each_rule_speaks_when_it_should(
    desk: Any, change: dict[str, Any], rules: list[str]
) -> None:
    prepared = prepare(desk.raw("lead", {**GOOD, **change}), desk.tenant)
    assert [reason.rule for reason in prepared.seen.reasons] == rules


@pytest.mark.parametrize("written", ["asdf asdf qwrtp zxcvb", "Xxxxxx Zzzzzz", "Qzxv Bnmkl"])
def test_keyboard_noise_is_gibberish(written: str) -> None:
    assert gibberish(written)


@pytest.mark.parametrize(
    "written",
    [
        "Angela Goldschmidt",
        "Siobhán Ní Bhriain",
        "Knightsbridge property liberty",
        "Wojciech Szczepański",
        "Иван Петров",
        "山田太郎",
        "Ng",
        "Llwyd Rhys",
        "",
    ],
)
def test_real_names_and_words_are_not_gibberish(written: str) -> None:
    assert not gibberish(written)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"website_hp": "x"}, "quarantined"),
        ({"email": "a@mailinator.com", "phone": "111"}, "quarantined"),
        # One odd thing is no reason to shut a person out.
        ({"email": "a@mailinator.com", "consent": None}, "active"),
        ({"name": "Smrt Krch"}, "active"),
        ({"phone": "111"}, "active"),
    ],
)
def test_the_threshold_decides_on_quarantine(
    desk: Any, change: dict[str, Any], status: str
) -> None:
    records = desk.take("lead", {**GOOD, **change})
    created = records[0]
    assert isinstance(created, LeadCreated)
    assert created.status == status
    assert bool(created.quarantine_reasons) == (status == "quarantined")
    if status == "quarantined":
        assert len(records) == 1, "nobody scores or describes a quarantined lead"


def test_the_reasons_of_a_quarantine_hold_nothing_personal(desk: Any) -> None:
    (created,) = desk.take("lead", {**GOOD, "website_hp": "secret", "phone": "111"})
    notes = " ".join(reason.note for reason in created.quarantine_reasons)
    assert "secret" not in notes
    assert "111" not in notes
    assert "maria" not in notes.lower()
