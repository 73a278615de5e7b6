"""What HubSpot, Follow Up Boss and others say has changed, as the notices that it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadflow.codec import Codec
from leadflow.records.common import CrmField
from portal_api.webhooks import changes, followupboss, hubspot, notices
from portal_api.webhooks.notices import Noticed
from portal_api.webhooks.said import Unreadable

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT = datetime(2026, 11, 23, 11, 59, 30, 250_000, tzinfo=UTC)
CODEC = Codec()
MILLISECONDS = int(AT.timestamp() * 1_000)


def event(kind: str = "contact.propertyChange", **more: Any) -> dict[str, Any]:
    """An event as HubSpot's documentation shows it."""
    return {
        "eventId": 100,
        "subscriptionId": 11,
        "portalId": 62515,
        "appId": 54321,
        "occurredAt": MILLISECONDS,
        "subscriptionType": kind,
        "attemptNumber": 0,
        "objectId": 123,
        "changeSource": "CRM_UI",
        "propertyName": "firstname",
        "propertyValue": "Ann",
        **more,
    }


def of_hubspot(*events: Any) -> list[Noticed]:
    return hubspot.read(json.dumps(events).encode())


def people(kind: str = "peopleUpdated", **more: Any) -> dict[str, Any]:
    """An event as Follow Up Boss' guide shows it."""
    return {
        "eventId": "152d60c0-79db-4a28-a30c-d9dbe5e9a8a7",
        "eventCreated": "2026-11-23T11:59:30.250+00:00",
        "event": kind,
        "resourceIds": [1234],
        "uri": "https://api.followupboss.com/v1/people?id=1234",
        **more,
    }


def of_follow_up_boss(body: Any) -> list[Noticed]:
    return followupboss.read(json.dumps(body).encode(), NOW)


def changed(**data: Any) -> list[Noticed]:
    body = {"type": "contact.changed", "timestamp": AT.isoformat(), "data": data}
    return changes.read("msg_1", json.dumps(body).encode(), NOW)


# --- HubSpot -----------------------------------------------------------------------------------


def test_a_property_of_a_contact_that_changed_in_hubspot() -> None:
    (noticed,) = of_hubspot(event())
    assert (noticed.object, noticed.crm_id, noticed.at) == ("contact", "123", AT)
    assert noticed.changes == (CrmField(name="firstname", value="Ann", at=AT),)


@pytest.mark.parametrize(
    ("kind", "type_id", "wanted"),
    [
        ("deal.propertyChange", None, "deal"),
        ("object.propertyChange", "0-1", "contact"),
        ("object.propertyChange", "0-3", "deal"),
    ],
)
def test_hubspots_older_and_newer_subscriptions_say_the_same(
    kind: str, type_id: str | None, wanted: str
) -> None:
    (noticed,) = of_hubspot(event(kind, objectTypeId=type_id))
    assert noticed.object == wanted


@pytest.mark.parametrize(
    "kind",
    [
        "contact.creation", "contact.deletion", "contact.merge", "contact.associationChange",
        "contact.privacyDeletion", "company.propertyChange", "object.propertyChange", "", None, 7,
    ],
)  # fmt: skip
def test_other_subscriptions_of_hubspot_are_no_news(kind: Any) -> None:
    assert of_hubspot(event(kind, objectTypeId="0-2")) == []


def test_several_properties_of_one_object_are_one_notice() -> None:
    later = MILLISECONDS + 1_000
    found = of_hubspot(
        event(eventId=1),
        event(eventId=2, objectId=124),
        event(eventId=3, propertyName="lastname", propertyValue="Lee", occurredAt=later),
        event("deal.propertyChange", eventId=4, propertyName="dealstage", propertyValue="x"),
    )
    assert [(each.object, each.crm_id) for each in found] == [
        ("contact", "123"), ("contact", "124"), ("deal", "123"),
    ]  # fmt: skip
    assert {each.name: each.value for each in found[0].changes} == {
        "firstname": "Ann", "lastname": "Lee",
    }  # fmt: skip
    assert found[0].at == AT + timedelta(seconds=1)


