"""Follow Up Boss' webhooks: https://docs.followupboss.com/reference/webhooks-guide.

They name people by their ids, and of what changed at most the stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from leadflow.records.common import CrmField
from portal_api.webhooks.notices import Noticed, identity, merged, told_value
from portal_api.webhooks.said import Unreadable, json_of, member, moment

UPDATED = "peopleUpdated"
STAGE_UPDATED = "peopleStageUpdated"


def read(body: bytes, now: datetime) -> list[Noticed]:
    """What a webhook says, one for each person; empty where it is no news. Raises Unreadable."""
    told = json_of(body)
    events = told if isinstance(told, list) else [told]
    if not all(isinstance(each, dict) for each in events):
        raise Unreadable("the body is neither an event nor a list of events")
    return merged(found for each in events for found in _noticed(each, now))


def _noticed(event: Mapping[str, Any], now: datetime) -> list[Noticed]:
    kind = event.get("event")
    if kind not in (UPDATED, STAGE_UPDATED):
        return []
    people = event.get("resourceIds")
    if not isinstance(people, list):
        raise Unreadable("resourceIds is missing or no list")
    at = moment(event.get("eventCreated"), now)
    changes: tuple[CrmField, ...] = ()
    if kind == STAGE_UPDATED and (stage := told_value(member(event, "data").get("stage"), "stage")):
        changes = (CrmField(name="stage", value=stage, at=at),)
    return [
        Noticed(
            object="contact",
            crm_id=identity({"resourceIds": each}, "resourceIds"),
            events=(identity(event, "eventId"),),
            at=at,
            changes=changes,
        )
        for each in people
    ]
