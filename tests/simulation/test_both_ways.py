"""People change leads on both sides, under faults: in the end both have the same. Broken on
purpose, the simulation says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import crm_sync.compare
import crm_sync.decide
import intake.crm_settling
import intake.field_times
from intake.crm_settling import KEPT, Verdict, settle
from intake.model import Lead, Told
from leadflow.records import CrmChangeSettled
from leadflow.tenants import Tenant

from .world.both_ways import both_ways

SEEDS = 240
CHUNKS = 4


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_log_and_a_crm_in_which_people_work_end_with_the_same(chunk: int) -> None:
    for seed in range(chunk, SEEDS, CHUNKS):
        wrong = both_ways(seed)
        assert not wrong, f"seed {seed}: {wrong}"


def own_writes_are_changes(patch: pytest.MonkeyPatch) -> None:
    """Whatever the CRM has, somebody there has set it."""
    patch.setattr(crm_sync.compare, "_is_ours", lambda look, place, word: False)


def the_newer_owner_wins(patch: pytest.MonkeyPatch) -> None:
    def by_time(lead: Lead, told: Told, tenant: Tenant) -> Verdict:
        log_at = lead.set_at.get("owner")
        if told.field == "owner" and log_at is not None and told.at <= log_at:
            return Verdict(KEPT, "newest_wins", conflict=True)
        return settle(lead, told, tenant)

    patch.setattr(intake.crm_settling, "settle", by_time)


def nobody_knows_since_when(patch: pytest.MonkeyPatch) -> None:
    """When a field was set is not kept in the database."""
    patch.setattr(intake.field_times, "to_json", lambda lead: "{}")


def what_is_refused_stays_in_the_crm(patch: pytest.MonkeyPatch) -> None:
    """A stage that cannot be is not written over there."""
    changes: dict[type, object] = crm_sync.decide._CHANGES  # type: ignore[assignment]
    patch.setitem(changes, CrmChangeSettled, lambda record: None)


@pytest.mark.parametrize(
    ("mutate", "word"),
    [
        pytest.param(own_writes_are_changes, "NOBODY SAID", id="own-writes"),
        pytest.param(the_newer_owner_wins, "OVERRULED", id="newer-owner"),
        pytest.param(nobody_knows_since_when, "FORGOTTEN", id="times-forgotten"),
        pytest.param(what_is_refused_stays_in_the_crm, "UNEQUAL", id="refused-stays"),
    ],
)
def test_a_two_way_sync_that_is_broken_on_purpose_is_found(
    mutate: Callable[[pytest.MonkeyPatch], None], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    found = (each for seed in range(SEEDS) for each in both_ways(seed))
    assert any(each.startswith(word) for each in found)
