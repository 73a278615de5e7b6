"""What every record has: `Record`, `LeadRecord` for those about a lead, `Nested` inside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Self, TypeVar

Made = TypeVar("Made")


def assemble(cls: type[Made], data: dict[str, Any]) -> Made:
    """An instance of a slotted dataclass from a value for each of its fields.

    A frozen dataclass's own `__init__` calls `object.__setattr__` by name for each field and
    takes nearly three times as long: too much for every record that is read.
    """
    made = object.__new__(cls)
    for put, name in _slots(cls):  # type: ignore[arg-type]  # a class is hashable
        put(made, data[name])
    return made


def changed(record: Made, **changes: Any) -> Made:
    """A copy of a slotted dataclass with some fields changed, as `dataclasses.replace`, which
    takes three times as long. Raises TypeError for a field that there is not."""
    made = object.__new__(type(record))
    for put, name in _slots(type(record)):  # type: ignore[arg-type]
        put(made, changes.pop(name) if name in changes else getattr(record, name))
    if changes:
        raise TypeError(f"{type(record).__name__} has no {', '.join(changes)}")
    return made


@cache
def _slots(cls: Any) -> tuple[tuple[Callable[[object, Any], None], str], ...]:
    """What fills each slot. Looked up once a class."""
    return tuple((getattr(cls, field.name).__set__, field.name) for field in fields(cls))


class Nested:
    """A record inside a record: an address, an amount, a reason."""

    __slots__ = ()
    PII: ClassVar[frozenset[str]]

    def to_avro(self) -> dict[str, Any]:
        """The plain values that fastavro writes."""
        raise TypeError(f"{type(self).__name__} has no schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record of one of our topics.

    `TYPE`, `VERSION`, `PRIVACY_CLASS` and `PII` (the fields that can identify a person) come
    from its schema. Times are aware UTC datetimes, of millisecond precision on the wire.
    """

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]
    PRIVACY_CLASS: ClassVar[str]
    PII: ClassVar[frozenset[str]]

    event_id: str
    tenant_id: str
    occurred_at: datetime
    recorded_at: datetime
    source: str

    def to_avro(self) -> dict[str, Any]:
        """The record as the plain values that fastavro writes."""
        raise TypeError(f"{type(self).__name__} has no schema")

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        """The record made of what fastavro read; takes `data` over and may change it."""
        raise TypeError(f"{cls.__name__} has no schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadRecord(Record):
    """A record about one lead, found in topics that are keyed by `lead_id`."""

    lead_id: str
    owner: str | None = None
