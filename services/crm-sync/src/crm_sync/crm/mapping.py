"""Our stages, owners and fields in a CRM's words. Pure; what belongs to what is data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any

from crm_sync.crm.base import CrmNever
from leadflow.errors import SettingError


@dataclass(frozen=True, slots=True)
class CrmMapping:
    """`contact` and `deal`: a field of ours, such as `address.city`, and the CRM's name for it.

    `stages` and `owners`: a value of ours and the CRM's. `pipeline` is where deals belong.
    What is not named here is not written.
    """

    contact: Mapping[str, str] = field(default_factory=dict)
    deal: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    pipeline: str = ""

    def stage(self, written: Mapping[str, Any]) -> str | None:
        """The CRM's stage of a contact; None where it has none. Raises CrmNever where the stage
        has no counterpart: a deal in a wrong column would be worse than a dead letter."""
        stage = written.get("stage")
        if stage is None:
            return None
        if stage not in self.stages:
            raise CrmNever(f"the account's mapping has no stage for {stage!r}")
        return self.stages[stage]

    def owner(self, written: Mapping[str, Any]) -> str | None:
        """The CRM's id of the owner; None where there is none, or none that the CRM knows."""
        return self.owners.get(written.get("owner") or "")

    def told(self, ours: str, theirs: str) -> tuple[str, ...]:
        """The values of our field that the CRM's word stands for, the first one named first."""
        if ours not in ("stage", "owner"):
            return (theirs,)
        names = self.stages if ours == "stage" else self.owners
        return tuple(mine for mine, named in names.items() if named == theirs)


def read_mapping(given: Mapping[str, Any], defaults: CrmMapping) -> CrmMapping:
    """An account's mapping: `given` on top of the provider's defaults, null takes one away.

    Raises SettingError, naming what is wrong.
    """
    known = {each.name for each in fields(CrmMapping)}
    if unknown := sorted(given.keys() - known):
        raise SettingError(f"a mapping has no {', '.join(unknown)}, but {', '.join(sorted(known))}")
    changes: dict[str, Any] = {}
    for name, value in given.items():
        if name == "pipeline":
            if not isinstance(value, str):
                raise SettingError("a mapping's pipeline must be a string")
            changes[name] = value
        else:
            changes[name] = _merged(name, getattr(defaults, name), value)
    mapping = replace(defaults, **changes)
    _one_on_one("contact", mapping.contact)
    _one_on_one("deal", mapping.deal)
    return mapping


def _one_on_one(name: str, names: Mapping[str, str]) -> None:
    """Of two fields on one of the CRM's, one would be written and read back as the other."""
    ours_of: dict[str, str] = {}
    for ours, theirs in names.items():
        if (other := ours_of.setdefault(theirs, ours)) != ours:
            raise SettingError(f"a mapping's {name} has {other} and {ours} both on {theirs!r}")


def _merged(name: str, defaults: Mapping[str, str], given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise SettingError(f"a mapping's {name} must be an object")
    merged = dict(defaults)
    for ours, theirs in given.items():
        if theirs is None:
            merged.pop(ours, None)
        elif isinstance(theirs, str) and theirs:
            merged[ours] = theirs
        else:
            raise SettingError(f"a mapping's {name}.{ours} must be a string or null")
    return merged


def translated(
    written: Mapping[str, Any], names: Mapping[str, str], own: str = ""
) -> dict[str, str]:
    """The fields under the CRM's names, as text.

    What a contact does not have is empty in fields whose name begins with `own`, which nobody
    else writes. Other fields are left out then: what people know beyond the log is not wiped.
    """
    found = {theirs: as_text(value_at(written, ours)) for ours, theirs in names.items()}
    return {
        theirs: text for theirs, text in found.items() if text or (own and theirs.startswith(own))
    }


# ISO 4217: currencies whose smallest unit is not a hundredth.
DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


def value_at(written: Mapping[str, Any], path: str) -> Any:
    """The value of a field such as `address.city`; None where it is missing.

    `budget.amount` is in whole units of the currency, as CRMs want it.
    """
    if path == "budget.amount":
        return _amount(written.get("budget"))
    value: Any = written
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _amount(budget: Any) -> str | None:
    if not isinstance(budget, Mapping) or not isinstance(budget.get("amount_minor"), int):
        return None
    amount = Decimal(budget["amount_minor"]).scaleb(-DIGITS.get(budget.get("currency") or "", 2))
    return f"{amount.normalize():f}"


def as_text(value: Any) -> str:
    """A value as CRMs keep them; empty for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()
