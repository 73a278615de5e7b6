"""Changes in a CRM that takes part in Standard Webhooks, in our own names of fields:

{"type": "contact.changed", "timestamp": "…",
 "data": {"external_id": "<lead id>",
          "changes": [{"name": "stage", "value": "qualified", "at": "…"}]}}
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from leadflow.records.common import CrmField
from portal_api.webhooks.notices import LONGEST_ID, Noticed, identity, merged, told_value
from portal_api.webhooks.said import Unreadable, member, moment, object_of, words

CHANGED = "contact.changed"
MOST_CHANGES = 100


def read(webhook_id: str, body: bytes, now: datetime) -> list[Noticed]:
    """What a webhook says; empty where it is of another type. Raises Unreadable."""
    event = object_of(body)
    if event.get("type") != CHANGED:
        return []
    data = member(event, "data")
    crm_id = identity(data, "external_id")
    told = data.get("changes", [])
    if not isinstance(told, list) or len(told) > MOST_CHANGES:
        raise Unreadable(f"changes is no list of up to {MOST_CHANGES}")
    at = moment(event.get("timestamp"), now)
    one = Noticed(object="contact", crm_id=crm_id, events=(webhook_id,), at=at)
    return merged(
        [
            one,
            *(
                Noticed(
                    object="contact",
                    crm_id=crm_id,
                    events=(webhook_id,),
                    at=at,
                    changes=(_change(each, at),),
                )
                for each in told
            ),
        ]
    )


def _change(told: Any, at: datetime) -> CrmField:
    change = told if isinstance(told, dict) else {}
    name = words(change.get("name"), LONGEST_ID).replace("\x00", "")
    if not name:
        raise Unreadable("a change has no name")
    return CrmField(
        name=name, value=told_value(change.get("value"), name), at=moment(change.get("at"), at)
    )
