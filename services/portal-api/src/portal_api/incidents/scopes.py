"""What can be paused: everything, a tenant, a channel of a tenant, a sequence. Pure."""

from __future__ import annotations

from dataclasses import dataclass

CHANNELS = ("email", "sms", "whatsapp", "call", "task")
EVERYTHING = "everything"


class NotAScope(ValueError):
    """The text names nothing that can be paused; it says what would."""


@dataclass(frozen=True, slots=True)
class Scope:
    """`kind` is everything, tenant, channel or sequence; `name` the channel or sequence."""

    kind: str
    tenant_id: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As it is the key in automation-controls."""
        parts = (each for each in (self.kind, self.tenant_id, self.name) if each)
        return ":".join(parts)


def parse(text: str) -> Scope:
    """everything, tenant:T, channel:T:C or sequence:T:ID; the id with or without T in front.

    Raises NotAScope. Whether the tenant and the sequence exist is not asked.
    """
    kind, _, rest = text.strip().partition(":")
    tenant_id, _, name = rest.partition(":")
    if kind == EVERYTHING and not rest:
        return Scope(EVERYTHING)
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
        "a scope is everything, tenant:TENANT, channel:TENANT:CHANNEL or sequence:TENANT:ID"
    )
