"""What can be paused: everything, a tenant, a channel of a tenant, a sequence, a provider. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CHANNELS = ("email", "sms", "whatsapp", "call", "task")
EVERYTHING = "everything"
PROVIDER = "provider"
# crm:ACCOUNT is the scope of incidents of CRM accounts. No message waits for it, so it is never
# said in automation-controls, and nobody can pause it from here.
CRM = "crm"
# They touch every tenant: no key of one tenant may write them.
OF_ALL_TENANTS = frozenset({EVERYTHING, PROVIDER})
# A refusal lists no more of what there is than somebody reads.
MOST_LISTED = 20


def is_of_automation(scope: str) -> bool:
    """Whether messages wait for it, so that those who send them must be told."""
    return scope.partition(":")[0] != CRM


class NotAScope(ValueError):
    """The text names nothing that can be paused; it says what would."""


@dataclass(frozen=True, slots=True)
class Scope:
    """`kind` as in `parse`; `name` that of a channel, sequence or provider."""

    kind: str
    tenant_id: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As it is the key in automation-controls."""
        parts = (each for each in (self.kind, self.tenant_id, self.name) if each)
        return ":".join(parts)


def parse(text: str) -> Scope:
    """everything, tenant:T, channel:T:C, sequence:T:ID (the id with or without T in front) or
    provider:NAME.

    Raises NotAScope. Whether the tenant, the sequence and the provider exist is not asked.
    """
    kind, _, rest = text.strip().partition(":")
    tenant_id, _, name = rest.partition(":")
    if kind == EVERYTHING and not rest:
        return Scope(EVERYTHING)
    if kind == PROVIDER and tenant_id and not name:
        return Scope(PROVIDER, name=tenant_id)
    if kind == "tenant" and tenant_id and not name:
        return Scope("tenant", tenant_id)
    if kind == "channel" and tenant_id and name:
        if name not in CHANNELS:
            raise NotAScope(f"{name!r} is no channel; there are {', '.join(CHANNELS)}")
        return Scope("channel", tenant_id, name)
    if kind == "sequence" and tenant_id and name:
        full = name if name.startswith(f"{tenant_id}.") else f"{tenant_id}.{name}"
        return Scope("sequence", tenant_id, full)
    raise NotAScope(
        "a scope is everything, tenant:TENANT, channel:TENANT:CHANNEL, sequence:TENANT:ID or "
        "provider:NAME"
    )


def missing(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no such thing, and what there is instead, for who may see all of it."""
    names = sorted(known)
    there = ", ".join(names[:MOST_LISTED])
    if len(names) > MOST_LISTED:
        there += f" and {len(names) - MOST_LISTED} more"
    return (
        f"there is no {what} {name}; there {'is' if len(names) == 1 else 'are'} {there or 'none'}"
    )
