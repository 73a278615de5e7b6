"""The states of a message, in the program and in the database."""

from __future__ import annotations

import importlib
import re

import pytest

import dispatcher.model
from dispatcher.model import ENDS, FIRST_STATES, TRANSITIONS, Paused, State, scopes_of

CHAIN = importlib.import_module("dispatcher.migrations.0010_whose")


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", sorted(ENDS - {State.UNKNOWN}))
def test_nothing_leads_out_of_an_end(state: State) -> None:
    assert not TRANSITIONS[state]


def test_a_doubt_is_settled_as_sent_or_failed() -> None:
    assert TRANSITIONS[State.UNKNOWN] == {State.SENT, State.FAILED}


def test_only_a_claimed_message_comes_to_an_end_or_into_doubt() -> None:
    def sources(target: State) -> set[State]:
        return {state for state, targets in TRANSITIONS.items() if target in targets}

    assert sources(State.RECORDED) == {State.CLAIMED}
    # What a person rejects may be out already.
    assert sources(State.UNKNOWN) == {State.CLAIMED, State.HELD}
    assert sources(State.SENT) == sources(State.FAILED) == {State.CLAIMED, State.UNKNOWN}


def test_the_database_holds_the_same_transitions() -> None:
    inserted, updated = CHAIN.TRANSITIONS.split("ELSIF")
    assert set(re.findall(r"'(\w+)'", inserted.split("NOT IN")[1].split("THEN")[0])) == {
        str(state) for state in FIRST_STATES
    }
    assert set(re.findall(r"\('(\w+)', '(\w+)'\)", updated)) == pairs()


def test_the_database_chains_every_end() -> None:
    assert set(re.findall(r"'(\w+)'", CHAIN.ENDS)) == {str(state) for state in ENDS}


def test_the_table_in_words_names_every_transition() -> None:
    table = re.findall(r"^ {4}(\(arrives\)|\w+) +(\w+) {2,}", dispatcher.model.__doc__ or "", re.M)
    first = {target for source, target in table if source == "(arrives)"}
    assert first == {str(state) for state in FIRST_STATES}
    # A claim that is taken over stays one: no change of state.
    assert {(source, target) for source, target in table if source != "(arrives)"} - {
        ("claimed", "claimed")
    } == pairs()


def pairs() -> set[tuple[str, str]]:
    return {
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
