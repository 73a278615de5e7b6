"""Fault rules: what they hit, how often, and what is said about a wrong one."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.errors import Malformed, Unknown
from sandbox.faults import Faults, refusal


def faults(*rules: dict[str, Any]) -> Faults:
    store = Faults()
    for rule in rules:
        store.add(rule)
    return store


@pytest.mark.parametrize(
    ("target", "hit"),
    [
        ("email", {"email"}),
        ("smtp", {"smtp"}),
        ("crm", {"crm"}),
        ("providers", {"email", "sms", "whatsapp", "voice"}),
        ("*", {"email", "sms", "whatsapp", "voice", "smtp", "crm"}),
    ],
)
def test_a_target_names_one_part_the_providers_or_everything(target: str, hit: set[str]) -> None:
    store = faults({"target": target, "mode": "fail"})
    parts = ("email", "sms", "whatsapp", "voice", "smtp", "crm")
    assert {part for part in parts if store.pick(part, ["x"])} == hit


def test_a_rule_ends_after_its_times_and_stays_listed_with_its_hits() -> None:
    store = faults({"target": "email", "mode": "fail", "times": 2})
    assert [store.pick("email", ["x"]) is not None for _ in range(4)] == [True, True, False, False]
    (shown,) = store.view()
    assert (shown["hits"], shown["ended"]) == (2, True)


def test_a_match_hits_by_a_part_of_any_recipient() -> None:
    store = faults({"target": "*", "mode": "reject", "match": {"to": "+1555"}})
    assert store.pick("sms", ["+15550100"])
    assert store.pick("sms", ["+4930", "+15550100"])
    assert store.pick("sms", ["+4930"]) is None
    assert store.view()[0]["seen"] == 2


def test_a_rate_hits_its_share_and_the_same_requests_each_run() -> None:
    rule = {"target": "email", "mode": "fail", "rate": 0.3, "seed": 7}
    runs = [[faults_.pick("email", ["x"]) for _ in range(2000)] for faults_ in _twice(rule)]
    assert runs[0] == runs[1]
    # Five standard deviations of a binomial of 2,000 at 0.3 are 102.
    assert abs(sum(spec is not None for spec in runs[0]) - 600) < 102
    other = faults({**rule, "seed": 8})
    assert [other.pick("email", ["x"]) for _ in range(2000)] != runs[0]


def _twice(rule: dict[str, Any]) -> tuple[Faults, Faults]:
    return faults(rule), faults(rule)


@pytest.mark.parametrize(("rate", "hits"), [(0, 0), (1, 100)])
def test_a_rate_of_none_or_all_is_exact(rate: float, hits: int) -> None:
    store = faults({"target": "email", "mode": "fail", "rate": rate})
    assert sum(store.pick("email", ["x"]) is not None for _ in range(100)) == hits


def test_the_first_rule_that_hits_decides() -> None:
    store = faults(
        {"target": "email", "mode": "reject", "times": 1},
        {"target": "*", "mode": "fail"},
    )
    picked = [store.pick("email", ["x"]) for _ in range(2)]
    assert [spec.mode for spec in picked if spec] == ["reject", "fail"]


def test_in_a_batch_rules_without_a_match_hit_the_whole_and_others_the_items() -> None:
    store = faults({"target": "email", "mode": "fail", "match": {"to": "ada"}})
    assert store.pick_batch("email") is None
    assert store.pick_item("email", ["ada@x.io"])
    assert store.pick_item("email", ["bob@x.io"]) is None
    store = faults({"target": "email", "mode": "fail"})
    assert store.pick_batch("email")
    assert store.pick_item("email", ["ada@x.io"]) is None


def test_a_match_hits_by_a_part_of_what_is_written() -> None:
    store = faults({"target": "crm", "mode": "reject", "match": {"to": "lead", "says": "no one"}})
    for pick in (store.pick, store.pick_item):
        assert pick("crm", ["lead-1"], b'{"first_name":"no one"}')
        assert pick("crm", ["lead-1"], b'{"first_name":"Ada"}') is None
        assert pick("crm", ["other"], b'{"first_name":"no one"}') is None
        assert pick("crm", ["lead-1"]) is None
    assert store.pick_batch("crm") is None
    assert store.view()[0]["match"] == {"to": "lead", "says": "no one"}


@pytest.mark.parametrize(
    ("rule", "status", "retry_after"),
    [
        ({"mode": "fail"}, 500, None),
        ({"mode": "fail", "status": 503, "retry_after_seconds": 9}, 503, 9),
        ({"mode": "reject"}, 422, None),
        ({"mode": "reject", "status": 403}, 403, None),
        ({"mode": "rate_limit"}, 429, 1),
        ({"mode": "rate_limit", "retry_after_seconds": 60}, 429, 60),
    ],
)
def test_refusing_modes_have_their_status(
    rule: dict[str, Any], status: int, retry_after: int | None
) -> None:
    spec = faults({"target": "email", **rule}).pick("email", ["x"])
    assert spec is not None
    refused = refusal(spec)
    assert refused is not None
    assert (refused.status, refused.retry_after_seconds) == (status, retry_after)
    assert refused.retryable == (status in (429, 500, 503))


@pytest.mark.parametrize("mode", ["stall", "drop_after_accept"])
def test_stalling_and_dropping_do_not_refuse(mode: str) -> None:
    spec = faults({"target": "email", "mode": mode}).pick("email", ["x"])
    assert spec is not None
    assert refusal(spec) is None
    assert spec.stall_seconds == 30


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"target": "fax"}, "target"),
        ({"target": None}, "target"),
        ({"target": ["email"]}, "target"),
        ({"mode": "explode"}, "mode"),
        ({"status": 200}, "status"),
        ({"status": "500"}, "status"),
        ({"rate": 1.5}, "rate"),
        ({"rate": True}, "rate"),
        ({"times": 0}, "times"),
        ({"times": 1.5}, "times"),
        ({"match": "ada"}, "match"),
        ({"match": {"from": "ada"}}, "match"),
        ({"match": {"to": ""}}, "match"),
        ({"match": {}}, "match"),
        ({"match": {"to": "ada", "says": 1}}, "match"),
        ({"retry_after_seconds": -1}, "retry_after_seconds"),
        ({"mode": "stall", "stall_seconds": 4000}, "stall_seconds"),
        ({"stall_seconds": 1}, "stall_seconds"),
        ({"mode": "stall", "status": 500}, "status"),
        ({"seed": "x"}, "seed"),
        ({"rates": 0.5}, "rates"),
    ],
)
def test_a_wrong_rule_is_refused_naming_the_field(change: dict[str, Any], field: str) -> None:
    store = Faults()
    with pytest.raises(Malformed) as caught:
        store.add({"target": "email", "mode": "fail", **change})
    assert [f"`{field}`" in error for error in caught.value.errors] == [True]
    assert store.view() == []


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Malformed) as caught:
        Faults().add({"target": "fax", "mode": "explode", "times": 0})
    assert len(caught.value.errors) == 3
    with pytest.raises(Malformed, match="object"):
        Faults().add([])


def test_rules_are_removed_one_by_one_or_all() -> None:
    store = Faults()
    first, second = (store.add({"target": "email", "mode": "fail"}) for _ in range(2))
    store.remove(first)
    assert [rule["id"] for rule in store.view()] == [second]
    with pytest.raises(Unknown):
        store.remove(first)
    store.clear()
    assert store.pick("email", ["x"]) is None
