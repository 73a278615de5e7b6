"""Settings of crm-sync that are more than a text or a number."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from crm_sync.crm.providers import OPENERS
from crm_sync.model import RetryPolicy
from leadflow.errors import SettingError
from leadflow.settings import Environment

TIERS = 3
DELAYS, ATTEMPTS = "30,300,3600", "3,3,24"


def retry_policy(env: Environment) -> RetryPolicy:
    """LEADFLOW_CRM_RETRY_DELAYS: seconds a record waits in each retry topic, rising.
    LEADFLOW_CRM_RETRY_ATTEMPTS: failures that lead to each. LEADFLOW_CRM_RETRY_JITTER: the share
    of a delay that is added to it at most.

    Each may be given for a provider alone, such as LEADFLOW_CRM_RETRY_ATTEMPTS_HUBSPOT. Raises
    SettingError.
    """
    policy = _policy(env, "", DELAYS, ATTEMPTS, "0.1")
    given = [env.text(f"CRM_RETRY_{name}", "") for name in ("DELAYS", "ATTEMPTS", "JITTER")]
    own = {
        provider: _policy(
            env, f"_{provider.upper()}", given[0] or DELAYS, given[1] or ATTEMPTS, given[2] or "0.1"
        )
        for provider in OPENERS
    }
    return replace(policy, by_provider={name: each for name, each in own.items() if each != policy})


def _policy(env: Environment, of: str, delays: str, attempts: str, jitter: str) -> RetryPolicy:
    delay = _numbers(env, f"CRM_RETRY_DELAYS{of}", delays)
    counts = _numbers(env, f"CRM_RETRY_ATTEMPTS{of}", attempts)
    share = env.number(f"CRM_RETRY_JITTER{of}", float(jitter))
    if any(later < earlier for earlier, later in pairwise(delay)):
        raise SettingError(f"LEADFLOW_CRM_RETRY_DELAYS{of} takes delays that do not fall")
    if any(count < 1 or count % 1 for count in counts):
        raise SettingError(f"LEADFLOW_CRM_RETRY_ATTEMPTS{of} takes whole numbers of 1 or more")
    if not 0 <= share <= 1:
        raise SettingError(f"LEADFLOW_CRM_RETRY_JITTER{of} takes a share from 0 to 1")
    return RetryPolicy(
        tuple(timedelta(seconds=seconds) for seconds in delay),
        tuple(int(count) for count in counts),
        patience=timedelta(seconds=min(1.0, delay[0])),
        jitter=share,
    )


def _numbers(env: Environment, name: str, default: str) -> tuple[float, ...]:
    given = env.text(name, default)
    try:
        numbers = tuple(float(part) for part in given.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != TIERS or any(number < 0 for number in numbers):
        raise SettingError(f"LEADFLOW_{name} takes three numbers such as {default}")
    return numbers
