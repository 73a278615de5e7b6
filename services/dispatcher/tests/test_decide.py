"""What happens to a message before the provider is called, and after it answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.decide import Decision, Retries, after_answer, before_sending
from dispatcher.model import Accepted, Entry, Known, Paused, Refused, State
from dispatcher.providers.base import KEY_SECONDS, QuotaExceeded

Make = Callable[..., Entry]

FREE = Paused()


def before(entry: Entry, paused: Paused = FREE, *, keyed: bool = True) -> Decision:
    return before_sending(entry, paused, provider="email-api", keyed=keyed)


def test_a_message_that_nothing_speaks_against_goes_to_the_provider(make_entry: Make) -> None:
    assert before(make_entry()).state is State.CLAIMED


@pytest.mark.parametrize("channel", ["call", "task"])
def test_calls_and_tasks_are_recorded_for_people(make_entry: Make, channel: str) -> None:
    assert before(make_entry(channel=channel)).state is State.RECORDED


def test_an_address_on_the_list_is_not_written_to(make_entry: Make) -> None:
    decision = before(make_entry(known=Known(suppressed_by="opt_out")))
    assert decision.state is State.SUPPRESSED
    assert decision.rule == "suppression_list"
    assert decision.inputs == {"reason": "opt_out", "channel": "email"}


@pytest.mark.parametrize(
    ("stop", "minutes", "state"),
    [
        ("reply", 0, State.SUPPRESSED),  # at the very moment counts
        ("reply", 5, State.SUPPRESSED),
        ("reply", -1, State.CLAIMED),  # before the enrollment began
        ("won", 5, State.CLAIMED),  # not in stop_on
        ("opt_out", 5, State.SUPPRESSED),  # stops whether named or not
        ("bounce", 5, State.SUPPRESSED),
        ("complaint", 5, State.SUPPRESSED),
    ],
)
def test_a_stop_covers_the_enrollments_that_began_before_it(
    make_entry: Make, now: datetime, stop: str, minutes: int, state: State
) -> None:
    at = now + timedelta(minutes=minutes)
    decision = before(make_entry(known=Known(stops={stop: at})))
    assert decision.state is state
    if state is State.SUPPRESSED:
        assert decision.rule == f"stopped_by_{stop}"


def test_a_stop_covers_tasks_too(make_entry: Make, now: datetime) -> None:
    decision = before(make_entry(channel="task", known=Known(stops={"reply": now})))
    assert decision.state is State.SUPPRESSED


def test_a_task_for_a_person_needs_no_consent_of_the_lead(make_entry: Make) -> None:
    known = Known(consent=False, suppressed_by="opt_out")
    assert before(make_entry(channel="task", known=known)).state is State.RECORDED


@pytest.mark.parametrize(
    ("channel", "consent", "state", "rule"),
    [
        ("email", None, State.CLAIMED, ""),  # allowed unless refused
        ("email", False, State.SUPPRESSED, "consent_refused"),
        ("sms", True, State.CLAIMED, ""),
        ("sms", None, State.HELD, "no_consent"),
        ("whatsapp", None, State.HELD, "no_consent"),
        ("sms", False, State.SUPPRESSED, "consent_refused"),
    ],
)
def test_consent_is_checked_when_the_message_is_sent(
    make_entry: Make, channel: str, consent: bool | None, state: State, rule: str
) -> None:
    decision = before(make_entry(channel=channel, known=Known(consent=consent)))
    assert (decision.state, decision.rule) == (state, rule)


@pytest.mark.parametrize(
    "scope",
    ["everything", "tenant:acme", "channel:acme:email", "sequence:acme:acme.first-touch"],
)
def test_in_a_paused_scope_a_message_waits(make_entry: Make, scope: str) -> None:
    decision = before(make_entry(), Paused(frozenset({scope})))
    assert decision.state is State.HELD
    assert decision.rule == "paused"
    assert decision.inputs == {"scope": scope}


def test_what_must_never_go_out_is_not_merely_held_by_a_pause(make_entry: Make) -> None:
    entry = make_entry(known=Known(suppressed_by="complaint"))
    assert before(entry, Paused(frozenset({"everything"}))).state is State.SUPPRESSED


def test_a_doubt_is_settled_by_presenting_the_key_again(make_entry: Make) -> None:
    assert before(make_entry(in_doubt=True, provider="email-api")).state is State.CLAIMED


def test_a_doubt_without_keys_is_unknown(make_entry: Make) -> None:
    decision = before(make_entry(in_doubt=True, provider="smtp"), keyed=False)
    assert decision.state is State.UNKNOWN


def test_a_doubt_at_another_provider_is_unknown(make_entry: Make) -> None:
    """The key means nothing to a provider that never saw it."""
    assert before(make_entry(in_doubt=True, provider="smtp")).state is State.UNKNOWN


def test_a_stop_during_a_doubt_leaves_it_unknown(make_entry: Make, now: datetime) -> None:
    """Presenting the key could send it after the stop; calling it suppressed could be a lie."""
    entry = make_entry(in_doubt=True, provider="email-api", known=Known(stops={"reply": now}))
    assert before(entry).state is State.UNKNOWN


def test_a_pause_keeps_the_doubt(make_entry: Make) -> None:
    entry = make_entry(in_doubt=True, provider="email-api")
    decision = before(entry, Paused(frozenset({"everything"})))
    assert decision.state is State.HELD
    assert decision.in_doubt


def refused(**changes: bool | float | str | None) -> Refused:
    fields = {
        "error_class": "Busy",
        "reason": "email-api answered 503",
        "retryable": True,
        "maybe_accepted": False,
        "judged": False,
    }
    return Refused(**{**fields, **changes})  # type: ignore[arg-type]


def after(entry: Entry, answer: Accepted | Refused, *, keyed: bool = True) -> Decision:
    return after_answer(entry, answer, Retries(), provider="email-api", keyed=keyed)


def test_a_yes_is_sent(make_entry: Make) -> None:
    decision = after(make_entry(), Accepted(provider_id="p-1", response="{}"))
    assert (decision.state, decision.provider_id) == (State.SENT, "p-1")
    assert decision.presented


def test_a_passing_no_is_tried_again_later(make_entry: Make) -> None:
    decision = after(make_entry(), refused())
    assert (decision.state, decision.delay_seconds) == (State.QUEUED, 5.0)
    assert not decision.in_doubt


def test_the_provider_may_ask_for_more_time_but_not_for_less(make_entry: Make) -> None:
    assert after(make_entry(), refused(wait_seconds=60.0)).delay_seconds == 60.0
    assert after(make_entry(), refused(wait_seconds=1.0)).delay_seconds == 5.0


@pytest.mark.parametrize("asked", [1e300, float("inf"), float("nan")])
def test_a_provider_that_asks_for_ages_is_asked_again_the_next_day(
    make_entry: Make, asked: float
) -> None:
    assert after(make_entry(), refused(wait_seconds=asked)).delay_seconds == 86_400.0


def test_a_lasting_no_is_failed_at_once(make_entry: Make) -> None:
    decision = after(make_entry(), refused(error_class="Rejected", retryable=False))
    assert (decision.state, decision.rule) == (State.FAILED, "Rejected")


def test_silence_is_tried_again_with_the_same_key(make_entry: Make) -> None:
    decision = after(make_entry(), refused(error_class="NoAnswer", maybe_accepted=True))
    assert decision.state is State.QUEUED
    assert decision.in_doubt


def test_silence_without_keys_is_unknown(make_entry: Make) -> None:
    answer = refused(error_class="NoAnswer", maybe_accepted=True)
    assert after(make_entry(), answer, keyed=False).state is State.UNKNOWN


def test_a_key_that_was_taken_with_other_bytes_is_unknown(make_entry: Make) -> None:
    answer = refused(error_class="KeyConflict", retryable=False, maybe_accepted=True)
    assert after(make_entry(), answer).state is State.UNKNOWN


def test_a_later_no_does_not_settle_an_earlier_doubt(make_entry: Make) -> None:
    entry = make_entry(in_doubt=True, provider="email-api", attempts=1)
    assert after(entry, refused()).in_doubt


def test_after_eight_judgements_it_has_failed(make_entry: Make) -> None:
    together = refused(error_class="RefusedTogether", judged=True)
    assert after(make_entry(attempts=6), together).state is State.QUEUED
    decision = after(make_entry(attempts=7), together)
    assert (decision.state, decision.rule) == (State.FAILED, "retries_exhausted")


def test_after_eight_silences_a_doubt_is_unknown(make_entry: Make) -> None:
    entry = make_entry(attempts=7, in_doubt=True, provider="email-api")
    answer = refused(error_class="Broken", maybe_accepted=True, judged=True)
    assert after(entry, answer).state is State.UNKNOWN


@pytest.mark.parametrize("error_class", ["Busy", "Unreachable"])
def test_what_a_provider_could_not_take_is_no_attempt_and_ends_by_time_alone(
    make_entry: Make, error_class: str
) -> None:
    """An outage of hours, met a thousand times, loses nothing; a day of it does."""
    outage = refused(error_class=error_class)
    entry = make_entry(attempts=7, trying_seconds=86_399.0)
    decision = after(entry, outage)
    assert (decision.state, decision.presented, decision.trying) == (State.QUEUED, False, True)
    decision = after(make_entry(trying_seconds=86_400.0), outage)
    assert (decision.state, decision.rule) == (State.FAILED, "retries_exhausted")
    doubted = make_entry(trying_seconds=86_400.0, in_doubt=True, provider="email-api")
    assert after(doubted, outage).state is State.UNKNOWN


def test_while_it_cannot_be_taken_the_waits_grow_as_between_attempts() -> None:
    waits, since = [], 0.0
    for _ in range(8):
        waits.append(Retries().delay_within(since))
        since += waits[-1]
    assert waits == [5, 15, 45, 135, 405, 1215, 3600, 3600]


def test_a_quota_is_waited_out_however_long_that_is(make_entry: Make) -> None:
    spent = QuotaExceeded("resend answered 429 monthly_quota_exceeded", 7200.0).refused()
    decision = after(make_entry(attempts=7, trying_seconds=3e6), spent)
    assert (decision.state, decision.rule) == (State.QUEUED, "quota_exceeded")
    assert (decision.delay_seconds, decision.presented) == (7200.0, False)
    assert decision.trying is False, "how long it was tried counts from its end"


def test_a_doubt_older_than_the_providers_memory_of_keys_is_unknown(make_entry: Make) -> None:
    def ask(seconds: float) -> Decision:
        entry = make_entry(in_doubt=True, provider="email-api", doubt_seconds=seconds)
        return before_sending(
            entry, FREE, provider="email-api", keyed=True, key_seconds=KEY_SECONDS
        )

    assert ask(22.9 * 3600).state is State.CLAIMED
    decision = ask(23.1 * 3600)
    assert (decision.state, decision.in_doubt) == (State.UNKNOWN, True)
    assert "forgotten" in decision.reason


def test_the_wait_grows_threefold_up_to_an_hour() -> None:
    delays = [Retries().delay(attempts) for attempts in range(1, 9)]
    assert delays == [5, 15, 45, 135, 405, 1215, 3600, 3600]


@given(st.integers(1, 10_000))
def test_the_wait_is_never_longer_than_the_longest(attempts: int) -> None:
    assert 0 < Retries().delay(attempts) <= 3600


@given(
    retryable=st.booleans(),
    maybe=st.booleans(),
    doubt=st.booleans(),
    keyed=st.booleans(),
    attempts=st.integers(0, 20),
)
def test_what_may_have_been_accepted_is_never_called_failed(
    retryable: bool, maybe: bool, doubt: bool, keyed: bool, attempts: int
) -> None:
    fields: dict[str, Any] = dict.fromkeys(Entry.__slots__)
    entry = Entry(**{**fields, "attempts": attempts, "in_doubt": doubt, "message_id": "m"})
    entry = replace(entry, refusals=0, trying_seconds=0.0)
    answer = refused(retryable=retryable, maybe_accepted=maybe)
    decision = after_answer(entry, answer, Retries(), provider="email-api", keyed=keyed)
    if maybe or (doubt and retryable):
        assert decision.state in (State.QUEUED, State.UNKNOWN)
        assert decision.in_doubt
    if not keyed and (maybe or doubt) and retryable:
        assert decision.state is State.UNKNOWN


@pytest.mark.parametrize("in_doubt", [False, True])
def test_a_provider_that_refuses_us_fails_no_message(make_entry: Make, in_doubt: bool) -> None:
    """401 and 403 say nothing of the message: it waits, and no attempt is counted."""
    refused = Refused(
        error_class="Unauthorized", reason="answered 401", retryable=False, maybe_accepted=False
    )
    entry = make_entry(in_doubt=in_doubt)
    decision = after_answer(entry, refused, Retries(), provider="email-api", keyed=True)
    assert (decision.state, decision.rule) == (State.HELD, "credential_refused")
    assert (decision.presented, decision.in_doubt) == (False, in_doubt)
    assert decision.inputs["scope"] == "credential:email-api"


@pytest.mark.parametrize("error_class", ["Unauthorized", "SenderRefused"])
def test_a_message_refused_with_us_while_others_pass_ends_with_a_person(
    make_entry: Make, error_class: str
) -> None:
    no = refused(error_class=error_class, retryable=False, judged=True)
    rules, waits = [], []
    for refusals in range(5):
        decision = after_answer(
            make_entry(refusals=refusals),
            no,
            Retries(),
            provider="twilio-sms",
            keyed=False,
            took_others=True,
        )
        assert (decision.state, decision.refused) == (State.HELD, True)
        assert not decision.presented
        rules.append(decision.rule)
        waits.append(decision.delay_seconds)
    assert rules == ["credential_refused"] * 4 + ["provider_refuses"]
    assert waits == [30, 60, 120, 240, 0]


def test_a_message_refused_with_us_while_nothing_passes_waits_for_as_long_as_that(
    make_entry: Make,
) -> None:
    no = refused(error_class="Unauthorized", retryable=False, judged=True)
    decision = after(make_entry(refusals=1_000), no)
    assert (decision.state, decision.rule) == (State.HELD, "credential_refused")
    assert decision.delay_seconds == 900
