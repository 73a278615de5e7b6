"""Queues of parked leads: whose turn it is, and where the others wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_sync.crm.base import CrmNoRoom, CrmPaused, CrmSignIn, CrmSilent, CrmUnavailable
from crm_sync.model import Origin, RetryPolicy, Waiting
from crm_sync.parking import behind_the_last, park, put_back, turn

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
POLICY = RetryPolicy(
    (timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1)), attempts=(1, 1, 1)
)


def entry(event_id: str, tier: int = 0, hop: int = 1, due_at: datetime = NOW) -> Waiting:
    return Waiting(event_id, "lead-1", Origin("lead-events", 3, 40), tier, due_at, 1, hop)


def names(entries: Any) -> list[str]:
    return [each.event_id for each in entries]


def test_it_is_the_turn_of_those_at_the_front_that_have_arrived() -> None:
    queue = [entry("a"), entry("b"), entry("c"), entry("d")]
    found = turn(queue, {"a": 1, "b": 1, "d": 1})
    assert names(found.now) == ["a", "b"]
    assert names(found.early) == ["d"]


def test_nobody_passes_a_record_that_has_not_arrived() -> None:
    found = turn([entry("a", tier=1), entry("b")], {"b": 1})
    assert names(found.now) == []
    assert names(found.early) == ["b"]


def test_the_turn_is_that_of_the_queue_not_of_arrival() -> None:
    found = turn([entry("a"), entry("b")], {"b": 1, "a": 1})
    assert names(found.now) == ["a", "b"]


def test_an_older_copy_than_the_queues_is_stale() -> None:
    found = turn([entry("a", hop=3)], {"a": 2})
    assert (found.now, found.early) == ((), ())


def test_a_newer_copy_than_the_queues_counts_because_the_queue_is_written_after_it() -> None:
    assert names(turn([entry("a", hop=3)], {"a": 4}).now) == ["a"]


def test_a_copy_without_an_entry_was_processed() -> None:
    found = turn([], {"a": 1})
    assert (found.now, found.early) == ((), ())


def test_a_new_record_waits_where_the_last_one_does(records: Any, item: Any) -> None:
    last = entry("b", tier=1, due_at=NOW + timedelta(minutes=5))
    new = behind_the_last([entry("a", tier=2), last], item(records.created()))
    assert (new.tier, new.due_at, new.attempts, new.hop) == (1, last.due_at, 0, 1)


def test_an_early_record_goes_behind_its_predecessor() -> None:
    ahead = entry("a", tier=2, due_at=NOW + timedelta(hours=1))
    moved = put_back([ahead, entry("b"), entry("c")], [entry("b"), entry("c")], NOW, POLICY)
    assert [(each.event_id, each.tier, each.due_at, each.hop) for each in moved] == [
        ("b", 2, ahead.due_at, 2),
        ("c", 2, ahead.due_at, 2),
    ]


def test_an_early_record_is_not_put_back_at_once_again_and_again() -> None:
    ahead = entry("a", due_at=NOW - timedelta(minutes=1))
    (moved,) = put_back([ahead, entry("b")], [entry("b")], NOW, POLICY)
    assert moved.due_at == NOW + POLICY.patience


def test_a_lead_waits_together_for_as_long_as_the_first_has_to(records: Any, item: Any) -> None:
    first = replace(item(records.created()), attempts=1, hop=4)
    second = item(records.qualified())
    behind = item(records.sent("m1"))
    entries, given_up = park([first, second], [behind], CrmUnavailable("500"), NOW, POLICY)
    assert given_up == []
    assert [
        (each.event_id, each.tier, each.due_at, each.attempts, each.hop)
        for each in entries.values()
    ] == [
        ("e1", 1, NOW + timedelta(minutes=5), 2, 5),
        ("e2", 1, NOW + timedelta(minutes=5), 1, 1),
        ("e3", 1, NOW + timedelta(minutes=5), 0, 1),
    ]


def test_only_those_that_were_tried_often_enough_are_given_up(records: Any, item: Any) -> None:
    old = replace(item(records.created()), attempts=3)
    young = item(records.qualified())
    entries, given_up = park([old, young], [], CrmUnavailable("500"), NOW, POLICY)
    assert names(given_up) == ["e1"]
    assert [(each.event_id, each.tier) for each in entries.values()] == [("e2", 0)]


def test_the_others_of_a_lead_are_tried_when_the_first_is_given_up(records: Any, item: Any) -> None:
    old, behind = replace(item(records.created()), attempts=3), item(records.sent("m1"))
    entries, _ = park([old], [behind], CrmUnavailable("500"), NOW, POLICY)
    assert [(each.event_id, each.tier, each.attempts) for each in entries.values()] == [
        ("e2", 0, 0)
    ]


def test_where_the_account_is_to_blame_no_attempt_is_counted_and_the_wait_is_the_longest(
    records: Any, item: Any
) -> None:
    first, later = item(records.created(1)), item(records.updated(2))
    for error in (CrmSignIn("token refused"), CrmPaused("account a is paused")):
        again = replace(first, attempts=3)
        entries, given_up = park([again], [later], error, NOW, POLICY)
        assert given_up == []
        assert [each.attempts for each in entries.values()] == [3, 0]
        assert {each.tier for each in entries.values()} == {1}
        assert {each.due_at for each in entries.values()} == {NOW + timedelta(minutes=5)}


def test_where_the_account_does_not_answer_it_waits_five_minutes_and_no_attempt_counts(
    records: Any, item: Any
) -> None:
    waits = replace(item(records.created(1)), attempts=1)
    for silent, tier, due in (
        (timedelta(seconds=30), 0, timedelta(seconds=30)),
        (timedelta(seconds=31), 1, timedelta(minutes=5)),
        (timedelta(days=3), 1, timedelta(minutes=5)),
    ):
        entries, given_up = park([waits], [], CrmSilent("no answer", silent), NOW, POLICY)
        assert given_up == []
        (found,) = entries.values()
        assert (found.tier, found.due_at, found.attempts) == (tier, NOW + due, 1)


def test_where_the_budget_is_used_up_it_waits_for_room_and_no_attempt_is_counted(
    records: Any, item: Any
) -> None:
    waits = replace(item(records.created(1)), attempts=1)
    for seconds, tier, due in ((2, 0, timedelta(seconds=30)), (400, 2, timedelta(hours=1))):
        error = CrmNoRoom("no calls left", timedelta(seconds=seconds))
        entries, given_up = park([waits], [], error, NOW, POLICY)
        (found,) = entries.values()
        assert (found.attempts, found.tier, found.due_at, given_up) == (1, tier, NOW + due, [])


def test_what_failed_together_comes_back_apart_and_each_always_at_its_own_time(
    records: Any, item: Any
) -> None:
    policy = replace(POLICY, jitter=0.5)
    error = CrmUnavailable("down")
    delays = []
    for number in range(50):
        failed = item(records.created(1, event_id=f"event-{number}"))
        once, again = (park([failed], [], error, NOW, policy)[0] for _ in range(2))
        assert once == again
        delays.append((once[failed.event_id].due_at - NOW).total_seconds())
    assert all(30 <= delay < 45 for delay in delays)
    assert len(set(delays)) == 50
    assert max(delays) - min(delays) > 10
