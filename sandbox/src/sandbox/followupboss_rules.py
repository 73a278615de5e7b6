"""What Follow Up Boss refuses, finds again and lets through.

https://docs.followupboss.com/reference/rate-limiting, .../error-responses, .../events-post.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

from sandbox.crm_accounts import OverQuota
from sandbox.errors import Injected, Shaped

LEAD = "customLeadflowLeadId"
# The custom fields of an account that is set up for leadflow.
CUSTOM_FIELDS = tuple(
    f"customLeadflow{name}"
    for name in [
        "LeadId",
        "Stage",
        "Owner",
        "Source",
        "Service",
        "Urgency",
        "Timezone",
        "Language",
        "Channel",
        "Campaign",
        "Medium",
        "Gclid",
        "Fbclid",
        "LandingPage",
        "Fit",
        "Intent",
        "Temperature",
        "NextAction",
        "Sequence",
        "LastMessageChannel",
        "LastMessageAt",
        "Revision",
        "Company",
        "Title",
        "Budget",
    ]
)
# Calls in ten seconds, by context: those of a registered system.
LIMITS = {"global": 250, "people": 25, "notes": 10, "events": 10_000}
STAGES = (
    "Lead",
    "A - Hot 1-3 Months",
    "B - Warm 3-6 Months",
    "C - Cold 6+ Months",
    "Nurture",
    "Active Client",
    "Pending",
    "Closed",
    "Past Client",
    "Trash",
)
PERSON_FIELDS = {
    "firstName",
    "lastName",
    "stage",
    "source",
    "assignedUserId",
    "emails",
    "phones",
    "addresses",
    "tags",
    "contacted",
}


def context(method: str, path: str) -> str:
    """The one limit that a call counts for."""
    if method == "PUT" and path == "people":
        return "people"
    return path if method == "POST" and path in ("notes", "events") else "global"


def keys(kind: str, values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What people are found by; notes and tasks by their person."""
    if kind != "people":
        return [("personId", str(values["personId"]))] if values else []
    found = [("email", str(each.get("value", "")).lower()) for each in values.get("emails") or ()]
    found += [("phone", digits(str(each.get("value", "")))) for each in values.get("phones") or ()]
    return [*found, *((n, str(v)) for n, v in values.items() if n.startswith("custom") and v)]


def digits(phone: str) -> str:
    """A number as people are found by it: the last ten digits."""
    return "".join(filter(str.isdigit, phone))[-10:]


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Shaped:
    return Shaped(status, {"errorMessage": message}, headers)


def person_wrong(values: Mapping[str, Any], without: set[str]) -> Shaped | None:
    """What is wrong with a person that is to be written."""
    known = {*PERSON_FIELDS, *CUSTOM_FIELDS} - without
    if unknown := sorted(set(values) - known):
        return error(400, f"Invalid fields in the request body: {', '.join(unknown)}.")
    if values.get("stage", STAGES[0]) not in STAGES:
        return error(400, "The stage does not exist.")
    for name in ("emails", "phones", "addresses"):
        if not all(isinstance(each, dict) for each in values.get(name) or ()):
            return error(400, f"{name} must be a list of objects.")
    for each in values.get("emails") or ():
        if "@" not in str(each.get("value")):
            return error(400, "The email address is not valid.")
    return None


def over_quota(over: OverQuota, headers: Mapping[str, str]) -> Shaped:
    wait = {"retry-after": str(ceil(over.wait.total_seconds()))}
    return error(429, "Rate limit exceeded.", {**headers, **wait})


def refusal(fault: Injected) -> Shaped:
    """A fault rule's refusal as Follow Up Boss would word it; it knows no 422."""
    headers = {}
    if fault.retry_after_seconds is not None:
        headers["retry-after"] = str(fault.retry_after_seconds)
    return error(400 if fault.status == 422 else fault.status, fault.detail, headers)
