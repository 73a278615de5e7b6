"""Where a lead came from: what was said, and what its landing page still carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from intake.normalize.fields import group, line
from leadflow.records import Attribution

# Parameters that advertisers put into the landing page's address.
IN_ADDRESS = {
    "campaign": "utm_campaign",
    "medium": "utm_medium",
    "term": "utm_term",
    "content": "utm_content",
    "gclid": "gclid",
    "fbclid": "fbclid",
    "channel": "utm_source",
}
NAMES = (*IN_ADDRESS, "referrer", "landing_page")


def attribution(payload: Mapping[str, Any]) -> Attribution | None:
    """What is given wins; the landing page's own parameters fill what is missing."""
    given = group(payload, "attribution")
    values = {name: line(given, name) for name in NAMES}
    if page := values["landing_page"]:
        try:
            query = parse_qs(urlsplit(page).query)
        except ValueError:
            query = {}
        for name, parameter in IN_ADDRESS.items():
            if values[name] is None and parameter in query:
                values[name] = line({"value": query[parameter][0]}, "value")
    found = Attribution(**values)
    return found if found != Attribution() else None