def test_of_one_property_what_was_changed_last_counts_in_whatever_order_it_comes() -> None:
    last = event(eventId=2, propertyValue="Anna", occurredAt=MILLISECONDS + 1)
    for events in ((event(), last), (last, event())):
        (noticed,) = of_hubspot(*events)
        assert [change.value for change in noticed.changes] == ["Anna"]


def test_an_emptied_property_has_no_value() -> None:
    for value in ("", "  ", None):
        (noticed,) = of_hubspot(event(propertyValue=value))
        assert noticed.changes[0].value is None


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        (b"nonsense", "not JSON"),
        (b"{}", "not a list of events"),
        (b"[1]", "not a list of events"),
        (json.dumps([event(objectId=None)]).encode(), "objectId"),
        (json.dumps([event(objectId="x" * 300)]).encode(), "objectId"),
        (json.dumps([event(eventId=None)]).encode(), "eventId"),
        (json.dumps([event(propertyName="")]).encode(), "propertyName"),
        (json.dumps([event(propertyValue={})]).encode(), "the value of firstname"),
        (json.dumps([event(occurredAt="yesterday")]).encode(), "occurredAt"),
        (json.dumps([event(occurredAt=10**18)]).encode(), "occurredAt cannot be a time"),
    ],
)
def test_what_hubspot_left_out_is_named(body: bytes, missing: str) -> None:
    with pytest.raises(Unreadable, match=missing):
        hubspot.read(body)


# --- Follow Up Boss ----------------------------------------------------------------------------


def test_people_who_changed_in_follow_up_boss_are_named_by_their_ids_alone() -> None:
    found = of_follow_up_boss(people(resourceIds=[1234, 77, 1234]))
    assert [(each.object, each.crm_id) for each in found] == [
        ("contact", "1234"), ("contact", "77"),
    ]  # fmt: skip
    assert {each.at for each in found} == {AT}
    assert all(not each.changes for each in found)


def test_a_stage_that_changed_is_told_where_follow_up_boss_tells_it() -> None:
    (noticed,) = of_follow_up_boss(people("peopleStageUpdated", data={"stage": "Nurture"}))
    assert noticed.changes == (CrmField(name="stage", value="Nurture", at=AT),)
    (noticed,) = of_follow_up_boss(people("peopleStageUpdated"))
    assert noticed.changes == ()


def test_a_list_of_events_is_read_as_one_event_is() -> None:
    assert of_follow_up_boss([people()]) == of_follow_up_boss(people())


@pytest.mark.parametrize("kind", ["peopleCreated", "peopleTagsCreated", "notesUpdated", "", None])
def test_other_events_of_follow_up_boss_are_no_news(kind: Any) -> None:
    assert of_follow_up_boss(people(kind)) == []


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ("nonsense", "neither an event nor a list"),
        (people(resourceIds=None), "resourceIds"),
        (people(resourceIds=[None]), "resourceIds"),
        (people(eventId=""), "eventId"),
    ],
)
def test_what_follow_up_boss_left_out_is_named(body: Any, missing: str) -> None:
    with pytest.raises(Unreadable, match=missing):
        of_follow_up_boss(body)


# --- others, by Standard Webhooks ----------------------------------------------------------------


def test_a_crm_of_ones_own_says_what_changed_in_our_words() -> None:
    (noticed,) = changed(
        external_id="lead-1",
        changes=[
            {"name": "stage", "value": "qualified", "at": "2026-11-23T12:58:00+01:00"},
            {"name": "owner", "value": None},
        ],
    )
    assert (noticed.object, noticed.crm_id, noticed.at) == ("contact", "lead-1", AT)
    assert noticed.changes == (
        CrmField(name="stage", value="qualified", at=datetime(2026, 11, 23, 11, 58, tzinfo=UTC)),
        CrmField(name="owner", value=None, at=AT),
    )


def test_a_crm_may_say_only_that_something_changed() -> None:
    (noticed,) = changed(external_id="lead-1")
    assert noticed.changes == ()


