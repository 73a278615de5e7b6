"""Whose value of a field stands when people change a lead in their CRM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadflow.errors import RecordRefused
from leadflow.records import CrmChangeSettled, FieldSettled, LeadUpdated, StageChanged
from leadflow.tenants import Tenant

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
MARIA = {
    "first_name": "Maria",
    "last_name": "Delgado",
    "email": "Maria@example.com",
    "phone": "5125550163",
    "company": "Delgado & Sons",
    "title": "Owner",
    "owner": "dana",
    "consent": {"email": True, "sms": True},
}


def hour(number: float) -> str:
    """The desk's first event is at hour 1, its second at hour 2."""
    return (START + timedelta(hours=number)).isoformat()


def change(lead: Any, **fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "lead": lead.lead_id,
        "provider": "hubspot",
        "account_id": "hubspot-4f1d",
        "fields": fields,
    }


@pytest.fixture
def lead(desk: Any) -> Any:
    """Maria, who is known since hour 1."""
    return desk.take("lead", MARIA, external_id="wf-1")[0]


@pytest.fixture
def tell(desk: Any, lead: Any) -> Callable[..., tuple[Any, ...]]:
    def tell(**fields: dict[str, Any]) -> tuple[Any, ...]:
        taken: tuple[Any, ...] = desk.take(
            "crm_change", change(lead, **fields), source="crm:hubspot"
        )
        return taken

    return tell


def only(records: tuple[Any, ...]) -> FieldSettled:
    """The verdict of a change that told of one field and led to nothing."""
    (settled,) = records
    assert isinstance(settled, CrmChangeSettled)
    (field,) = settled.fields
    return field


def verdict(records: tuple[Any, ...]) -> tuple[str, str, bool]:
    field = records[-1].fields[0]
    return field.outcome, field.rule, field.conflict


def test_a_value_that_only_the_crm_changed_is_taken(desk: Any, lead: Any, tell: Any) -> None:
    updated, settled = tell(
        title={"value": "  Managing   director ", "was": "Owner", "at": hour(1.5)}
    )
    assert isinstance(updated, LeadUpdated)
    assert updated.title == "Managing director"
    assert updated.changed == ("title",)
    assert (updated.revision, settled.revision) == (2, 2)
    assert (updated.source, updated.cause_id) == ("crm:hubspot", "e2")
    assert isinstance(settled, CrmChangeSettled)
    assert (settled.provider, settled.account_id) == ("hubspot", "hubspot-4f1d")
    assert settled.fields == (
        FieldSettled(
            field="title",
            outcome="taken",
            rule="only_crm_changed",
            conflict=False,
            crm_value="Managing director",
            log_value="Owner",
            crm_at=START + timedelta(hours=1.5),
            log_at=START + timedelta(hours=1),
        ),
    )
    assert desk.leads()[0].title == "Managing director"


def test_a_stage_that_only_the_crm_changed_moves_the_lead(desk: Any, lead: Any, tell: Any) -> None:
    moved, settled = tell(stage={"value": "Contacted", "was": "new", "at": hour(1.5)})
    assert isinstance(moved, StageChanged)
    assert (moved.from_stage, moved.to_stage) == ("new", "contacted")
    assert moved.changed_by == "crm:hubspot"
    assert (moved.revision, settled.revision) == (2, 2)
    assert verdict((settled,)) == ("taken", "only_crm_changed", False)


def test_profile_and_stage_in_one_change_are_two_records_with_a_revision_each(tell: Any) -> None:
    updated, moved, settled = tell(
        stage={"value": "contacted", "was": "new", "at": hour(1.5)},
        company={"value": "Delgado Inc.", "was": "Delgado & Sons", "at": hour(1.5)},
    )
    assert (updated.revision, moved.revision, settled.revision) == (2, 3, 3)
    assert updated.stage == "new", "the stage moves with its own record"
    assert updated.changed == ("company",)
    assert [each.field for each in settled.fields] == ["stage", "company"]


def test_a_value_that_the_log_has_already_is_the_same(tell: Any) -> None:
    field = only(tell(phone={"value": "(512) 555-0163", "was": "+15125550100", "at": hour(1.5)}))
    assert (field.outcome, field.rule, field.conflict) == ("same", "equal", False)
    field = only(tell(email={"value": "maria@EXAMPLE.com", "was": "Maria@example.com"}))
    assert (field.outcome, field.rule) == ("same", "equal"), "small letters are no change"


