"""The providers: one acceptance a key where keys are honoured, each send where they are not."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import Full, KeyConflict, Malformed, Unknown
from sandbox.providers import HTTP_CHANNELS, Providers

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEND = {"to": "ada@example.com", "subject": "Hello", "text": "Hi"}


def providers(capacity: int = 100) -> Providers:
    return Providers(capacity, "run")


def test_the_same_key_and_body_are_accepted_once() -> None:
    store = providers()
    first, replayed_first = store.accept("email", "k", dict(SEND), NOW)
    second, replayed_second = store.accept("email", "k", dict(reversed(SEND.items())), NOW)
    assert (replayed_first, replayed_second) == (False, True)
    assert second is first
    assert store.counts()["total"] == 1
    assert store.attempts(first) == 2


def test_a_used_key_with_another_body_is_a_conflict_and_leaves_the_first() -> None:
    store = providers()
    first, _ = store.accept("email", "k", SEND, NOW)
    with pytest.raises(KeyConflict):
        store.accept("email", "k", {**SEND, "text": "Bye"}, NOW)
    assert store.page(None, "k", 0, 10) == (1, [first])
    assert store.attempts(first) == 2


def test_a_key_is_scoped_by_channel_but_counts_as_a_duplicate_across_channels() -> None:
    store = providers()
    store.accept("sms", "k", SEND, NOW)
    _, replayed = store.accept("whatsapp", "k", SEND, NOW)
    assert not replayed
    counts = store.counts()
    assert (counts["total"], counts["distinct_keys"], counts["duplicate_acceptances"]) == (2, 1, 1)


def test_without_a_key_every_send_is_accepted() -> None:
    store = providers()
    entries = [store.accept("voice", None, SEND, NOW)[0] for _ in range(3)]
    assert len({entry.id for entry in entries}) == 3
    assert [store.attempts(entry) for entry in entries] == [1, 1, 1]
    assert store.counts()["distinct_keys"] == 0
    assert store.counts()["duplicate_acceptances"] == 0


def test_smtp_accepts_the_same_key_again_and_counts_the_duplicate() -> None:
    store = providers()
    for _ in range(3):
        store.accept_mail(["ada@example.com"], "k", "Hello", b"mail", NOW)
    counts = store.counts()
    assert counts["by_channel"]["smtp"] == 3
    assert counts["duplicate_acceptances"] == 2


def test_an_attempt_that_was_refused_before_acceptance_is_counted() -> None:
    store = providers()
    store.count_attempt("email", "k")
    entry, replayed = store.accept("email", "k", SEND, NOW)
    assert not replayed
    assert store.attempts(entry) == 2


def test_the_hash_is_that_of_the_canonical_json() -> None:
    entry, _ = providers().accept("email", None, {"to": "é@x.io", "a": {"c": 1, "b": 2}}, NOW)
    expected = '{"a":{"b":2,"c":1},"to":"é@x.io"}'.encode()
    assert entry.digest == hashlib.sha256(expected).digest()


@pytest.mark.parametrize(
    "send",
    [{}, {"to": ""}, {"to": " "}, {"to": []}, {"to": 7}, {"to": ["a", None]}, {"to": None}],
)
def test_a_send_without_a_recipient_is_malformed(send: dict[str, object]) -> None:
    store = providers()
    with pytest.raises(Malformed, match="`to`"):
        store.accept("email", "k", send, NOW)
    assert store.counts()["total"] == 0


def test_past_the_capacity_a_send_is_refused_and_nothing_is_forgotten() -> None:
    store = providers(capacity=2)
    first, _ = store.accept("email", "a", SEND, NOW)
    store.accept("email", "b", SEND, NOW)
    with pytest.raises(Full):
        store.accept("email", "c", SEND, NOW)
    with pytest.raises(Full):
        store.accept_mail(["x@y.z"], None, None, b"mail", NOW)
    assert store.accept("email", "a", SEND, NOW) == (first, True)
    assert store.counts()["total"] == 2


def test_pages_follow_the_order_of_acceptance_and_the_filters() -> None:
    store = providers()
    for number in range(10):
        store.accept("sms" if number % 2 else "email", f"k{number}", SEND, NOW)
    total, page = store.page(None, None, 3, 4)
    assert (total, [entry.seq for entry in page]) == (10, [4, 5, 6, 7])
    total, page = store.page("sms", None, 1, 2)
    assert (total, [entry.key for entry in page]) == (5, ["k3", "k5"])
    assert store.page("email", "k3", 0, 10) == (0, [])
    assert store.page(None, "missing", 0, 10) == (0, [])
    with pytest.raises(Malformed, match="`channel`"):
        store.page("fax", None, 0, 10)


def test_an_entry_is_found_by_its_id() -> None:
    store = providers()
    entry, _ = store.accept("email", "k", SEND, NOW)
    assert store.find(entry.id) is entry
    with pytest.raises(Unknown):
        store.find("email_run_0000002")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(HTTP_CHANNELS),
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["x", "y"]),
        ),
        max_size=40,
    )
)
def test_whatever_is_presented_a_channel_accepts_a_key_at_most_once(
    calls: list[tuple[str, str, str]],
) -> None:
    store = providers()
    answers: dict[tuple[str, str], tuple[str, str]] = {}
    for channel, key, text in calls:
        try:
            entry, _ = store.accept(channel, key, {"to": "x@y.z", "text": text}, NOW)
        except KeyConflict:
            assert answers[channel, key][0] != text
        else:
            assert answers.setdefault((channel, key), (text, entry.id)) == (text, entry.id)
    assert store.counts()["total"] == len(answers)
