"""What HubSpot refuses, and in which words.

https://developers.hubspot.com/docs/api-reference/error-handling; the daily and the ten-second
limit and their headers: .../docs/developer-tooling/platform/usage-guidelines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from sandbox.crm_accounts import OverQuota
from sandbox.errors import Injected, Shaped

# An account that has the professional edition; both can be set.
LIMITS = {"burst": 190, "daily": 650_000}
BURST = "TEN_SECONDLY_ROLLING"
CORRELATION = "aeb5f871-7f07-4993-9211-075dc63e7cbf"
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
STAGES = {
    "appointmentscheduled",
    "qualifiedtobuy",
    "presentationscheduled",
    "decisionmakerboughtin",
    "contractsent",
    "closedwon",
    "closedlost",
}
UNIQUE = {
    "contacts": ("leadflow_lead_id", "email"),
    "deals": ("leadflow_lead_id",),
    "notes": ("leadflow_note_id",),
    "tasks": ("leadflow_task_id",),
}
OWN = {
    "contacts": (
        "firstname lastname email phone company jobtitle address city state zip country "
        "hubspot_owner_id"
    ),
    "deals": "dealname dealstage pipeline amount hubspot_owner_id",
    "notes": "hs_note_body hs_timestamp hubspot_owner_id",
    "tasks": (
        "hs_task_subject hs_task_body hs_task_type hs_task_status hs_timestamp hubspot_owner_id"
    ),
}
CATEGORIES = {400: "VALIDATION_ERROR", 401: "INVALID_AUTHENTICATION", 403: "MISSING_SCOPES"}
CATEGORIES |= {404: "OBJECT_NOT_FOUND", 409: "CONFLICT", 422: "VALIDATION_ERROR"}
CATEGORIES |= {429: "RATE_LIMITS"}


@dataclass(frozen=True, slots=True)
class Wrong:
    """An error of HubSpot's, whole or of an item; `detail` is the entry of its `errors`."""

    category: str
    message: str
    detail: Mapping[str, Any] | None = None

    def shown(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """As an item of a 207."""
        errors = [self.detail] if self.detail else []
        return {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "context": context,
            "errors": errors,
            "links": {},
        }


def key_of(kind: str) -> tuple[str, ...]:
    """The properties whose values are unique."""
    return UNIQUE[kind]


def keys(kind: str, values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return [(name, str(values[name]).lower()) for name in UNIQUE[kind] if values.get(name)]


def is_known(kind: str, name: str, without: set[str]) -> bool:
    """Whether the account has the property: HubSpot's own, and leadflow's unless they lack."""
    return name not in without and (name in OWN[kind].split() or name.startswith("leadflow_"))


def problem(
    status: int,
    category: str,
    message: str,
    detail: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Shaped:
    body: dict[str, Any] = {
        "status": "error",
        "message": message,
        "correlationId": CORRELATION,
        "category": category,
    }
    return Shaped(status, {**body, "errors": [detail]} if detail else body, headers)


def conflict(name: str, existing: str) -> Shaped:
    if name == "email":
        return problem(409, "CONFLICT", f"Contact already exists. Existing ID: {existing}")
    return problem(400, "VALIDATION_ERROR", f"{existing} already has that value of {name}.")


def values_wrong(kind: str, values: Mapping[str, Any], without: set[str]) -> Shaped | None:
    """The first property that HubSpot would not take."""
    for name, value in values.items():
        if not is_known(kind, name, without):
            return _invalid("PROPERTY_DOESNT_EXIST", name, f'Property "{name}" does not exist')
        if not isinstance(value, str):
            return _invalid("INVALID_TYPE", name, f"{name} must be a string.")
        if name == "email" and value and not EMAIL.fullmatch(value):
            return _invalid("INVALID_EMAIL", name, f"Email address {value} is invalid")
        if name == "dealstage" and value not in STAGES:
            return _invalid("INVALID_OPTION", name, f"{value} was not one of the allowed options")
        if name == "hubspot_owner_id" and not value.isdigit():
            return _invalid("INVALID_OWNER_ID", name, f"{value} is not a valid owner")
    return None


def _invalid(code: str, name: str, message: str) -> Shaped:
    detail = {"message": message, "code": code, "context": {"propertyName": [name]}}
    return problem(400, "VALIDATION_ERROR", f"Property values were not valid: [{message}]", detail)


def item_error(wrong: Shaped, trace: str) -> dict[str, Any]:
    """A refusal as the item of a 207 that it is about."""
    body = wrong.body
    category = body.get("category") or CATEGORIES.get(wrong.status, "INTERNAL_ERROR")
    detail = next(iter(body.get("errors", ())), None)
    return Wrong(category, body["message"], detail).shown({"objectWriteTraceId": [trace]})


def over_quota(error: OverQuota, headers: Mapping[str, str]) -> Shaped:
    daily = error.limit == "daily"
    policy = "DAILY" if daily else BURST
    # For the daily limit HubSpot does not say when it ends.
    wait = {} if daily else {"retry-after": str(ceil(error.wait.total_seconds()))}
    return _limited(policy, {**headers, **wait})


def _limited(policy: str, headers: Mapping[str, str]) -> Shaped:
    body = {
        "status": "error",
        "message": f"You have reached your {policy.lower()} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": CORRELATION,
        "policyName": policy,
        "category": "RATE_LIMITS",
    }
    return Shaped(429, body, headers)


def refusal(fault: Injected) -> Shaped:
    """A fault rule's refusal as HubSpot would word it."""
    headers = {}
    if fault.retry_after_seconds is not None:
        headers["retry-after"] = str(fault.retry_after_seconds)
    if fault.status == 429:
        return _limited(BURST, headers)
    category = CATEGORIES.get(fault.status, "INTERNAL_ERROR")
    return problem(fault.status, category, fault.detail, headers=headers)
