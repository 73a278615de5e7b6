"""Stages and fields as data, and accounts that are opened by it."""

from __future__ import annotations

from typing import Any

import pytest

from crm_sync.crm.base import CrmNever
from crm_sync.crm.defaults import FOLLOW_UP_BOSS, HUBSPOT
from crm_sync.crm.mapping import CrmMapping, read_mapping, translated, value_at
from crm_sync.crm.providers import Access, open_crm
from leadflow.clock import SystemClock
from leadflow.errors import SettingError

# product.md, "Stages": the default pipeline and the second preset.
STAGES = [
    "new",
    "contacted",
    "qualified",
    "proposal-sent",
    "won",
    "lost",
    "dormant",
    "offer-sent",
    "under-contract",
    "assigned",
]


@pytest.mark.parametrize("mapping", [HUBSPOT, FOLLOW_UP_BOSS], ids=["hubspot", "followupboss"])
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_of_both_pipelines_has_a_counterpart(mapping: CrmMapping, stage: str) -> None:
    assert mapping.stage({"stage": stage})


def test_an_account_adds_changes_and_takes_away() -> None:
    given = {
        "stages": {"new": "s1", "lost": None, "site-visit": "s9"},
        "contact": {"title": None, "attribution.term": "utm_term"},
        "pipeline": "roofs",
    }
    mapping = read_mapping(given, HUBSPOT)
    assert mapping.stage({"stage": "new"}) == "s1"
    assert mapping.stage({"stage": "site-visit"}) == "s9"
    assert mapping.stage({"stage": "won"}) == "closedwon"
    assert mapping.pipeline == "roofs"
    assert "title" not in mapping.contact
    assert mapping.contact["attribution.term"] == "utm_term"
    with pytest.raises(CrmNever):
        mapping.stage({"stage": "lost"})


def test_two_fields_may_change_places() -> None:
    given = {"contact": {"first_name": "lastname", "last_name": "firstname"}}
    assert read_mapping(given, HUBSPOT).contact["first_name"] == "lastname"


def test_a_stage_of_the_crm_is_read_back() -> None:
    mapping = read_mapping({"owners": {"rita": "41"}}, HUBSPOT)
    assert mapping.told("stage", "closedwon") == ("won", "assigned")
    assert mapping.told("stage", "elsewhere") == ()
    assert mapping.told("owner", "41") == ("rita",)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"colours": {}}, "colours"),
        ({"stages": []}, "stages"),
        ({"stages": {"new": 1}}, "stages.new"),
        ({"owners": {"rita": ""}}, "owners.rita"),
        ({"pipeline": {}}, "pipeline"),
        ({"contact": {"last_name": "firstname"}}, "first_name and last_name both on 'firstname'"),
        ({"deal": {"fit": "amount"}}, "budget.amount and fit both on 'amount'"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_named(given: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        read_mapping(given, HUBSPOT)


def test_what_a_contact_does_not_have_is_not_written() -> None:
    names = {"phone": "phone", "address.city": "city", "consent.email": "agreed", "fit": "fit"}
    written = {"address": {"city": "Graz"}, "consent": {"email": False}, "fit": 0, "phone": ""}
    assert translated(written, names) == {"city": "Graz", "agreed": "false", "fit": "0"}


def test_what_is_gone_is_emptied_only_in_fields_that_are_ours_alone() -> None:
    names = {"phone": "phone", "fit": "leadflow_fit", "intent": "leadflow_intent"}
    written = {"fit": 70}
    assert translated(written, names, own="leadflow_") == {
        "leadflow_fit": "70",
        "leadflow_intent": "",
    }


@pytest.mark.parametrize(
    ("minor", "currency", "amount"),
    [
        (150000, "EUR", "1500"),
        (1999, "USD", "19.99"),
        (5000, "JPY", "5000"),
        (1234, "KWD", "1.234"),
    ],
)
def test_amounts_are_in_whole_units(minor: int, currency: str, amount: str) -> None:
    budget = {"amount_minor": minor, "currency": currency}
    assert value_at({"budget": budget}, "budget.amount") == amount


@pytest.mark.parametrize(
    ("provider", "access"),
    [
        ("salesforce", Access(secret="hush-hush")),
        ("hubspot", Access(secret=" hush-hush")),
        ("hubspot", Access(secret="hush–hush")),
        ("hubspot", Access(secret="hush\nhush")),
        ("followupboss", Access(secret="hush-hüsh")),
        ("followupboss", Access(secret="hush-hush sÿstem key")),
        ("hubspot", Access(secret="hush-hush", mapping={"nothing": {}})),
        ("followupboss", Access(secret="hush-hush system")),
        ("followupboss", Access(secret="hush-hush", mapping={"owners": {"rita": "Rita"}})),
        ("followupboss", Access(secret="hush-hush", mapping={"owners": {"rita": "²"}})),
        ("webhook", Access(secret="hush-hush", url="http://crm.test")),
        ("webhook", Access(secret="whsec_hush-hush")),
        ("sandbox", Access(secret="hush-hush")),
    ],
)
def test_an_account_that_cannot_be_opened_says_why_and_keeps_its_secret(
    provider: str, access: Access
) -> None:
    with pytest.raises(SettingError) as refused:
        open_crm(provider, access, SystemClock())
    assert "hush" not in str(refused.value)
    assert "hush" not in repr(access)


async def test_accounts_are_opened_by_the_name_of_their_provider() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    for provider in ("hubspot", "followupboss", "webhook", "sandbox"):
        crm = open_crm(provider, Access(secret=secret, url="http://crm.test"), SystemClock())
        assert crm.name == provider
        await crm.close()
