"""The part of what intake knows that a batch of events touches, kept up while they are decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from intake.accounts import account_key
from intake.model import SPREADING, Decision, Key, Known, Lead, Prepared, Refusal, address_keys


@dataclass(slots=True)
class Changes:
    """What has to be written: the last state of each lead that changed, and what is new."""

    leads: dict[str, Lead] = field(default_factory=dict)
    keys: list[tuple[Key, str]] = field(default_factory=list)
    refused: dict[Refusal, bool] = field(default_factory=dict)  # False: taken back


class Book:
    """Leads, keys and refusals as the database had them, with the decisions since.

    `keys` lists lead ids by key, oldest first.
    """

    def __init__(
        self,
        leads: Iterable[Lead] = (),
        keys: Mapping[Key, Iterable[str]] | None = None,
        refusals: Iterable[Refusal] = (),
    ) -> None:
        self._leads = {lead.lead_id: lead for lead in leads}
        self._keys = {key: list(found) for key, found in (keys or {}).items()}
        self._refusals = set(refusals)
        self.changes = Changes()

    def known(self, prepared: Prepared) -> Known:
        """What is known about one event."""
        leads = {key: self._behind(key) for key in prepared.keys}
        meant = [lead for found in leads.values() for lead in found]
        further: set[Key] = set()
        if prepared.raw.kind in SPREADING:
            further.update(key for lead in meant for key in address_keys(lead))
        if prepared.raw.kind == "reply":
            further.update(key for lead in meant if (key := account_key(lead)) is not None)
        leads |= {key: self._behind(key) for key in further}
        return Known(
            leads=leads,
            refusals=frozenset(self._refusals.intersection(prepared.addresses())),
        )

    def apply(self, decision: Decision) -> None:
        """From now on, what was decided is known."""
        for lead in decision.leads:
            self._leads[lead.lead_id] = lead
            self.changes.leads[lead.lead_id] = lead
        for key, lead_id in decision.keys:
            known = self._keys.setdefault(key, [])
            if lead_id not in known:
                known.append(lead_id)
                self.changes.keys.append((key, lead_id))
        for refusal in decision.refused:
            self._refusals.add(refusal)
            self.changes.refused[refusal] = True
        for refusal in decision.allowed:
            self._refusals.discard(refusal)
            self.changes.refused[refusal] = False

    def _behind(self, key: Key) -> tuple[Lead, ...]:
        lead_ids = [key.value] if key.kind == "lead_id" else self._keys.get(key, [])
        leads = (self._leads.get(lead_id) for lead_id in lead_ids)
        return tuple(lead for lead in leads if lead is not None and lead.tenant_id == key.tenant_id)
