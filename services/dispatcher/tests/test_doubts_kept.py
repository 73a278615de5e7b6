"""What may be out already keeps its doubt, whatever keeps it back: without it, it would be taken
for one that nobody was given, and a provider without keys would send it a second time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dispatcher.decide import Retries, after_answer, before_sending
from dispatcher.model import Entry, Halt, Known, Paused, Refused, State

Make = Callable[..., Entry]


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.parametrize(
    ("fields", "paused", "rule"),
    [
        (
            {"answers": "START", "known": Known(consent=False, waited_seconds=1.0)},
            frozenset(),
            "consent_awaited",
        ),
        ({"known": Known(consent=True)}, frozenset({"tenant:acme"}), "paused"),
        (
            {"known": Known(consent=True, halt=Halt(paused_by="rita"))},
            frozenset(),
            "enrollment_paused",
        ),
        ({"known": Known(consent=None)}, frozenset(), "no_consent"),
    ],
)
def test_a_rule_that_keeps_it_back_settles_nothing(
    make_entry: Make, in_doubt: bool, fields: dict[str, Any], paused: frozenset[str], rule: str
) -> None:
    entry = make_entry(channel="sms", in_doubt=in_doubt, provider="sms-api", **fields)
    decision = before_sending(entry, Paused(paused), provider="sms-api", keyed=True)
    assert decision.state in (State.QUEUED, State.HELD)
    assert (decision.rule, decision.in_doubt) == (rule, in_doubt)


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.parametrize(
    ("error_class", "fields", "rule"),
    [
        ("SenderRefused", {"refusals": 0}, "credential_refused"),
        ("SenderRefused", {"refusals": 4}, "provider_refuses"),
        ("Busy", {"trying_seconds": 0.0}, "Busy"),
        ("Busy", {"trying_seconds": 86_400.0}, "retries_exhausted"),
        ("QuotaExceeded", {"trying_seconds": 0.0}, "quota_exceeded"),
    ],
)
def test_an_answer_that_says_nothing_of_it_settles_nothing(
    make_entry: Make, in_doubt: bool, error_class: str, fields: dict[str, Any], rule: str
) -> None:
    entry = make_entry(in_doubt=in_doubt, provider="email-api", **fields)
    answer = Refused(
        error_class=error_class,
        reason="not now",
        retryable=True,
        maybe_accepted=False,
        judged=False,
    )
    decision = after_answer(
        entry, answer, Retries(), provider="email-api", keyed=True, took_others=True
    )
    assert (decision.rule, decision.in_doubt) == (rule, in_doubt)
