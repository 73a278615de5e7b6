"""Settings of crm-sync: what they mean, and that a wrong one names itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm_sync.settings import retry_policy
from leadflow.errors import SettingError
from leadflow.settings import Environment


def test_the_delays_are_those_that_the_topics_are_named_after() -> None:
    policy = retry_policy(Environment({}))
    assert policy.delays == (timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1))
    assert policy.attempts == (3, 3, 24)


def test_delays_can_be_shortened() -> None:
    given = Environment(
        {"LEADFLOW_CRM_RETRY_DELAYS": "0.5,1,2", "LEADFLOW_CRM_RETRY_ATTEMPTS": "1,1,1"}
    )
    policy = retry_policy(given)
    assert policy.delays == (timedelta(seconds=0.5), timedelta(seconds=1), timedelta(seconds=2))
    assert policy.attempts == (1, 1, 1)


def test_a_provider_may_have_a_policy_of_its_own() -> None:
    given = Environment(
        {
            "LEADFLOW_CRM_RETRY_DELAYS": "1,2,3",
            "LEADFLOW_CRM_RETRY_ATTEMPTS_HUBSPOT": "5,5,5",
            "LEADFLOW_CRM_RETRY_JITTER_HUBSPOT": "0.5",
        }
    )
    policy = retry_policy(given)
    hubspot = policy.of("hubspot")
    assert (hubspot.attempts, hubspot.jitter, hubspot.delays) == ((5, 5, 5), 0.5, policy.delays)
    assert policy.of("followupboss") is policy
    assert (policy.attempts, policy.jitter) == ((3, 3, 24), 0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEADFLOW_CRM_RETRY_DELAYS", "30"),
        ("LEADFLOW_CRM_RETRY_DELAYS", "30,300,soon"),
        ("LEADFLOW_CRM_RETRY_DELAYS", "300,30,3600"),
        ("LEADFLOW_CRM_RETRY_DELAYS", "-1,30,3600"),
        ("LEADFLOW_CRM_RETRY_ATTEMPTS", "0,1,1"),
        ("LEADFLOW_CRM_RETRY_ATTEMPTS", "1.5,1,1"),
        ("LEADFLOW_CRM_RETRY_JITTER", "2"),
        ("LEADFLOW_CRM_RETRY_ATTEMPTS_HUBSPOT", "0,1,1"),
    ],
)
def test_a_wrong_setting_names_itself(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        retry_policy(Environment({name: value}))
