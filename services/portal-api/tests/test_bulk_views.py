"""What a bulk job shows of the leads that it was given."""

from __future__ import annotations

from typing import Any

import pytest

from portal_api.bulk import views

ROW: dict[str, Any] = {
    "lead_id": "lead-1", "enrollment_id": None, "event_id": "e", "owner": None,
    "expected": "refused", "expected_rule": "unknown_lead", "expected_inputs": {}, "plan": {},
    "state": "refused", "rule": "unknown_lead", "inputs": {}, "decided_by": "portal-api",
    "decided_at": None, "first_name": "Ann", "last_name": "Lee", "email": "ann@lee.example",
    "phone": "+15125550100", "stage": "new", "lead_tenant_id": "acme", "lead_owner": "dana",
}  # fmt: skip


def shown(tenant_id: str, own_leads_of: str | None, **row: Any) -> dict[str, Any]:
    job = {"tenant_id": tenant_id, "own_leads_of": own_leads_of}
    return dict(views.item({**ROW, **row}, job)["lead"])


@pytest.mark.parametrize("own_leads_of", [None, "dana"])
def test_a_lead_of_the_job_is_shown(own_leads_of: str | None) -> None:
    assert (shown("acme", own_leads_of)["name"], shown("acme", None)["stage"]) == ("Ann Lee", "new")


@pytest.mark.parametrize(
    ("tenant_id", "own_leads_of"),
    [("other", None), ("acme", "rita"), ("other", "dana")],
    ids=["another tenant's", "another rep's", "another tenant's of a rep of the same name"],
)
@pytest.mark.parametrize("missing", [{}, {"first_name": None, "last_name": None}])
def test_who_names_the_id_of_somebody_elses_lead_is_not_told_who_that_is(
    tenant_id: str, own_leads_of: str | None, missing: dict[str, None]
) -> None:
    lead = shown(tenant_id, own_leads_of, **missing)
    assert (lead["id"], lead["name"], lead["stage"]) == ("lead-1", "Unknown lead", None)


def test_of_an_id_that_nobody_has_nothing_is_shown() -> None:
    nobody = dict.fromkeys((*views.PERSONAL, "lead_tenant_id", "lead_owner"))
    assert shown("acme", None, **nobody)["name"] == "Unknown lead"
