"""When a rule opens an incident, and on what."""

from __future__ import annotations

from typing import Any

import pytest

from leadflow.errors import SettingError
from leadflow.tenants import Tenant
from portal_api.incidents.kinds import KINDS
from portal_api.incidents.rules import RULES, Count, Opening, for_tenants, openings
from portal_api.incidents.scopes import NotAScope, Scope, parse


def asked(*counts: Count, **more: Any) -> list[Opening]:
    return openings(counts, **{"own_rules": {}, "feeds": {}, "open_already": (), **more})


def test_a_fifth_of_twenty_messages_that_fail_pause_the_channel() -> None:
    [opening] = asked(Count("delivery", "acme", "sms", total=25, bad=5))
    assert str(opening.scope) == "channel:acme:sms"
    assert opening.kind == "delivery"
    assert opening.reason == ("5 of 25 sms messages failed, bounced or are unknown within an hour.")
    assert (opening.evidence["total"], opening.evidence["bad"]) == (25, 5)


@pytest.mark.parametrize(
    ("total", "bad"),
    [(19, 19), (100, 19), (20, 4)],
    ids=["too few at all", "too small a share", "too few bad ones"],
)
def test_below_the_floor_or_the_share_nothing_is_paused(total: int, bad: int) -> None:
    assert asked(Count("delivery", "acme", "sms", total, bad)) == []


@pytest.mark.parametrize(
    ("total", "bad", "opens"), [(1000, 3, True), (1001, 3, False), (299, 9, False), (300, 2, False)]
)
def test_complaints_pause_from_three_in_a_thousand(total: int, bad: int, opens: bool) -> None:
    found = asked(Count("complaints", "acme", "email", total, bad))
    assert [each.kind for each in found] == (["compliance"] if opens else [])


def test_three_refused_credentials_are_enough_where_most_are_refused() -> None:
    assert [each.kind for each in asked(Count("credential", "acme", "email", 3, 3))] == [
        "credential"
    ]
    assert asked(Count("credential", "acme", "email", 2, 2)) == []
    assert asked(Count("credential", "acme", "email", 7, 3)) == []


def test_one_message_after_a_stop_is_one_too_many() -> None:
    [opening] = asked(Count("stop_ignored", "acme", "sms", total=4000, bad=1))
    assert opening.kind == "compliance"
    assert asked(Count("stop_ignored", "acme", "sms", total=4000, bad=0)) == []


def test_a_source_pauses_the_sequences_that_name_it() -> None:
    feeds = {("acme", "call-tracking"): ["acme.missed-call", "acme.call-back"]}
    found = asked(Count("webhook", "acme", "call-tracking", 20, 10), feeds=feeds)
    assert [str(each.scope) for each in found] == [
        "sequence:acme:acme.missed-call",
        "sequence:acme:acme.call-back",
    ]


def test_events_that_cannot_be_read_pause_the_tenant_where_no_sequence_names_the_source() -> None:
    [opening] = asked(Count("webhook", "acme", "website-form", 20, 10))
    assert opening.scope == Scope("tenant", "acme")


def test_a_flood_of_spam_does_not_pause_a_tenant() -> None:
    assert asked(Count("quarantine", "acme", "website-form", 500, 490)) == []
    own = for_tenants(
        [Tenant(tenant_id="acme", incident_rules={"quarantine": {"or_tenant": True}})]
    )
    assert len(asked(Count("quarantine", "acme", "website-form", 500, 490), own_rules=own)) == 1


def test_silence_counts_for_a_source_that_sends_every_day() -> None:
    feeds = {("acme", "call-tracking"): ["acme.missed-call"]}
    [opening] = asked(Count("silence", "acme", "call-tracking", total=7, bad=1), feeds=feeds)
    assert opening.kind == "freshness"
    assert asked(Count("silence", "acme", "call-tracking", total=7, bad=0), feeds=feeds) == []


def test_a_source_that_keeps_weekends_does_not_pause_its_sequences_every_saturday() -> None:
    feeds = {("acme", "call-tracking"): ["acme.missed-call"]}
    # On Saturday: the evening of the Friday before last, and Monday to Friday.
    assert asked(Count("silence", "acme", "call-tracking", total=6, bad=1), feeds=feeds) == []


def test_what_is_open_is_not_opened_again_and_one_round_opens_it_once() -> None:
    count = Count("delivery", "acme", "sms", 25, 25)
    assert asked(count, open_already={("delivery", "channel:acme:sms")}) == []
    assert len(asked(count, open_already={("credential", "channel:acme:sms")})) == 1
    assert len(asked(count, count)) == 1


def test_a_tenant_sets_its_own_thresholds_or_switches_a_rule_off() -> None:
    own = for_tenants(
        [
            Tenant(tenant_id="acme", incident_rules={"delivery": {"share": 1, "at_least": 5}}),
            Tenant(tenant_id="north", incident_rules={"delivery": {"enabled": False}}),
            Tenant(tenant_id="plain"),
        ]
    )
    assert own.keys() == {"acme", "north"}
    assert asked(Count("delivery", "acme", "sms", 20, 19), own_rules=own) == []
    assert len(asked(Count("delivery", "acme", "sms", 5, 5), own_rules=own)) == 1
    assert asked(Count("delivery", "north", "sms", 100, 100), own_rules=own) == []
    assert len(asked(Count("delivery", "plain", "sms", 20, 19), own_rules=own)) == 1


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"nonsense": {}}, "no incident rule nonsense"),
        ({"delivery": {"window": 5}}, "delivery has no setting window"),
        ({"delivery": {"share": "much"}}, "share takes a number"),
        ({"delivery": {"at_least": True}}, "at_least takes a number"),
        ({"delivery": {"enabled": 1}}, "enabled takes true or false"),
    ],
)
def test_a_rule_that_is_wrongly_set_is_named(rules: Any, words: str) -> None:
    with pytest.raises(SettingError, match=f"tenant acme: .*{words}"):
        for_tenants([Tenant(tenant_id="acme", incident_rules=rules)])


def test_every_rule_is_of_one_of_the_eight_kinds() -> None:
    assert len(KINDS) == 8
    assert {rule.kind for rule in RULES.values()} <= KINDS.keys()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("everything", "everything"),
        ("tenant:acme", "tenant:acme"),
        ("channel:acme:sms", "channel:acme:sms"),
        ("sequence:acme:acme.first-touch", "sequence:acme:acme.first-touch"),
        ("sequence:acme:first-touch", "sequence:acme:acme.first-touch"),
    ],
)
def test_a_scope_is_read_and_written_in_one_way(said: str, meant: str) -> None:
    assert str(parse(said)) == meant


@pytest.mark.parametrize(
    "said",
    ["", "all", "everything:acme", "tenant:", "tenant:acme:x", "channel:acme", "channel:acme:fax"],
)
def test_what_cannot_be_paused_is_refused(said: str) -> None:
    with pytest.raises(NotAScope):
        parse(said)
