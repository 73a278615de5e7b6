"""The shipped library (`library/README.md`): YAML that people review, into records. Pure but for
the reading of files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from leadflow.errors import SettingError
from leadflow.records import Arm, SequencePublished, SequenceStep
from leadflow.tenants import Tenant
from portal_api.editing import (
    Refused,
    arm_of,
    check,
    condition_of,
    is_forgotten_first,
    published,
    trigger_of,
    window_of,
)

SOURCE = "library"


def default_folder() -> Path:
    """The library of the repository that this package lies in, else the container's."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "library" / "sequences").is_dir():
            return parent / "library"
    return Path("/app/library")


def load(folder: Path) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """(sequences, templates by id). Raises SettingError if there is no library, or a broken one."""
    if not (folder / "sequences").is_dir():
        raise SettingError(f"LEADFLOW_LIBRARY: there is no folder {folder / 'sequences'}")
    sequences = [read(path) for path in sorted((folder / "sequences").glob("*.yaml"))]
    templates = [read(path) for path in sorted((folder / "templates").glob("*.yaml"))]
    return sequences, {template["template_id"]: template for template in templates}


def sequence_of(
    entry: Mapping[str, Any],
    templates: Mapping[str, Mapping[str, Any]],
    tenant: Tenant,
    now: datetime,
) -> SequencePublished:
    """A shipped sequence as a tenant's own, its templates written into the steps.

    It is a draft where the tenant's pipeline lacks its trigger stage, where the tenant forgets
    leads before it would begin, or where a template is not approved. Raises SettingError, naming
    the sequence, if the entry makes none.
    """
    name = f"{tenant.tenant_id}.{entry['sequence_id']}"
    trigger = trigger_of(entry["trigger"]["kind"], entry["trigger"].get("value"))
    try:
        steps = tuple(_step(step, templates) for step in entry["steps"])
        used = [each for step in entry["steps"] for each in (step, *(step.get("arms") or ()))]
        approved = all(
            templates[each["template"]]["approval"]["state"] == "approved"
            for each in used
            if each.get("template")
        )
        can_begin = (
            trigger.kind != "stage" or trigger.value in tenant.pipeline
        ) and not is_forgotten_first(trigger, tenant.retention_days)
        sequence = SequencePublished(
            event_id="",
            tenant_id=tenant.tenant_id,
            occurred_at=now,
            recorded_at=now,
            source=SOURCE,
            owner=entry["owner"],
            sequence_id=name,
            version=entry["version"],
            name=entry["name"],
            description=entry["description"],
            status=entry["status"] if approved and can_begin else "draft",
            trigger=trigger,
            trigger_source="" if entry["source"] == "any" else entry["source"],
            consent_rule=entry["consent_rule"],
            duplicate_rule=entry["duplicate_rule"],
            rollback_path=entry["rollback_path"],
            incident_owner=entry["incident_owner"],
            response_window=entry["response_window"],
            reentry_rule=entry["reentry"]["rule"],
            reentry_days=entry["reentry"]["days"] or 0,
            priority=entry["priority"],
            stop_on=tuple(entry["stop_on"]),
            exclusive_group=entry.get("exclusive_group") or "",
            window=window_of(entry.get("window")),
            steps=steps,
        )
        check(sequence)
    except (KeyError, TypeError) as error:
        raise SettingError(f"library: {entry.get('sequence_id')}: {error} is missing") from None
    except Refused as error:
        raise SettingError(f"library: {entry['sequence_id']}: {error}") from None
    return published(sequence, now)


def _step(entry: Mapping[str, Any], templates: Mapping[str, Mapping[str, Any]]) -> SequenceStep:
    template = templates[entry["template"]] if entry.get("template") else {}
    return SequenceStep(
        step_id=entry["step_id"],
        channel=entry["channel"],
        delay_minutes=entry["delay_minutes"],
        delay_from=entry["delay_from"],
        template_name=entry.get("template") or "",
        subject=template.get("subject") or "",
        body=template.get("body") or "",
        body_html=template.get("body_html") or "",
        condition=condition_of(entry.get("condition")),
        delay_days=entry.get("delay_days") or 0,
        delay_business_days=entry.get("delay_business_days") or 0,
        spread_minutes=entry.get("spread_minutes") or 0,
        blocks=entry.get("blocks") or False,
        otherwise=entry.get("otherwise") or "",
        arms=tuple(_arm(arm, templates) for arm in entry.get("arms") or ()),
    )


def _arm(entry: Mapping[str, Any], templates: Mapping[str, Mapping[str, Any]]) -> Arm:
    template = templates[entry["template"]]
    return arm_of({**entry, **template, "template_name": entry["template"], "name": entry["name"]})


def read(path: Path) -> dict[str, Any]:
    """One file of the library. Raises SettingError if it cannot be read or is no mapping."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingError(f"library: {path.name} cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise SettingError(f"library: {path.name} holds no sequence or template")
    return data
