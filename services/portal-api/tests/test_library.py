"""The shipped library as a tenant's own sequences."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from leadflow.errors import SettingError
from leadflow.records import SequencePublished
from leadflow.tenants import Tenant
from portal_api import editing, library
from portal_api.publish import to_publish
from rendering.parts import Template
from rendering.preview import preview
from rendering.templates import allowed

ENTRIES, TEMPLATES = library.load(library.default_folder())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["sequence_id"])
def test_every_shipped_sequence_passes_the_gate(entry: dict[str, object], t0: datetime) -> None:
    made = library.sequence_of(entry, TEMPLATES, Tenant(tenant_id="acme"), t0)
    assert made.sequence_id == f"acme.{entry['sequence_id']}"
    assert editing.missing_for_activation(made) == []


def test_the_templates_are_written_into_the_steps(t0: datetime) -> None:
    (entry,) = [each for each in ENTRIES if each["sequence_id"] == "first-touch"]
    made = library.sequence_of(entry, TEMPLATES, Tenant(tenant_id="acme"), t0)
    assert made.steps[0].subject == TEMPLATES["first-touch-hello"]["subject"]
    assert made.steps[0].body == TEMPLATES["first-touch-hello"]["body"]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda each: each["template_id"])
def test_every_shipped_template_has_a_fallback_for_what_is_not_known(
    template: dict[str, str],
) -> None:
    always_there = {
        "tenant_name": "Acme",
        "unsubscribe_url": "https://leads.example.com/unsubscribe/abc",
        "postal_address": "400 Congress Ave, Austin, TX 78701",
    }
    found = preview(
        Template(
            channel=template["channel"],
            subject=template["subject"] or "",
            body=template["body"],
            body_html=template.get("body_html") or "",
        ),
        allowed(always_there),
        footer=template["channel"] == "email",
    )
    assert (found.refused, found.missing, found.warnings) == (None, (), ())


def test_a_sequence_for_a_stage_that_the_tenant_lacks_is_a_draft(t0: datetime) -> None:
    (entry,) = [each for each in ENTRIES if each["sequence_id"] == "first-touch"]
    tenant = Tenant(tenant_id="acme", pipeline=("offer-sent", "assigned"))
    assert library.sequence_of(entry, TEMPLATES, tenant, t0).status == "draft"


def test_a_sequence_with_an_unapproved_template_is_a_draft(t0: datetime) -> None:
    (entry,) = [each for each in ENTRIES if each["sequence_id"] == "first-touch"]
    templates = {
        name: {**template, "approval": {"state": "draft"}} for name, template in TEMPLATES.items()
    }
    tenant = Tenant(tenant_id="acme")
    assert library.sequence_of(entry, templates, tenant, t0).status == "draft"


def test_a_sequence_that_names_no_template_says_which_it_is(t0: datetime) -> None:
    (entry,) = [each for each in ENTRIES if each["sequence_id"] == "first-touch"]
    with pytest.raises(SettingError, match="first-touch"):
        library.sequence_of(entry, {}, Tenant(tenant_id="acme"), t0)


def test_a_file_with_a_condition_that_can_never_hold_is_refused_and_says_why(t0: datetime) -> None:
    (entry,) = [each for each in ENTRIES if each["sequence_id"] == "hot-lead-task"]
    steps = [{**entry["steps"][0], "condition": {"field": "colour", "op": "eq", "value": "red"}}]
    with pytest.raises(SettingError, match="hot-lead-task: condition of step 1: colour"):
        library.sequence_of({**entry, "steps": steps}, TEMPLATES, Tenant(tenant_id="acme"), t0)


def test_only_what_nobody_has_or_nobody_edited_is_published(sequence: SequencePublished) -> None:
    newer = replace(sequence, version=4)
    edited = replace(sequence, source="portal-api")
    name = sequence.sequence_id
    assert to_publish([sequence], {}) == [sequence]
    assert to_publish([sequence], {name: sequence}) == []
    assert to_publish([newer], {name: sequence}) == [newer]
    assert to_publish([newer], {name: edited}) == []


def test_a_sequence_for_a_silence_that_the_tenant_forgets_before_is_a_draft(t0: datetime) -> None:
    (entry,) = [each for each in ENTRIES if each["sequence_id"] == "reactivation"]
    made = library.sequence_of(entry, TEMPLATES, Tenant(tenant_id="acme", retention_days=60), t0)
    assert (made.trigger.value, made.status) == ("60", "draft")
