"""Health, readiness, metrics, and the watchdog's question: who stands still?"""

from __future__ import annotations

import json

import pytest

from leadflow import health as health_module
from leadflow.health import Health, answer
from leadflow.metrics import RECORDS


class Elapsed:
    """Stands in for the module `time`: seconds pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Elapsed:
    made = Elapsed()
    monkeypatch.setattr(health_module, "time", made)
    return made


def test_a_process_is_alive_whether_or_not_it_is_ready() -> None:
    assert answer("/healthz", Health(("kafka",)))[0] == 200


def test_a_process_is_ready_once_every_part_is() -> None:
    health = Health(("kafka", "database"))
    status, _, body = answer("/readyz", health)
    assert status == 503
    assert json.loads(body)["waiting"] == {"kafka": "starting", "database": "starting"}
    health.ready("kafka")
    assert answer("/readyz", health)[0] == 503
    health.ready("database")
    status, content_type, body = answer("/readyz", health)
    assert (status, content_type) == (200, "application/json")
    assert json.loads(body) == {"status": "ready", "waiting": {}}


def test_a_part_can_stop_being_ready_and_says_why() -> None:
    health = Health(("kafka",))
    health.ready("kafka")
    health.not_ready("kafka", "the broker does not answer")
    status, _, body = answer("/readyz", health)
    assert status == 503
    assert json.loads(body)["waiting"] == {"kafka": "the broker does not answer"}


def test_metrics_are_in_the_prometheus_text_format() -> None:
    RECORDS.labels("test-health").inc(3)
    status, content_type, body = answer("/metrics", Health())
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert 'leadflow_records_total{loop="test-health"} 3.0' in body.decode().splitlines()


def test_another_path_is_not_found() -> None:
    assert answer("/", Health())[0] == 404


def test_a_part_that_never_began_is_not_stalled(elapsed: Elapsed) -> None:
    health = Health(("kafka",))
    elapsed.seconds += 1_000_000
    assert health.stalled(120) is None


def test_a_part_that_went_on_once_must_go_on(elapsed: Elapsed) -> None:
    health = Health()
    health.progress("lead-events")
    health.progress("messages")
    elapsed.seconds += 119
    assert health.stalled(120) is None
    health.progress("messages")
    elapsed.seconds += 2
    assert health.stalled(120) == "lead-events"
    health.progress("lead-events")
    assert health.stalled(120) is None
