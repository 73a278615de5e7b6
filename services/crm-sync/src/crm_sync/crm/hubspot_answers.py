"""What HubSpot's answers mean: batches item by item, and refusals. Pure.

https://developers.hubspot.com/docs/api-reference/error-handling: every field of an error is
optional, so each is looked for and none relied upon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from crm_sync.crm.base import CrmConflict, CrmError, CrmLimited, CrmSignIn, CrmUnavailable
from crm_sync.crm.http import refusal, retry_after

# https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines: the daily limit
# ends at midnight where the account is, which we do not know; asked again each hour.
DAILY_WAIT = timedelta(hours=1)
BURST_WAIT = timedelta(seconds=10)

# What an error of one item of a batch is, by its category; others may pass.
CATEGORIES = {
    "VALIDATION_ERROR": 400,
    "INVALID_PARAMETERS": 400,
    "CONFLICT": 409,
    "OBJECT_NOT_FOUND": 404,
    "RATE_LIMITS": 429,
    "MISSING_SCOPES": 403,
    "INVALID_AUTHENTICATION": 401,
}
TAKEN = re.compile(r"Existing ID: (\d+)|(\d+) already has that value")
PLAIN = re.compile(r"[A-Za-z0-9_]{1,64}")


class AddressTaken(CrmConflict):
    """Another contact, `existing`, has the e-mail address."""

    def __init__(self, reason: str, existing: str) -> None:
        super().__init__(reason)
        self.existing = existing


def by_item(
    answer: Mapping[str, Any], key: str, inputs: Mapping[str, Any], what: str
) -> dict[str, str | CrmError]:
    """A batch's answer, a 207 too, by our ids. Of what it does not name nothing is known."""
    found: dict[str, str | CrmError] = {}
    for each in answer.get("results") or ():
        name = each.get("properties", {}).get(key) or each.get("objectWriteTraceId")
        found[str(name)] = str(each["id"])
    for each in answer.get("errors") or ():
        context = each.get("context") or {}
        named = [*context.get("objectWriteTraceId", ()), *context.get("ids", ())]
        found |= dict.fromkeys(named, item_error(each, what))
    silent = CrmUnavailable(f"{what}: the answer does not name the item")
    return {name: found.get(name, silent) for name in inputs}


def refused(response: httpx.Response, what: str) -> CrmError:
    """The error that an answer other than 2xx is."""
    try:
        body = response.json()
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {}
    status, wait = response.status_code, retry_after(response)
    if status == 429:
        policy = str(body.get("policyName", ""))
        wait = max(wait, DAILY_WAIT if policy == "DAILY" else BURST_WAIT)
        return CrmLimited(f"{what}: HTTP 429 {_plain(policy)}".rstrip(), wait)
    if status == 477:
        # The account is being moved to another data centre; Retry-After is up to 24 hours.
        return CrmLimited(f"{what}: HTTP 477", wait or DAILY_WAIT)
    return _error(status, body, f"{what}: HTTP {status}", wait)


def item_error(error: Mapping[str, Any], what: str) -> CrmError:
    status = CATEGORIES.get(str(error.get("category")), 500)
    return _error(status, error, f"{what}: {_plain(error.get('category'))}", timedelta(0))


def _error(status: int, error: Mapping[str, Any], reason: str, wait: timedelta) -> CrmError:
    message = str(error.get("message", ""))
    taken = TAKEN.search(message)
    if taken and status in (400, 409):
        return AddressTaken(f"{reason}: the address is another contact's", taken[1] or taken[2])
    details = [each for each in error.get("errors") or () if isinstance(each, dict)]
    codes = [_plain(each.get("code")) for each in details]
    if "PROPERTY_DOESNT_EXIST" in codes or "PROPERTY_DOESNT_EXIST" in message:
        return CrmSignIn(f"{reason}: the account lacks a property that the mapping names")
    # HubSpot's sentences hold values; its codes and the names of properties do not.
    about = [_plain(name) for each in details for name in _properties(each)]
    named = " ".join(word for word in (*codes, *about) if word)
    return refusal(status, f"{reason} {named}".rstrip(), wait)


def _properties(detail: Mapping[str, Any]) -> list[str]:
    context = detail.get("context")
    names = context.get("propertyName", ()) if isinstance(context, dict) else ()
    return [names] if isinstance(names, str) else list(names)


def _plain(word: object) -> str:
    return word if isinstance(word, str) and PLAIN.fullmatch(word) else ""
