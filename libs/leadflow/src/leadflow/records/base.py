"""What every record has: `Record`, `LeadRecord` for those about a lead, `Nested` inside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self


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