def test_of_two_changes_the_newer_stands(desk: Any, lead: Any, tell: Any) -> None:
    desk.take("lead", {**MARIA, "title": "Partner"}, external_id="wf-1")  # hour 2
    field = only(tell(title={"value": "Boss", "was": "Owner", "at": hour(1.9)}))
    assert (field.outcome, field.rule, field.conflict) == ("kept", "newest_wins", True)
    assert (field.log_value, field.log_at) == ("Partner", START + timedelta(hours=2))
    field = only(tell(title={"value": "Boss", "was": "Owner", "at": hour(2)}))
    assert (field.outcome, field.rule) == ("kept", "newest_wins"), "at the same time the log's"
    updated, settled = tell(title={"value": "Boss", "was": "Owner", "at": hour(2.1)})
    assert updated.title == "Boss"
    assert verdict((settled,)) == ("taken", "newest_wins", True)


@pytest.mark.parametrize(("between", "at"), [(["Partner", "Owner"], 1.5), ([], 0.9)])
def test_what_the_log_has_got_since_stands_though_it_was_there_before(
    desk: Any, lead: Any, tell: Any, between: list[str], at: float
) -> None:
    """It was changed and changed back; or it was written over an edit that is told of late."""
    for title in between:
        desk.take("lead", {**MARIA, "title": title}, external_id="wf-1")
    field = only(tell(title={"value": "Boss", "was": "Owner", "at": hour(at)}))
    assert (field.outcome, field.rule, field.conflict) == ("kept", "newest_wins", True)


def test_of_two_changes_of_the_stage_the_newer_stands(desk: Any, lead: Any, tell: Any) -> None:
    desk.take("stage_change", {"lead": lead.lead_id, "to": "contacted"})  # hour 2
    field = only(tell(stage={"value": "qualified", "was": "new", "at": hour(1.9)}))
    assert (field.outcome, field.rule, field.conflict) == ("kept", "newest_wins", True)
    *_, settled = tell(stage={"value": "qualified", "was": "new", "at": hour(2.1)})
    assert verdict((settled,)) == ("taken", "newest_wins", True)


def test_what_the_log_hears_of_late_does_not_touch_what_people_have_set_since(
    desk: Any, lead: Any, tell: Any
) -> None:
    late = [
        desk.raw("lead", {**MARIA, "title": "Partner", "owner": "luis"}, external_id="wf-1"),
        desk.raw("stage_change", {"lead": lead.lead_id, "to": "lost", "reason": "too dear"}),
    ]
    tell(
        stage={"value": "contacted", "was": "new", "at": hour(3.5)},
        title={"value": "Boss", "was": "Owner", "at": hour(3.5)},
        owner={"value": "sam", "was": "dana", "at": hour(1.5)},
    )
    updated, *_ = desk.decide(late[0]).records  # of hour 2
    assert (updated.title, updated.owner) == ("Boss", "luis")
    (updated,) = desk.decide(late[1]).records  # of hour 3
    assert isinstance(updated, LeadUpdated)
    assert (updated.stage, updated.changed) == ("contacted", ())
    later = desk.take("stage_change", {"lead": lead.lead_id, "to": "qualified"})
    assert [type(each) for each in later] == [StageChanged]


def test_what_was_not_taken_of_a_crm_keeps_nothing_out(desk: Any, lead: Any, tell: Any) -> None:
    late = desk.raw("stage_change", {"lead": lead.lead_id, "to": "contacted"})  # hour 2
    tell(stage={"value": None, "unknown": "Nurture", "was": "new", "at": hour(2.5)})
    (moved,) = desk.decide(late).records
    assert isinstance(moved, StageChanged)


def test_a_value_without_a_time_in_the_log_gives_way(desk: Any, lead: Any, tell: Any) -> None:
    (known,) = desk.leads()
    desk.book = type(desk.book)([replace(known, set_at={})])
    updated, settled = tell(title={"value": "Boss", "was": "Partner", "at": hour(0)})
    assert updated.title == "Boss"
    assert verdict((settled,)) == ("taken", "newest_wins", True)
    assert settled.fields[0].log_at is None


def test_the_crm_wins_for_the_owner_however_old_its_word(desk: Any, lead: Any, tell: Any) -> None:
    desk.take("lead", {**MARIA, "owner": "luis"}, external_id="wf-1")  # hour 2
    updated, settled = tell(owner={"value": "sam", "was": "dana", "at": hour(1.5)})
    assert (updated.owner, updated.changed) == ("sam", ("owner",))
    assert settled.owner == "sam"
    assert verdict((settled,)) == ("taken", "crm_wins_for_owner", True)
    *_, settled = tell(owner={"value": "ann", "was": "sam", "at": hour(3)})
    assert verdict((settled,)) == ("taken", "crm_wins_for_owner", False)


