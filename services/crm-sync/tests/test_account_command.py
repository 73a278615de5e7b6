"""`python -m crm_sync account`: what it takes and shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crm_sync.account_store import ACTIVE, PAUSED, Registered
from crm_sync.budget import Budget
from crm_sync.command import answered, arguments, read_budget, read_object, run, shown
from leadflow.errors import SettingError
from leadflow.settings import Environment

ROW = Registered(
    account_id="hubspot-1",
    tenant_id="acme",
    provider="hubspot",
    sealed_secret=b"sealed",
    budget=Budget(100, 10),
    status=PAUSED,
    reason="token refused",
    changed_by="canary",
    changed_at=datetime(2026, 11, 21, 9, 0, tzinfo=UTC),
)


def test_an_account_is_shown_without_its_secret() -> None:
    assert shown(ROW) == (
        "account=hubspot-1  tenant=acme  provider=hubspot  status=paused  reason=token refused  "
        "by=canary  since=2026-11-21T09:00:00+00:00  budget=100/10"
    )
    assert "sealed" not in shown(ROW, as_json=True)
    assert "sealed" not in repr(ROW)


def test_a_budget_is_calls_in_seconds() -> None:
    assert read_budget("100/10") == Budget(100, 10)


@pytest.mark.parametrize("written", ["100", "0/10", "100/0", "1.5/1", "many/10", "-1/10"])
def test_a_budget_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(SettingError, match="calls in seconds"):
        read_budget(written)


@pytest.mark.parametrize(
    ("written", "budget", "said"),
    [
        ("100/10", Budget(100, 10), "default has a budget of 100/10"),
        ("none", None, "default has no budget"),
    ],
)
async def test_a_budget_can_be_changed_and_taken_away(
    written: str, budget: Budget | None, said: str
) -> None:
    asked: list[tuple[str, Budget | None]] = []

    class Accounts:
        async def set_budget(self, account_id: str, budget: Budget | None) -> bool:
            asked.append((account_id, budget))
            return account_id == "default"

    accounts: Any = Accounts()
    chosen = arguments(["budget", "default", written])
    assert await answered(accounts, chosen, Environment({})) == [said]
    assert asked == [("default", budget)]
    with pytest.raises(SettingError, match="no such account"):
        await answered(accounts, arguments(["budget", "gone", written]), Environment({}))


def test_a_secret_is_no_argument() -> None:
    with pytest.raises(SystemExit):
        arguments(["add", "acme", "hubspot", "--secret", "pat-na1-x"])


def test_a_mapping_must_be_an_object(tmp_path: Path) -> None:
    path = tmp_path / "mapping.json"
    path.write_text('["stages"]')
    with pytest.raises(SettingError, match="JSON object"):
        read_object(path)


def test_a_missing_setting_names_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list"], Environment({})) == 1
    assert "LEADFLOW_DATABASE_URL is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "by", "taken"),
    [
        (ACTIVE, "cli", True),
        (ACTIVE, "canary", True),
        (PAUSED, "canary", True),
        (PAUSED, "cli", False),
    ],
)
async def test_a_persons_pause_takes_the_place_of_the_canarys(
    status: str, by: str, taken: bool
) -> None:
    class Accounts:
        row = replace(ROW, status=status, changed_by=by)

        async def all(self) -> list[Registered]:
            return [self.row]

        async def change(
            self, account_id: str, to: str, reason: str, who: str, before: Sequence[str]
        ) -> bool:
            changed = account_id == self.row.account_id and self.row.status in before
            if changed:
                self.row = replace(self.row, status=to, changed_by=who)
            return changed

    accounts: Any = Accounts()
    chosen = arguments(["pause", "hubspot-1", "--by", "rita"])
    if taken:
        assert await answered(accounts, chosen, Environment({})) == ["hubspot-1 paused"]
        assert (accounts.row.status, accounts.row.changed_by) == (PAUSED, "rita")
    else:
        with pytest.raises(SettingError, match="paused already"):
            await answered(accounts, chosen, Environment({}))
        assert accounts.row.changed_by == by
    with pytest.raises(SettingError, match="no such account"):
        await answered(accounts, arguments(["pause", "gone"]), Environment({}))
