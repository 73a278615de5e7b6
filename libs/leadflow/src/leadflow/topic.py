"""A topic as the catalogue (`schemas/topics.toml`) describes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from leadflow.records.base import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic: what its key is, which records it holds, who writes and who reads it."""

    name: str
    key: str
    records: tuple[type[Record], ...]
    partitions: int
    retention: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]

    @property
    def compacted(self) -> bool:
        return self.retention == "compact"

    @property
    def retention_time(self) -> timedelta | None:
        """How long the broker keeps a record; None where it never deletes by age."""
        if self.retention in ("compact", "forever"):
            return None
        return timedelta(days=int(self.retention.removesuffix("d")))

    def __str__(self) -> str:
        return self.name