def test_other_types_are_no_news() -> None:
    for told in ({"type": "message.delivered"}, {"type": 7}, {}):
        assert changes.read("msg_1", json.dumps(told).encode(), NOW) == []


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        ({}, "external_id"),
        ({"external_id": "x", "changes": {}}, "changes"),
        ({"external_id": "x", "changes": [{"name": "a"}] * 101}, "changes"),
        ({"external_id": "x", "changes": [{}]}, "no name"),
        ({"external_id": "x", "changes": ["stage"]}, "no name"),
        ({"external_id": "x", "changes": [{"name": "stage", "value": []}]}, "value of stage"),
    ],
)
def test_what_is_missing_is_named(data: dict[str, Any], missing: str) -> None:
    with pytest.raises(Unreadable, match=missing):
        changed(**data)


# --- the record ----------------------------------------------------------------------------------


def test_a_repeat_is_the_same_notice_and_another_change_another() -> None:
    def identity(*events: dict[str, Any], provider: str = "hubspot", tenant: str = "acme") -> str:
        (noticed,) = of_hubspot(*events)
        return notices.record(provider, tenant, noticed, NOW).event_id

    first, second = event(eventId=1), event(eventId=2, propertyName="lastname")
    once = identity(first, second)
    again = [{**each, "attemptNumber": 1} for each in (second, first)]
    assert identity(*again) == once
    others = {
        once,
        identity(first),
        identity(second),
        identity({**first, "objectId": 9}),
        # HubSpot: "not guaranteed to be unique".
        identity({**first, "occurredAt": MILLISECONDS + 1}),
        identity(first, second, tenant="north"),
        identity(first, second, provider="sandbox"),
    }
    assert len(others) == 7


def test_nothing_changed_after_we_heard_of_it() -> None:
    """A clock that is ahead would win against every change of ours."""
    ahead = int((NOW + timedelta(days=400)).timestamp() * 1_000)
    (noticed,) = of_hubspot(event(occurredAt=ahead))
    told = notices.record("hubspot", "acme", noticed, NOW)
    assert told.occurred_at == NOW
    assert told.changes[0].at == NOW


TEXTS = st.text(max_size=20) | st.integers() | st.none() | st.floats() | st.booleans()
ANYTHING = st.recursive(
    TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *event(),
                    *people(),
                    "type",
                    "data",
                    "external_id",
                    "changes",
                    "name",
                    "value",
                    "at",
                ]
            ),
            inner | st.sampled_from([*event().values(), "contact.changed"]),
            max_size=9,
        )
    ),
    max_leaves=30,
)
ODD_EVENTS = st.fixed_dictionaries(
    {
        "eventId": st.integers(0, 9) | st.text(max_size=9),
        "occurredAt": st.integers(0, 4 * 10**12),
        "subscriptionType": st.sampled_from(["contact.propertyChange", "deal.propertyChange"]),
        "objectId": st.integers(0, 3),
        "propertyName": st.sampled_from(["firstname", "email", "dealstage"]),
        "propertyValue": st.none() | st.text(max_size=30),
    }
)


@given(body=ANYTHING.map(json.dumps).map(str.encode) | st.binary(max_size=80))
def test_whatever_is_signed_is_read_or_named_as_unreadable(body: bytes) -> None:
    readers: list[Callable[[], list[Noticed]]] = [
        lambda: hubspot.read(body),
        lambda: followupboss.read(body, NOW),
        lambda: changes.read("msg_1", body, NOW),
    ]
    for read in readers:
        try:
            found = read()
        except Unreadable:
            continue
        for each in found:
            told = notices.record("hubspot", "acme", each, NOW)
            assert CODEC.decode(CODEC.encode(told)) == told
            assert told.occurred_at <= NOW


@given(events=st.lists(ODD_EVENTS, min_size=1, max_size=12), data=st.data())
def test_the_order_within_a_body_changes_nothing_that_is_told(events: Any, data: Any) -> None:
    def told(these: list[Any]) -> dict[tuple[str, str], Any]:
        found = {}
        try:
            read = of_hubspot(*these)
        except Unreadable:
            return {}
        for each in read:
            made = notices.record("hubspot", "acme", each, NOW)
            latest = {change.name: change.at for change in made.changes}
            found[made.object, made.crm_id] = (made.event_id, made.occurred_at, latest)
        return found

    assert told(data.draw(st.permutations(events))) == told(events)
