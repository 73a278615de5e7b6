"""Leaves accounts alone that do not answer, so that the leads of others do not wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_sync.crm.base import CrmSilent, CrmUnavailable
from crm_sync.work import LeadWork
from leadflow.clock import Clock

# So many batches in a row have to wait in vain before an account is left alone.
IN_VAIN = 2
# A wait in vain lasts about as long as the timeout of a call.
ABOUT = 0.9
# How long an account is left alone before it is asked, twice as long each time in vain.
FIRST_PROBE, LAST_PROBE = timedelta(seconds=5), timedelta(minutes=1)


@dataclass(slots=True)
class _Silence:
    since: datetime
    batches: int = 1
    left_alone: int = 0


class Breaker:
    """What is known of accounts that did not answer lately; each process has its own."""

    def __init__(self, clock: Clock, timeout_seconds: float) -> None:
        self._clock = clock
        self._in_vain = ABOUT * timeout_seconds
        self._silent: dict[str, _Silence] = {}

    def refusal(self, account_id: str) -> CrmSilent | None:
        """What is said in place of a call, and for how long the account has been silent; None where
        it may be called."""
        silence = self._silent.get(account_id)
        if silence is None or silence.batches < IN_VAIN:
            return None
        lasts = self._clock.now() - silence.since
        return CrmSilent(f"account {account_id} does not answer", lasts)

    def ended(self, account_id: str, works: Sequence[LeadWork], seconds: float) -> bool:
        """Take note of a batch; whether the account is left alone because of it."""
        called = [work for work in works if work.written or work.error is not None]
        if not called:
            return False
        answered = any(
            work.written or not isinstance(work.error, CrmUnavailable) for work in called
        )
        if answered or seconds < self._in_vain:
            self.answered(account_id)
            return False
        silence = self._silent.get(account_id)
        if silence is None:
            self._silent[account_id] = _Silence(self._clock.now())
            return False
        silence.batches += 1
        silence.left_alone += silence.batches == IN_VAIN
        return silence.batches == IN_VAIN

    def probe_in(self, account_id: str) -> timedelta:
        """How long an account is left alone before it is asked."""
        silence = self._silent.get(account_id)
        doublings = 0 if silence is None else min(silence.left_alone - 1, 10)
        wait: timedelta = FIRST_PROBE * 2**doublings
        return min(wait, LAST_PROBE)

    def probe_answered(self, account_id: str) -> None:
        """It may be called again. Where it answers a probe and nothing else, it is left alone
        after one more batch in vain."""
        if (silence := self._silent.get(account_id)) is not None:
            silence.batches = IN_VAIN - 1

    def answered(self, account_id: str) -> None:
        """It carries out what it is asked."""
        self._silent.pop(account_id, None)
