"""What crm-sync knows: a contact as groups of fields, changes of it, and what waits.

A contact is a last-writer-wins map: each group of fields (`Register`) is replaced as a
whole, by the change with the highest order. So changes may be repeated and may arrive in any
order, and the result is the same: nothing older ever replaces something newer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

PROFILE = "profile"
STAGE = "stage"
OWNER = "owner"
QUALIFICATION = "qualification"
ENROLLMENT = "enrollment"
MESSAGE = "message"

# What goes both ways: people may change it in the CRM as well (ADR 29).
PERSONAL = ("first_name", "last_name", "email", "phone", "company", "title")
BOTH_WAYS = ("stage", "owner", *PERSONAL)

# Groups whose order is the lead's revision; the others are ordered by time, in milliseconds.
BY_REVISION = (PROFILE, STAGE, OWNER)


class Order(NamedTuple):
    """Place of a change among the changes of its group; the event id settles what is equal."""

    rank: int
    event_id: str


@dataclass(frozen=True, slots=True)
class Register:
    """One group of fields, JSON values, as the change with `order` wrote it."""

    order: Order
    fields: Mapping[str, Any]


State: TypeAlias = Mapping[str, Register]


@dataclass(frozen=True, slots=True)
class Upsert:
    """The groups of fields that a record writes.

    `again`: the contact is written as it then stands even where none of them is newer than what
    was written, for the CRM is thought to have something else.
    """

    registers: State
    again: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A text that a person let out. `note_id` is the summary's id: written once."""

    note_id: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Task:
    """Something for a person to do. `task_id` is the message's id: written once.

    `kind` is "task" or "call". It is due at once, `at`: the sequencer has waited already.
    """

    task_id: str
    kind: str
    title: str
    text: str
    at: datetime
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Which of a tenant's CRMs its leads are kept in. `default` is everybody's who has none.

    A paused account is not called: what is for it waits.
    """

    account_id: str = "default"
    provider: str = "sandbox"
    paused: bool = False


DEFAULT_ACCOUNT = Account()


class Origin(NamedTuple):
    """Where a record was read first."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Item:
    """A record that changes the CRM; `what` is its type, `account` where it goes.

    `attempts` counts the calls made for it that failed. `hop` counts how often it was put
    into a retry topic: of two copies the higher is the newer one.
    """

    event_id: str
    tenant_id: str
    lead_id: str
    what: str
    origin: Origin
    change: Upsert | Note | Task
    attempts: int = 0
    hop: int = 0
    account: Account = DEFAULT_ACCOUNT


class Earlier(NamedTuple):
    """A value of ours that a contact had in the CRM `until` something newer was written."""

    field: str
    value: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Contact:
    """A lead as the CRM has it; one in each account that it was ever written to.

    `crm_id` is None until the CRM has the contact: what is known before that is kept in
    `state`. `pending` is a state that was about to be written when its outcome was last
    known to be unknown; it must be settled, under the same idempotency key, before anything
    newer is written. `version` is the row's, for optimistic locking; 0: not stored yet.
    `earlier` are the values of fields that go both ways, newest last, by which the CRM's news of
    our own writes are told from people's changes.
    """

    lead_id: str
    tenant_id: str
    version: int = 0
    state: State = field(default_factory=dict)
    crm_id: str | None = None
    pending: State | None = None
    pending_event: str = ""
    account_id: str = DEFAULT_ACCOUNT.account_id
    earlier: tuple[Earlier, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record in a retry topic. A lead with one of these is parked.

    `tier` is the retry topic, 0 the one with the shortest delay. `hop` is the one of its
    newest copy that is known to be in a retry topic.
    """

    event_id: str
    lead_id: str
    origin: Origin
    tier: int
    due_at: datetime
    attempts: int
    hop: int


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays of the retry topics, and how many failed attempts lead to each of them.

    With attempts (3, 3, 24) the first three failures wait in tier 0, the next three in
    tier 1, the next 24 in tier 2, and the 31st ends in the dead-letter topic. `patience` is
    how long a record waits at least that came before its turn. Up to a share of `jitter` is added
    to each delay, so that what failed together does not come back together. `by_provider` are the
    policies of CRMs that have one of their own.
    """

    delays: tuple[timedelta, ...]
    attempts: tuple[int, ...]
    patience: timedelta = timedelta(seconds=1)
    jitter: float = 0.0
    by_provider: Mapping[str, RetryPolicy] = field(default_factory=dict)

    def of(self, provider: str) -> RetryPolicy:
        """The policy of a CRM."""
        return self.by_provider.get(provider, self)


@dataclass(frozen=True, slots=True)
class NextTry:
    """When a record is tried again, and in which retry topic it waits for that."""

    tier: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class SyncRun:
    """How it stands with one record: `result` is written, unchanged, waiting or dead."""

    event_id: str
    tenant_id: str
    lead_id: str
    what: str
    attempts: int
    result: str
    error: str | None = None
    reason: str | None = None
    next_try_at: datetime | None = None
    account: Account = DEFAULT_ACCOUNT
