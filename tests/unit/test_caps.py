"""The dispatcher's cap counts what the sequencer's counts."""

from __future__ import annotations

from dispatcher import caps
from sequencer.decide import timing


def test_both_count_what_goes_to_the_lead() -> None:
    assert caps.TO_THE_LEAD == timing.TO_THE_LEAD
