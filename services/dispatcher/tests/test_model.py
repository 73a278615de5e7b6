"""The states of a message, in the program and in the database."""

from __future__ import annotations

import importlib
import re

import pytest

from dispatcher.model import FIRST_STATES, TRANSITIONS, Paused, State, scopes_of

FINAL = {State.SENT, State.FAILED, State.UNKNOWN, State.SUPPRESSED, State.RECORDED}


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_leads_out_of_a_final_state(state: State) -> None:
    assert not TRANSITIONS[state]


def test_only_a_claimed_message_can_become_sent_or_failed_or_unknown() -> None:
    for target in (State.SENT, State.FAILED, State.UNKNOWN, State.RECORDED):
        assert {s for s, targets in TRANSITIONS.items() if target in targets} == {State.CLAIMED}


def test_the_database_holds_the_same_transitions() -> None:
    sql = importlib.import_module("dispatcher.migrations.0001_ledger").TRANSITIONS
    inserted, updated = sql.split("ELSIF")
    assert set(re.findall(r"'(\w+)'", inserted.split("NOT IN")[1].split("THEN")[0])) == {
        str(state) for state in FIRST_STATES
    }
    assert set(re.findall(r"\('(\w+)', '(\w+)'\)", updated)) == {
        (str(source), str(target)) for source, targets in TRANSITIONS.items() for target in targets
    }


def test_a_message_falls_in_four_scopes_and_the_widest_is_named() -> None:
    assert scopes_of("acme", "email", "acme.first-touch")[:4] == (
        "everything",
        "tenant:acme",
        "channel:acme:email",
        "sequence:acme:acme.first-touch",
    )
    paused = Paused(frozenset({"tenant:acme", "channel:acme:email"}))
    assert paused.covering("acme", "email", None) == "tenant:acme"
    assert paused.covering("other", "email", None) is None


def test_a_sequence_may_be_named_without_its_tenant() -> None:
    paused = Paused(frozenset({"sequence:acme:first-touch"}))
    assert paused.covering("acme", "sms", "acme.first-touch") == "sequence:acme:first-touch"
    assert paused.covering("acme", "sms", "acme.other") is None
