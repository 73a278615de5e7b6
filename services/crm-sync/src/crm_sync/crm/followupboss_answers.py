"""What Follow Up Boss' answers say of an address of its API, and what of a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from crm_sync.crm.base import CrmMissing, CrmSignIn, CrmUnavailable
from crm_sync.crm.http import json_object

# No 404 of these paths is about a person.
ENDPOINTS = frozenset({"/people", "/events", "/customFields"})


def gone_or_moved(
    response: httpx.Response, path: str, reason: str
) -> CrmSignIn | CrmMissing | None:
    """The error of an answer after which the address, or the person, is not there; else None.

    A person is gone only where Follow Up Boss says so, in the form of its own errors
    (https://docs.followupboss.com/reference/error-responses).
    """
    status = response.status_code
    if status not in (400, 404, 410):
        return None
    if not _in_its_form(response) or (status != 400 and path in ENDPOINTS):
        return CrmSignIn(reason)
    return None if status == 400 else CrmMissing(reason)


def _in_its_form(response: httpx.Response) -> bool:
    try:
        return "errorMessage" in json_object(response, "error")
    except CrmUnavailable:
        return False


def listed(answer: Mapping[str, Any], kind: str, what: str) -> list[dict[str, Any]]:
    """What a search found. Raises CrmUnavailable where it does not say: something may be there."""
    found = answer.get(kind)
    if not isinstance(found, list):
        raise CrmUnavailable(f"{what}: the answer does not say what was found")
    return found