@pytest.mark.parametrize("field", ["owner", "title"])
def test_what_the_crm_itself_has_changed_since_is_no_news(desk: Any, tell: Any, field: str) -> None:
    tell(**{field: {"value": "second", "was": MARIA[field], "at": hour(1.8)}})
    late = only(tell(**{field: {"value": "first", "was": "second", "at": hour(1.2)}}))
    assert (late.outcome, late.rule, late.conflict) == ("kept", "newest_wins", False)
    assert getattr(desk.leads()[0], field) == "second"


def test_two_changes_at_the_same_time_count_in_the_order_in_which_they_come(
    desk: Any, lead: Any, tell: Any
) -> None:
    """Some CRMs tell whole seconds."""
    tell(title={"value": "Boss", "was": "Owner", "at": hour(1.5)})
    tell(title={"value": "Partner", "was": "Boss", "at": hour(1.5)})
    assert desk.leads()[0].title == "Partner"


def test_a_value_that_was_taken_back_in_the_crm_does_not_come_again(
    desk: Any, lead: Any, tell: Any
) -> None:
    only(tell(title={"value": "Owner", "was": "Owner", "at": hour(1.8)}))
    only(tell(title={"value": "Boss", "was": "Owner", "at": hour(1.2)}))
    assert desk.leads()[0].title == "Owner"


@pytest.mark.parametrize("given", [{"value": None, "unknown": "Nurture"}, {"value": "Nurture"}])
def test_a_stage_that_nobody_knows_is_shown_and_not_taken(
    desk: Any, lead: Any, tell: Any, given: dict[str, Any]
) -> None:
    field = only(tell(stage={**given, "was": "new", "at": hour(1.5)}))
    assert (field.outcome, field.rule, field.conflict) == ("kept", "unknown_stage", True)
    assert (field.crm_value, field.log_value) == ("Nurture", "new")
    assert desk.leads()[0].stage == "new"


def test_a_stage_to_which_no_way_leads_is_shown_and_not_taken(desk: Any, tell: Any) -> None:
    field = only(tell(stage={"value": "won", "was": "new", "at": hour(1.5)}))
    assert (field.outcome, field.rule, field.conflict) == ("kept", "stage_transition", True)
    assert desk.leads()[0].stage == "new"


@pytest.mark.parametrize(
    ("reason", "told"), [({}, "marked lost in hubspot"), ({"reason": "too dear"}, "too dear")]
)
def test_a_lead_is_lost_for_a_reason(
    desk: Any, lead: Any, reason: dict[str, str], told: str
) -> None:
    stage = {"value": "lost", "was": "new", "at": hour(1.5)}
    moved, _ = desk.take("crm_change", {**change(lead, stage=stage), **reason})
    assert (moved.to_stage, moved.reason) == ("lost", told)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "maria at example"),
        ("phone", "ask her brother"),
        ("first_name", "maria@example.com"),
        ("last_name", "42"),
        ("company", None),
        ("title", "  "),
    ],
)
def test_what_cannot_be_used_is_shown_and_not_taken(
    desk: Any, tell: Any, field: str, value: str | None
) -> None:
    before = desk.leads()[0]
    settled = only(tell(**{field: {"value": value, "was": "x", "at": hour(1.5)}}))
    assert (settled.outcome, settled.rule, settled.conflict) == ("kept", "unusable", True)
    assert getattr(desk.leads()[0], field) == getattr(before, field)


def test_a_new_number_is_normalized_and_moves_the_lead_to_its_zone(desk: Any, tell: Any) -> None:
    updated, _ = tell(phone={"value": "212-555-0142", "was": "+15125550163", "at": hour(1.5)})
    assert updated.phone == "+12125550142"
    assert (updated.timezone, updated.timezone_from) == ("America/New_York", "phone")
    assert set(updated.changed) == {"phone", "timezone"}


def test_the_zone_that_a_lead_gave_stays(desk: Any) -> None:
    lead = desk.take("lead", {**MARIA, "timezone": "America/Denver"})[0]
    number = {"value": "212-555-0142", "was": "+15125550163", "at": hour(1.5)}
    updated, _ = desk.take("crm_change", change(lead, phone=number))
    assert updated.timezone == "America/Denver"


