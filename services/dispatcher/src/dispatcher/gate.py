"""What may hold a message back for a while, though nothing forbids it: limits and breakers.

Asked between the claim and the call. Who has to wait is queued again, untouched, for as long as
the gate says; the order of a lead's messages stays, for only its earliest is ever claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dispatcher.model import Answer, Entry

# The rule of who waits for a limit begins so.
LIMIT = "limit:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A message that waits for `seconds` because of `rule`, a name people can look up."""

    entry: Entry
    rule: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Which of the asked entries go to the provider now, in their order, and which wait."""

    go: Sequence[Entry]
    wait: Sequence[Wait] = ()


class Gate(Protocol):
    """Decides for a provider; raises what SQLAlchemy raises."""

    async def allowance(self, provider: str, wanted: int) -> int:
        """How many messages may be claimed for it now, at most `wanted`."""

    async def unused(self, provider: str, number: int) -> None:
        """So many of the allowance were not given to the provider after all."""

    async def admit(self, provider: str, entries: Sequence[Entry]) -> Admission: ...

    async def observe(self, provider: str, answers: Sequence[Answer]) -> None:
        """Told what a provider answered, so that a failing one is given a rest."""

    async def refused(self, provider: str, reason: str) -> None:
        """Told that a provider takes nothing from us as we are."""


class OpenGate:
    """Lets everything through."""

    async def allowance(self, provider: str, wanted: int) -> int:
        return wanted

    async def unused(self, provider: str, number: int) -> None:
        return None

    async def admit(self, provider: str, entries: Sequence[Entry]) -> Admission:
        return Admission(go=entries)

    async def observe(self, provider: str, answers: Sequence[Answer]) -> None:
        return None

    async def refused(self, provider: str, reason: str) -> None:
        return None
