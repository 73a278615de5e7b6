"""What HubSpot's answers mean: batches item by item, and refusals. Pure.

https://developers.hubspot.com/docs/api-reference/error-handling: every field of an error is
optional, so each is looked for and none relied upon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from crm_sync.crm.base import CrmConflict, CrmError, CrmLimited, CrmSignIn, CrmUnavailable
from crm_sync.crm.http import id_in, refusal, retry_after

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
# Whether keys of an error's context are about a deal or a contact; others may be about both.
OF_DEALS = ("from", "deal")
OF_CONTACTS = ("to", "contact")
PLAIN = re.compile(r"[A-Za-z0-9_]{1,64}")
Input = TypeVar("Input")


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
    for each in _objects(answer.get("results")):
        properties = each.get("properties")
        named = properties.get(key) if isinstance(properties, dict) else None
        found[str(named or each.get("objectWriteTraceId"))] = _id_or_error(each, what)
    for each in _objects(answer.get("errors")):
        context = each.get("context")
        context = context if isinstance(context, dict) else {}
        named = [*_listed(context.get("objectWriteTraceId")), *_listed(context.get("ids"))]
        found |= dict.fromkeys(map(str, named), item_error(each, what))
    silent = CrmUnavailable(f"{what}: the answer does not name the item")
    return {name: found.get(name, silent) for name in inputs}


def _id_or_error(each: Mapping[str, Any], what: str) -> str | CrmError:
    try:
        return id_in(each, what)
    except CrmError as error:
        return error


def by_pair(
    answer: Mapping[str, Any], pairs: Mapping[str, tuple[str, str]], what: str
) -> dict[str, CrmError]:
    """Which deals and contacts, by our ids, a batch association left apart, and why.

    Where there are errors, nothing is known of pairs that the answer does not name. Raises the
    error that names none of them: CrmNever, CrmMissing and CrmConflict may be about any of them.
    """
    errors = answer.get("errors") or []
    errors = errors if isinstance(errors, list) else [errors]
    if not errors:
        return {}
    apart: dict[str, CrmError] = {}
    for each in errors:
        error = item_error(each if isinstance(each, dict) else {}, what)
        named = _pairs_of(each, pairs)
        if not named:
            raise error
        apart |= dict.fromkeys(named, error)
    results = answer.get("results")
    ends = [
        (_id_of(each.get("from")), _id_of(each.get("to")))
        for each in (results if isinstance(results, list) else ())
        if isinstance(each, dict)
    ]
    silent = CrmUnavailable(f"{what}: the answer does not name the pair")
    untold = [n for n, pair in pairs.items() if pair not in ends and pair[::-1] not in ends]
    return dict.fromkeys(untold, silent) | apart


def _pairs_of(error: object, pairs: Mapping[str, tuple[str, str]]) -> set[str]:
    context = error.get("context") if isinstance(error, dict) else None
    found: set[str] = set()
    for key, value in context.items() if isinstance(context, dict) else ():
        ids = {str(each) for each in (value if isinstance(value, list) else [value])}
        ends = slice(0, 2)
        if key.lower().startswith(OF_DEALS):
            ends = slice(0, 1)
        elif key.lower().startswith(OF_CONTACTS):
            ends = slice(1, 2)
        for each in ids:
            named = [name for name, pair in pairs.items() if each in pair[ends]]
            # A deal and a contact may have one number: then it is not told whose it is.
            found.update(named if len(named) == 1 else ())
    return found


def _id_of(end: object) -> str:
    return str(end.get("id")) if isinstance(end, dict) else ""


def halves(inputs: Mapping[str, Input]) -> tuple[dict[str, Input], dict[str, Input]]:
    """Two parts of what was refused as a whole: one may be to blame for all."""
    names, middle = list(inputs), len(inputs) // 2
    return {n: inputs[n] for n in names[:middle]}, {n: inputs[n] for n in names[middle:]}


def refused(response: httpx.Response, what: str) -> CrmError:
    """The error that an answer other than 2xx is."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
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
    # These are about an object only where HubSpot's API says so, in the form of its errors.
    nobodys = status == 404 and body.get("status") != "error" and "category" not in body
    if nobodys or (status == 400 and not body):
        return CrmSignIn(f"{what}: HTTP {status}")
    return _error(status, body, f"{what}: HTTP {status}", wait)


def item_error(error: Mapping[str, Any], what: str) -> CrmError:
    status = CATEGORIES.get(str(error.get("category")), 500)
    return _error(status, error, f"{what}: {_plain(error.get('category'))}", timedelta(0))


def _error(status: int, error: Mapping[str, Any], reason: str, wait: timedelta) -> CrmError:
    message = str(error.get("message", ""))
    taken = TAKEN.search(message)
    if taken and status in (400, 409):
        return AddressTaken(f"{reason}: the address is another contact's", taken[1] or taken[2])
    details = _objects(error.get("errors"))
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
    return [names] if isinstance(names, str) else _listed(names)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in _listed(value) if isinstance(each, dict)]


def _plain(word: object) -> str:
    return word if isinstance(word, str) and PLAIN.fullmatch(word) else ""
