"""HubSpot's webhooks: https://developers.hubspot.com/docs/api/webhooks.

A list of up to 100 events, each a property of an object. An app subscribes to
`contact.propertyChange`, or to `object.propertyChange`, which names the kind of object besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leadflow.records.common import CrmField
from portal_api.webhooks.notices import (
    LONGEST_ID,
    Noticed,
    identity,
    merged,
    milliseconds,
    told_value,
)
from portal_api.webhooks.said import Unreadable, json_of, words

OBJECTS = {"contact": "contact", "deal": "deal", "0-1": "contact", "0-3": "deal"}


def read(body: bytes) -> list[Noticed]:
    """What a webhook says, one for each object; empty where it is no news: other objects, and
    what happens to objects as a whole. Raises Unreadable."""
    events = json_of(body)
    if not isinstance(events, list) or not all(isinstance(each, dict) for each in events):
        raise Unreadable("the body is not a list of events")
    return merged(found for each in events if (found := _noticed(each)) is not None)


def _noticed(event: Mapping[str, Any]) -> Noticed | None:
    about, _, what = words(event.get("subscriptionType"), 100).partition(".")
    if about == "object":
        about = words(event.get("objectTypeId"), 100)
    if what != "propertyChange" or about not in OBJECTS:
        return None
    name = words(event.get("propertyName"), LONGEST_ID).replace("\x00", "")
    if not name:
        raise Unreadable("propertyName is missing")
    at = milliseconds(event.get("occurredAt"), "occurredAt")
    return Noticed(
        object=OBJECTS[about],
        crm_id=identity(event, "objectId"),
        # HubSpot does not promise that its ids of events are unique.
        events=(f"{identity(event, 'eventId')}/{name}/{event['occurredAt']}",),
        at=at,
        changes=(CrmField(name=name, value=told_value(event.get("propertyValue"), name), at=at),),
    )
