"""What people changed in a CRM, in words: field by field whose value stands, and why. Pure.

The rules are intake's (ADR 29). A value may be an address or a number: whoever tells this to
somebody who may not see leads says `personal=False`, and then only stages and owners are named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Say = Callable[[datetime], str]  # how a time is shown

CRMS = {"hubspot": "HubSpot", "followupboss": "Follow Up Boss"}
# What is said of the work, not of the person.
IMPERSONAL = frozenset({"stage", "owner"})
_NAMES = {"email": "e-mail"}
_TAKEN = {
    "only_crm_changed": "nobody had changed it here since {crm} was told",
    "crm_wins_for_owner": "who owns a lead is said in {crm}",
    "newest_wins": "both sides had changed it, {crm} later",
}
_KEPT = {
    "newest_wins": "both sides had changed it, and {crm} not later",
    "unknown_stage": "{crm}'s stage has no counterpart among the tenant's; it stays there until "
    "somebody decides",
    "stage_transition": "a lead does not go from the one to the other; {crm} gets the log's again",
    "unusable": "{crm}'s is no {name} that can be used; it gets the log's again",
    "quarantined": "the lead is in quarantine",
}
_SAME = {"equal": "both sides had the same already"}
_OUTCOMES = {"taken": _TAKEN, "kept": _KEPT, "same": _SAME}
# Kept by newest_wins, and nobody here had changed it.
_OVERTAKEN = "{crm} has told of a later change of it since"


def crm_name(provider: str | None) -> str:
    """What people call a CRM."""
    return CRMS.get(provider or "", "the CRM")


def field_name(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " "))


def because(field: Mapping[str, Any], provider: str | None) -> str:
    """Why a field was settled so; the rule itself for one that has no words here."""
    outcome, rule = field["outcome"], field["rule"]
    said = _OUTCOMES.get(outcome, {}).get(rule)
    if (outcome, rule, field["conflict"]) == ("kept", "newest_wins", False):
        said = _OVERTAKEN
    if said is None:
        return f"by the rule {rule}"
    return said.format(crm=crm_name(provider), name=field_name(field["field"]))


def sentences(data: Mapping[str, Any], say: Say, *, personal: bool = True) -> str:
    """A sentence a field of a CrmChangeSettled; its times may be ISO texts."""
    provider = data.get("provider")
    told = [_sentence(each, provider, say, personal) for each in data.get("fields", ())]
    return " ".join(told) or f"{crm_name(provider)} was looked at, and nothing had changed"


def _sentence(field: Mapping[str, Any], provider: str | None, say: Say, personal: bool) -> str:
    crm = crm_name(provider)
    named = personal or field["field"] in IMPERSONAL
    theirs = f" {_quoted(field.get('crm_value'))}" if named else ""
    ours = f" {_quoted(field.get('log_value'))}" if named else ""
    there, here = _at(field.get("crm_at"), say), _at(field.get("log_at"), say)
    why = because(field, provider)
    match field["outcome"]:
        case "taken":
            held = f"the log had{ours or ' its own'}" + (f" since {here}" if here else "")
            changed = f"changed there {f'at {there}' if there else 'since it was told'}"
            said = f"{crm}'s{theirs} was taken, {changed}; {held}: {why}"
        case "kept":
            of_the_log = f" of {here}" if here else ""
            of_theirs = f" of {there}" if there else ""
            held = f"the log's{ours}" if field.get("log_value") else "having none"
            said = f"{held}{of_the_log} was kept over {crm}'s{theirs}{of_theirs}: {why}"
        case _:
            said = f"{crm}'s{theirs} changed nothing: {why}"
    name = field_name(field["field"])
    return f"{name[:1].upper()}{name[1:]}: {said}."


def _quoted(value: str | None) -> str:
    return f"“{value}”" if value else "none"


def _at(value: str | datetime | None, say: Say) -> str:
    if not value:
        return ""
    return say(datetime.fromisoformat(value) if isinstance(value, str) else value)
