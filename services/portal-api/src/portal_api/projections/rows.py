"""Rows of the read models on their way to the database: merged here, merged again there.

Every table says, column by column, how two sightings of one row become one. The same rule is
applied to the records of a batch (`Rows.put`) and, as SQL, to what is already stored
(`portal_api.store.upserts`), so that the size of a batch changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """How a stored and a newer value become one; None stands for "not said".

    `first` keeps what is there, `last` takes what comes, `least` and `greatest` compare.
    `by` takes the newer value, None or not, when its row's `guard` is not below the stored one.
    """

    kind: str
    guard: str = ""


FIRST, LAST = Rule("first"), Rule("last")
LEAST, GREATEST = Rule("least"), Rule("greatest")


def by(guard: str) -> Rule:
    return Rule("by", guard)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table of the schema: its key, and the rule of every other column that is projected."""

    name: str
    key: tuple[str, ...]
    rules: Mapping[str, Rule]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.key, *self.rules)

    def merge(self, old: Row, new: Row) -> Row:
        """One row out of two of the same key."""
        merged = dict(old)
        for column, rule in self.rules.items():
            before, after = old.get(column), new.get(column)
            if rule.kind == "by":
                guard, held = new.get(rule.guard), old.get(rule.guard)
                takes = guard is not None and (held is None or guard >= held)
            elif after is None:
                takes = False
            elif before is None or rule.kind == "last":
                takes = True
            elif rule.kind == "least":
                takes = after < before
            elif rule.kind == "greatest":
                takes = after > before
            else:
                takes = False
            if takes:
                merged[column] = after
        return merged


class Rows:
    """The rows of one batch, by table and key, in the order in which tables were first met."""

    def __init__(self) -> None:
        self._tables: dict[str, tuple[Table, dict[tuple[Any, ...], Row]]] = {}

    def put(self, table: Table, **row: Any) -> None:
        """Add a sighting of a row; columns left out are not said anything about.

        Raises KeyError if the row lacks a part of its key.
        """
        _, rows = self._tables.setdefault(table.name, (table, {}))
        key = tuple(row[part] for part in table.key)
        held = rows.get(key)
        rows[key] = row if held is None else table.merge(held, row)

    def of(self, table: Table) -> list[Row]:
        """The rows of a table, ordered by key: writers that meet take locks in one order."""
        _, rows = self._tables.get(table.name, (table, {}))
        return [rows[key] for key in sorted(rows)]

    def tables(self) -> Iterable[Table]:
        return [table for table, _ in self._tables.values()]

    def __bool__(self) -> bool:
        return any(rows for _, rows in self._tables.values())
