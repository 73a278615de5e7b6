"""What a CRM would tell of a change there, signed as that CRM signs.

HubSpot: https://developers.hubspot.com/docs/api/webhooks, version 3 of its signature. Follow Up
Boss: https://docs.followupboss.com/reference/webhooks-guide. The sandbox's own CRM and the generic
one tell by Standard Webhooks. Written from the providers' pages, not from who reads it.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sandbox.callbacks import Report, standard
from sandbox.crm import Contact, Write
from sandbox.crm_accounts import Change, Record, Webhook
from sandbox.errors import Malformed
from sandbox.wire import as_object, as_text, parse, render

JSON = {"Content-Type": "application/json"}
HUBSPOT_KINDS = {"contacts": "contact", "deals": "deal"}


def read_webhook(given: Any) -> Webhook | None:
    """{"url", "secret"}, or null for nobody. Raises Malformed."""
    if given is None:
        return None
    asked = as_object(given, "`webhook`")
    url = as_text(asked.get("url"), "`url`")
    if not url.startswith(("http://", "https://")):
        raise Malformed("`url` must begin with http:// or https://")
    return Webhook(url, as_text(asked.get("secret"), "`secret`"))


def of_record(
    provider: str, record: Record, change: Change, webhook: Webhook, now: datetime
) -> Report | None:
    """What the CRM tells of a change of a record; None where it tells nothing of its kind. The
    same change again is the same event."""
    if provider == "hubspot" and record.kind in HUBSPOT_KINDS:
        return _hubspot(record, change, webhook, now)
    if provider == "followupboss" and record.kind == "people":
        return _followupboss(record, change, webhook)
    if provider == "webhook" and record.kind == "contacts":
        before = next((each for each in reversed(record.history) if each.seq < change.seq), None)
        values = _changed(_contact(before), _contact(change))
        event_id = f"msg_{record.id}_{change.seq}"
        lead = str(record.values["external_id"])
        return _standard(webhook, event_id, lead, values, change.at, now)
    return None


def of_contact(contact: Contact, write: Write, webhook: Webhook, now: datetime) -> Report:
    """What the sandbox's own CRM tells of a write."""
    earlier = [each for each in contact.writes if each.seq < write.seq]
    before, after = (parse(earlier[-1].contact) if earlier else {}), parse(write.contact)
    event_id = f"msg_{contact.id}_{write.seq}"
    url = webhook.url.replace("{tenant_id}", str(after.get("tenant_id", "")))
    told = _changed(before, after)
    to = Webhook(url, webhook.secret)
    return _standard(to, event_id, contact.external_id, told, write.written_at, now)


def _hubspot(record: Record, change: Change, webhook: Webhook, now: datetime) -> Report:
    by_api = change.by == "api"
    body = render(
        [
            {
                "eventId": change.seq,
                "subscriptionId": 1,
                "portalId": 1,
                "appId": 1,
                "occurredAt": _millis(change.at),
                "subscriptionType": f"{HUBSPOT_KINDS[record.kind]}.propertyChange",
                "attemptNumber": 0,
                "objectId": int(record.id),
                "propertyName": name,
                "propertyValue": value,
                "changeSource": "INTEGRATION" if by_api else "CRM_UI",
            }
            for name, value in change.values.items()
        ]
    )
    timestamp = str(_millis(now))
    signed = b"POST" + webhook.url.encode() + body + timestamp.encode()
    signature = b64encode(hmac.digest(webhook.secret.encode(), signed, hashlib.sha256)).decode()
    headers = {"X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": timestamp}
    return Report(webhook.url, body, {**JSON, **headers})


def _followupboss(record: Record, change: Change, webhook: Webhook) -> Report:
    told: dict[str, Any] = {
        "eventId": f"{record.id}-{change.seq}",
        "eventCreated": change.at,
        "event": "peopleUpdated",
        "resourceIds": [int(record.id)],
        "uri": f"https://api.followupboss.com/v1/people?id={record.id}",
    }
    if list(change.values) == ["stage"]:
        told |= {"event": "peopleStageUpdated", "data": {"stage": change.values["stage"]}}
    body = render(told)
    signature = hmac.digest(webhook.secret.encode(), b64encode(body), hashlib.sha256).hex()
    return Report(webhook.url, body, {**JSON, "FUB-Signature": signature})


def _standard(
    webhook: Webhook,
    event_id: str,
    external_id: str,
    values: Mapping[str, Any],
    at: datetime,
    now: datetime,
) -> Report:
    changes = [{"name": name, "value": value, "at": at} for name, value in values.items()]
    data = {"external_id": external_id, "changes": changes}
    told = {"type": "contact.changed", "timestamp": at, "data": data}
    return standard("webhook", webhook.url, told, webhook.secret, event_id, now)


def _contact(change: Change | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {} if change is None else change.values.get("contact", {})
    return found


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are texts, as fields that people see are."""
    return {
        name: after.get(name)
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name) and isinstance(after.get(name), str | None)
    }


def _millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)
