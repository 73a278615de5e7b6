"""Paused accounts are asked whether they take calls again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync.account_store import ACTIVE, PAUSED, Registered
from crm_sync.crm.base import CrmSignIn
from crm_sync.keeper import Keeper
from leadflow.errors import LeadflowError, SettingError

ROW = Registered(
    account_id="hubspot-1",
    tenant_id="acme",
    provider="hubspot",
    status=PAUSED,
    changed_by="canary",
    changed_at=datetime(2026, 11, 21, 9, 0, tzinfo=UTC),
    revision=4,
)


class Rows:
    def __init__(self) -> None:
        self.row = ROW
        self.asked: list[tuple[str, timedelta]] = []
        self.news: list[tuple[str, int]] = []

    async def to_ask(self, paused_by: str, every: timedelta) -> list[Registered]:
        self.asked.append((paused_by, every))
        return [self.row] if self.row.status == PAUSED else []

    async def untold(self) -> list[Registered]:
        return [] if self.news else [self.row]

    async def told(self, account_id: str, revision: int) -> None:
        self.news.append((account_id, revision))

    async def change(
        self, account_id: str, status: str, reason: str, by: str, before: Any, revision: int
    ) -> bool:
        assert (account_id, tuple(before), revision) == ("hubspot-1", (PAUSED,), 4)
        self.row = replace(self.row, status=status, reason=reason, changed_by=by)
        return True


class Crm:
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def canary(self) -> None:
        if self.error is not None:
            raise self.error


class Connected:
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def to(self, row: Registered) -> Connected:
        return self

    async def __aenter__(self) -> Crm:
        if isinstance(self.error, SettingError):
            raise self.error
        return Crm(self.error)

    async def __aexit__(self, *_: object) -> None:
        return None


def keeper(rows: Rows, error: Exception | None) -> Keeper:
    accounts: Any = rows
    connections: Any = Connected(error)

    async def tell(row: Registered) -> None:
        assert rows.news == []

    return Keeper(accounts, connections, tell, timedelta(minutes=1))


async def test_an_account_goes_on_when_its_canary_is_accepted() -> None:
    rows = Rows()
    await keeper(rows, None).round()
    assert (rows.row.status, rows.row.changed_by) == (ACTIVE, "canary")
    assert rows.asked == [("canary", timedelta(minutes=1))]


@pytest.mark.parametrize("error", [CrmSignIn("refused"), SettingError("it does not open")])
async def test_it_stays_paused_while_its_canary_is_not(error: Exception) -> None:
    rows = Rows()
    await keeper(rows, error).round()
    assert rows.row == ROW


async def test_a_change_counts_as_told_when_it_has_been_told() -> None:
    rows = Rows()
    keeping = keeper(rows, CrmSignIn("refused"))
    await keeping.round()
    await keeping.round()
    assert rows.news == [("hubspot-1", 4)]


async def test_what_could_not_be_told_is_told_again() -> None:
    rows = Rows()

    async def fails(row: Registered) -> None:
        raise LeadflowError("no broker")

    keeping = keeper(rows, CrmSignIn("refused"))
    keeping._tell = fails
    with pytest.raises(LeadflowError, match="no broker"):
        await keeping.round()
    assert rows.news == []
