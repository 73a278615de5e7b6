"""The portal's preview of a migration says what the sequencer then does.

Services do not import one another; this test imports both, so that the rule of ADR 13 that each
has written down is one rule.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from leadflow import records
from leadflow.codec import Codec
from leadflow.records import LeadRecord, SequencePublished
from leadflow.records.common import SequenceStep, Trigger
from portal_api.bulk.decide import moving
from portal_api.bulk.model import Candidate, Passage
from portal_api.projections.timeline import line
from sequencer.decide import decide, fire
from sequencer.model import LeadRow, Setting
from sequencer.pauses import AutomationPauses
from sequencer.sequences import PublishedSequences

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
CODEC = Codec()
BASE: dict[str, Any] = {"tenant_id": "acme", "source": "web", "lead_id": "lead", "owner": "dana"}

STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.integers(0, 60),
        st.sampled_from(("enrollment", "previous")),
        st.sampled_from(("email", "email", "wait", "task", "task")),
    ),
    min_size=2,
    max_size=5,
    unique_by=lambda each: each[0],
)


def version(number: int, steps: list[tuple[str, int, str, str]]) -> SequencePublished:
    return SequencePublished(
        event_id=f"v{number}",
        tenant_id="acme",
        occurred_at=START,
        recorded_at=START,
        source="portal-api",
        sequence_id="acme.one",
        version=number,
        name="one",
        description="",
        status="active",
        trigger=Trigger(kind="stage", value="new"),
        trigger_source="",
        consent_rule="not_opted_out",
        duplicate_rule="",
        rollback_path="",
        incident_owner="",
        response_window="",
        reentry_rule="never",
        reentry_days=0,
        priority=50,
        stop_on=(),
        steps=tuple(
            SequenceStep(
                step_id=name,
                channel=channel,
                delay_minutes=minutes,
                delay_from=delay_from,
                template_name=name,
                subject=name,
                body=name,
                blocks=channel == "task",
            )
            for name, minutes, delay_from, channel in steps
        ),
    )


TOLD = (
    "StepScheduled",
    "StepFired",
    "StepSkipped",
    "EnrollmentMigrated",
    "EnrollmentPaused",
    "EnrollmentResumed",
)


class Story:
    """One lead, its sequencer, and the timeline that the portal makes of what was told."""

    def __init__(self) -> None:
        self.sequences = PublishedSequences(CODEC)
        self.setting = Setting(self.sequences, AutomationPauses(CODEC), {})
        self.row: LeadRow | None = None
        self.lines: list[dict[str, Any]] = []
        self.told: list[LeadRecord] = []

    def publish(self, definition: SequencePublished) -> None:
        key = f"{definition.sequence_id}:{definition.version}".encode()
        self.sequences.apply(key, CODEC.encode(definition))

    def when(self, event: LeadRecord) -> None:
        self._take(decide(self.row, event, event.recorded_at, self.setting))

    def passes(self, at: datetime) -> None:
        assert self.row is not None
        self._take(fire(self.row, at, self.setting))

    def _take(self, decision: Any) -> None:
        self.row = decision.row
        self.told = list(decision.effects)
        kept = [line(each, "enrollment-events") for each in decision.effects if each.TYPE in TOLD]
        # As the query orders them.
        self.lines += sorted(
            kept, key=lambda each: (each["recorded_at"], each["type"] != "EnrollmentMigrated")
        )


@settings(max_examples=400, deadline=None)
@given(
    versions=st.lists(STEPS, min_size=2, max_size=4),
    pauses=st.lists(st.integers(0, 70), min_size=4, max_size=4),
)
def test_the_preview_of_a_migration_is_what_the_sequencer_does(
    versions: list[list[tuple[str, int, str, str]]], pauses: list[int]
) -> None:
    story = Story()
    published = {n: version(n, steps) for n, steps in enumerate(versions, 1)}
    story.publish(published[1])
    created = records.LeadCreated(
        **BASE,
        event_id="created",
        occurred_at=START,
        recorded_at=START,
        cause_id="raw",
        revision=1,
        external_id="1",
        status="active",
        email="ada@example.com",
        urgency="normal",
        timezone="UTC",
        timezone_from="given",
        stage="new",
        received="{}",
        extra="{}",
    )
    story.when(created)
    now = START
    for number in range(2, len(versions) + 1):
        story.publish(published[number])
        now += timedelta(minutes=pauses[number - 2])
        story.passes(now)
        assert story.row is not None
        if not story.row.live:
            return
        [live] = story.row.live
        standing = moving.standing(story.lines, 1, published)
        assert (standing.version, standing.index) == (live.version, live.step_index)
        assert standing.waits_for == live.waits_for
        passage = Passage(
            enrollment_id=live.enrollment_id,
            sequence_id="acme.one",
            version=live.version,
            status="paused" if live.waits_for else "active",
            held_by="task_open" if live.waits_for else "",
            enrolled_at=live.enrolled_at,
            next_due_at=live.due_at,
        )
        lead = Candidate(lead_id="lead", status="active", timezone="UTC")
        plan = moving.outlook(lead, passage, standing, published[number], published, "", now).plan
        command = records.EnrollmentMigrateRequested(
            **BASE,
            event_id=f"migrate-{number}",
            occurred_at=now,
            recorded_at=now,
            enrollment_id=live.enrollment_id,
            to_version=number,
            requested_by="ops",
        )
        story.when(command)
        [moved] = [each for each in story.told if isinstance(each, records.EnrollmentMigrated)]
        assert plan["next_step"] == moved.next_step_id
        skipped = [
            each.step_id
            for each in story.told
            if isinstance(each, records.StepSkipped) and each.rule == "left_behind"
        ]
        assert plan["left_behind"] == skipped
        assert story.row is not None
        # A task that goes out at once may hold it anew.
        after = {each.waits_for for each in story.row.live}
        held = live.waits_for != "" and live.waits_for in after
        assert (plan["waits_for"] or plan["task_gone"] or "") == live.waits_for
        assert (plan["waits_for"] is not None) == held
        if plan["next_step"] is not None:
            assert plan["paused"] == held
        if held:
            assert plan["about"] is None
            continue
        scheduled = [each for each in story.told if isinstance(each, records.StepScheduled)]
        if scheduled:
            assert plan["about"] == scheduled[0].due_at.isoformat()
        elif plan["next_step"] is not None:
            assert plan["about"] == story.row.live[0].due_at.isoformat()