def test_a_lead_is_found_by_the_address_that_a_crm_brought(desk: Any, lead: Any, tell: Any) -> None:
    tell(
        email={"value": "m.delgado@example.com", "was": "Maria@example.com", "at": hour(1.5)},
        phone={"value": "212-555-0142", "was": "+15125550163", "at": hour(1.5)},
    )
    for address in ("m.delgado@example.com", "maria@example.com", "+1 212 555 0142"):
        assert desk.take("reply", {"from": address, "text": "hi"})[0].lead_id == lead.lead_id


@pytest.mark.parametrize(
    ("field", "value", "refused"),
    [
        ("email", "m.delgado@example.com", {"email"}),
        ("phone", "212-555-0142", {"sms", "call", "whatsapp"}),
    ],
)
def test_an_opt_out_of_the_new_address_holds(
    desk: Any, tell: Any, field: str, value: str, refused: set[str]
) -> None:
    with pytest.raises(RecordRefused, match="nobody known"):
        desk.take("opt_out", {field: value})
    updated, _ = tell(**{field: {"value": value, "was": None, "at": hour(3)}})
    assert {each.channel for each in updated.consent if not each.granted} == refused
    assert "consent" in updated.changed


def test_an_opt_out_of_an_address_that_is_not_taken_touches_nobody(desk: Any, tell: Any) -> None:
    with pytest.raises(RecordRefused, match="nobody known"):
        desk.take("opt_out", {"email": "m.delgado@example.com"})
    only(tell(email={"value": "m.delgado@example.com", "was": "other@example.com", "at": hour(0)}))
    assert all(each.granted for each in desk.leads()[0].consent)


def test_a_new_address_takes_no_opt_out_back(desk: Any, tell: Any) -> None:
    desk.take("opt_out", {"email": "maria@example.com"})
    new = {"value": "m.delgado@example.com", "was": "Maria@example.com", "at": hour(3)}
    updated, _ = tell(email=new)
    assert updated.email == "m.delgado@example.com"
    assert not next(each for each in updated.consent if each.channel == "email").granted


def test_a_lead_in_quarantine_stays_there_as_it_is(desk: Any) -> None:
    lead = desk.take("lead", {**MARIA, "website_hp": "x"})[0]
    assert lead.status == "quarantined"
    field = only(desk.take("crm_change", change(lead, title={"value": "Boss", "was": "Owner"})))
    assert (field.outcome, field.rule, field.conflict) == ("kept", "quarantined", True)
    assert desk.leads()[0].status == "quarantined"


def test_a_time_ahead_of_the_clock_counts_as_now(desk: Any, lead: Any, tell: Any) -> None:
    (_, settled) = tell(title={"value": "Boss", "was": "Owner", "at": "2099-01-01T00:00:00Z"})
    assert settled.fields[0].crm_at == START + timedelta(hours=2)
    updated, _ = tell(title={"value": "Partner", "was": "Boss", "at": hour(2.5)})
    assert updated.title == "Partner"


def test_a_field_that_does_not_go_both_ways_is_passed_over(desk: Any, tell: Any) -> None:
    service = {"value": "gutters", "was": "roof", "at": hour(1.5)}
    title = {"value": "Boss", "was": "Owner", "at": hour(1.5)}
    _, settled = tell(service=service, title=title)
    assert [each.field for each in settled.fields] == ["title"]


def test_a_repeat_under_another_id_changes_nothing(desk: Any, tell: Any) -> None:
    change = {
        "stage": {"value": "contacted", "was": "new", "at": hour(1.5)},
        "owner": {"value": "sam", "was": "dana", "at": hour(1.5)},
        "email": {"value": "m@example.com", "was": "Maria@example.com", "at": hour(1.5)},
    }
    *_, settled = tell(**change)
    (again,) = tell(**change)
    assert again.revision == settled.revision
    assert {each.outcome for each in again.fields} == {"same"}


@pytest.mark.parametrize(
    ("without", "rule"),
    [
        ("lead", "missing_field"),
        ("provider", "missing_field"),
        ("account_id", "missing_field"),
        ("fields", "missing_field"),
        (None, "unknown_lead"),
    ],
)
def test_a_change_that_can_never_be_settled_is_refused(
    desk: Any, tenant: Tenant, lead: Any, without: str | None, rule: str
) -> None:
    payload = change(lead, title={"value": "Boss"})
    payload["lead"] = "c6396d1e-442a-55dd-b623-e217efd996de"
    # The address of somebody known does not make it about them.
    payload["fields"]["email"] = {"value": MARIA["email"]}
    payload.pop(without or "", None)
    with pytest.raises(RecordRefused) as refused:
        desk.take("crm_change", payload)
    assert refused.value.rule == rule
