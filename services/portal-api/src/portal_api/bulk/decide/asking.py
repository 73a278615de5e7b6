"""Whether an enrollment can be paused, resumed, stopped or moved now, as the read models have it.
The sequencer has the last word, by the same rules (`sequencer/decide/commands.py`)."""

from __future__ import annotations

from portal_api.bulk.model import LIVE, MIGRATE, PAUSE, RESUME, STOP, Outlook, Passage

BY_HAND = "manual"


def refusal(action: str, status: str, held_by: str | None) -> tuple[str, dict[str, str]] | None:
    """The rule that refuses an action, with what it looks at; None if it can be done.

    Several things may hold an enrollment at once, and a pause by hand is one of them: it can be
    paused while an incident or an open task holds it. `held_by` is None where a row of an
    earlier version does not say.
    """
    if status not in LIVE:
        return "enrollment_over", {"outcome": status}
    if action == PAUSE and status == "paused" and held_by == BY_HAND:
        return "already_paused", {}
    if action == RESUME and status == "active":
        return "not_paused", {}
    if action == RESUME and held_by not in (None, BY_HAND):
        return "not_paused", {"held_by": held_by}
    if action not in (PAUSE, RESUME, STOP, MIGRATE):
        raise ValueError(action)
    return None


def outlook(action: str, run: Passage | None) -> Outlook:
    """What to expect of a pause, a resume or a stop. `plan` of a resume says for when the next
    step was due."""
    if run is None:
        return Outlook(refused="not_enrolled", asked=False)
    if (refused := refusal(action, run.status, run.held_by)) is not None:
        rule, looked_at = refused
        return Outlook(refused=rule, inputs=looked_at, asked=False)
    if action == RESUME and run.next_due_at is not None:
        return Outlook(plan={"due_at": run.next_due_at.isoformat()})
    return Outlook()
