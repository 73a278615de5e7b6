"""Pauses as they arrive from the compacted topic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dispatcher.breaker_news import Change, teller
from dispatcher.controls import Controls
from leadflow.codec import Codec
from leadflow.records import AutomationPaused, AutomationResumed

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
CODEC = Codec()
COMMON: dict[str, Any] = {
    "event_id": "c-1",
    "tenant_id": "acme",
    "occurred_at": NOW,
    "recorded_at": NOW,
    "source": "portal-api",
    "scope": "tenant:acme",
    "reason": "incident",
    "verification_status": "open",
}
PAUSED = CODEC.encode(
    AutomationPaused(**COMMON, workflow="first-touch", rollback="resume", paused_by="ops")
)
RESUMED = CODEC.encode(AutomationResumed(**COMMON, resumed_by="ops"))


def test_a_scope_is_paused_until_it_is_resumed() -> None:
    controls = Controls(CODEC)
    controls.apply(b"tenant:acme", PAUSED)
    assert controls.paused.scopes == {"tenant:acme"}
    controls.apply(b"tenant:acme", RESUMED)
    assert controls.paused.scopes == frozenset()


def test_a_removed_control_pauses_nothing() -> None:
    controls = Controls(CODEC)
    controls.apply(b"tenant:acme", PAUSED)
    controls.apply(b"tenant:acme", None)
    assert controls.paused.scopes == frozenset()


def test_a_control_that_cannot_be_read_pauses_its_scope() -> None:
    controls = Controls(CODEC)
    controls.apply(b"everything", b"nonsense")
    assert controls.paused.scopes == {"everything"}


def test_a_resume_says_at_what_rate_its_scope_goes_on() -> None:
    controls = Controls(CODEC)
    fast = CODEC.encode(AutomationResumed(**COMMON, resumed_by="ops", rate_per_minute=600))
    controls.apply(b"tenant:acme", fast)
    assert controls.paused.rate("tenant:acme") == 600
    controls.apply(b"tenant:acme", RESUMED)
    assert controls.paused.rate("tenant:acme") == 60
    assert controls.paused.rate("everything") == 60


def test_a_rate_of_nothing_is_no_rate() -> None:
    controls = Controls(CODEC)
    never = CODEC.encode(AutomationResumed(**COMMON, resumed_by="ops", rate_per_minute=0))
    controls.apply(b"tenant:acme", never)
    assert controls.paused.rate("tenant:acme") == 60


def test_what_a_person_paused_stays_paused_whatever_the_breaker_says() -> None:
    """Its word has a key of its own, so that after compaction both are there."""
    scope, tell = "provider:email-api", teller(CODEC)
    controls = Controls(CODEC)
    controls.apply(scope.encode(), PAUSED)
    for opened in (True, False):
        change = Change(provider="email-api", opened=opened, bad=20, total=20, at=NOW)
        _, key, value = tell(change)
        assert key != scope
        controls.apply(key.encode(), value)
        controls.apply(scope.encode(), value)  # as it was written before
        assert controls.paused.scopes == {scope}
    assert controls.words == {}
