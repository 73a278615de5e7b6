"""Accounts of the CRMs that are played by name: records with their history, and quotas.

An account is made when it is first called. Its records are of kinds in the CRM's own words
(contacts, deals, people, notes...); a record keeps every change, so that a test sees whether
something older was ever written over something newer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sandbox.errors import Full, Unknown

WINDOW = timedelta(seconds=10)
# What a record is found by: pairs of a field and a value.
Keys = Callable[[str, Mapping[str, Any]], Iterable[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Change:
    """One write of a record: `values` are those that it set. `seq` counts an account's writes."""

    seq: int
    by: str
    values: Mapping[str, Any]
    at: datetime


@dataclass(slots=True)
class Record:
    """`values` is what it is now, `links` are kinds and ids of records that it belongs to."""

    id: str
    kind: str
    created_at: datetime
    values: dict[str, Any] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)
    links: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told of changes, and how it is signed. `{tenant_id}` in `url` is the contact's."""

    url: str
    secret: str


class OverQuota(Exception):
    """No call is left in `limit`, one of the account's; one will be after `wait`."""

    def __init__(self, limit: str, wait: timedelta) -> None:
        super().__init__(limit)
        self.limit = limit
        self.wait = wait


class Quota:
    """Calls by limit: each in a window of ten seconds that slides, `daily` from midnight UTC."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.limits = dict(limits)
        self._calls: dict[str, deque[datetime]] = {}
        self._day = (date.min, 0)

    def use(self, limit: str, now: datetime) -> None:
        """Count a call. Raises OverQuota where none is left."""
        today, used = self._day if self._day[0] == now.date() else (now.date(), 0)
        if used >= self.limits.get("daily", used + 1):
            midnight = datetime(now.year, now.month, now.day, tzinfo=now.tzinfo)
            raise OverQuota("daily", midnight + timedelta(days=1) - now)
        calls = self._window(limit, now)
        if len(calls) >= self.limits.get(limit, len(calls) + 1):
            raise OverQuota(limit, calls[0] + WINDOW - now if calls else WINDOW)
        calls.append(now)
        self._day = (today, used + 1)

    def left(self, limit: str, now: datetime) -> int:
        """How many calls are left in a limit."""
        if limit == "daily":
            used = self._day[1] if self._day[0] == now.date() else 0
        else:
            used = len(self._window(limit, now))
        return max(0, self.limits.get(limit, used) - used)

    def _window(self, limit: str, now: datetime) -> deque[datetime]:
        calls = self._calls.setdefault(limit, deque())
        while calls and calls[0] <= now - WINDOW:
            calls.popleft()
        return calls


class Account:
    """The records of one account. `revoked`: its credentials are not taken any more."""

    def __init__(self, keys: Keys, limits: Mapping[str, int], room: Callable[[], None]) -> None:
        self.quota = Quota(limits)
        self.revoked = False
        self.without: set[str] = set()
        self.calls = 0
        self.writes = 0
        self.seen: set[str] = set()
        self._keys = keys
        self._room = room
        self._records: dict[str, dict[str, Record]] = {}
        self._found_by: dict[tuple[str, str, str], dict[str, None]] = {}
        self._made = 0

    def create(
        self, kind: str, values: Mapping[str, Any], now: datetime, by: str = "api"
    ) -> Record:
        self._made += 1
        record = Record(str(100 + self._made), kind, now)
        self._records.setdefault(kind, {})[record.id] = record
        self.write(record, values, now, by)
        return record

    def write(
        self, record: Record, values: Mapping[str, Any], now: datetime, by: str = "api"
    ) -> None:
        """Set values of a record; the others stay. Raises Full."""
        self._room()
        self.writes += 1
        for name, value in self._keys(record.kind, record.values):
            self._found_by.get((record.kind, name, value), {}).pop(record.id, None)
        record.values.update(values)
        record.history.append(Change(self.writes, by, dict(values), now))
        for name, value in self._keys(record.kind, record.values):
            self._found_by.setdefault((record.kind, name, value), {})[record.id] = None

    def find(self, kind: str, name: str, value: str) -> list[Record]:
        """The records that have this key, oldest first."""
        ids = self._found_by.get((kind, name, value), {})
        return [self._records[kind][each] for each in sorted(ids, key=int)]

    def get(self, kind: str, record_id: str) -> Record | None:
        return self._records.get(kind, {}).get(record_id)

    def all(self, kind: str) -> list[Record]:
        return list(self._records.get(kind, {}).values())

    def counts(self) -> dict[str, int]:
        return {kind: len(records) for kind, records in self._records.items()}


class Accounts:
    """The accounts of one run, by provider and name; their writes together at most `capacity`."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._accounts: dict[tuple[str, str], Account] = {}
        self._providers: dict[str, tuple[Keys, Mapping[str, int]]] = {}

    def play(self, provider: str, keys: Keys, limits: Mapping[str, int]) -> None:
        """Name a provider, what its records are found by and the limits of a new account."""
        self._providers[provider] = (keys, limits)

    def account(self, provider: str, name: str) -> Account:
        """The account, made if need be. Raises Unknown for a provider that is not played."""
        if provider not in self._providers:
            raise Unknown(f"no CRM {provider!r} is played")
        found = self._accounts.get((provider, name))
        if found is None:
            keys, limits = self._providers[provider]
            found = self._accounts[(provider, name)] = Account(keys, limits, self._require_room)
        return found

    def _require_room(self) -> None:
        if sum(account.writes for account in self._accounts.values()) >= self._capacity:
            raise Full(f"{self._capacity} writes are held; DELETE /accepted makes room")
