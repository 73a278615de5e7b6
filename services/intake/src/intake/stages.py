"""Stages of a pipeline and the explicit list of ways between them (seed 004, "Transitions are
explicit, not implicit")."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from leadflow.tenants import DEFAULT_PIPELINE

LOST = "lost"
DORMANT = "dormant"
WHOLESALE_PIPELINE = (
    "new",
    "contacted",
    "offer-sent",
    "under-contract",
    "assigned",
    "lost",
    "dormant",
)

Transitions = Mapping[str, tuple[str, ...]]

DEFAULT: Transitions = {
    "new": ("contacted", "qualified", "lost", "dormant"),
    "contacted": ("qualified", "proposal-sent", "lost", "dormant"),
    "qualified": ("contacted", "proposal-sent", "won", "lost", "dormant"),
    "proposal-sent": ("qualified", "won", "lost", "dormant"),
    "won": (),
    "lost": ("contacted", "dormant"),
    "dormant": ("contacted", "qualified", "lost"),
}
WHOLESALE: Transitions = {
    "new": ("contacted", "lost", "dormant"),
    "contacted": ("offer-sent", "lost", "dormant"),
    "offer-sent": ("contacted", "under-contract", "lost", "dormant"),
    "under-contract": ("offer-sent", "assigned", "lost"),
    "assigned": (),
    "lost": ("contacted", "dormant"),
    "dormant": ("contacted", "offer-sent", "lost"),
}


def named(given: str | None) -> str:
    """A stage as pipelines write it: `Proposal sent` → `proposal-sent`; empty where none is
    given."""
    return "-".join((given or "").lower().replace("_", " ").split())


def allowed(pipeline: tuple[str, ...], stage: str, to: str) -> bool:
    """Whether a lead of this pipeline may go from `stage` to `to`."""
    return to in transitions(pipeline).get(stage, ())


@lru_cache(maxsize=256)
def transitions(pipeline: tuple[str, ...]) -> Transitions:
    """The two presets have lists of their own; in another pipeline a lead goes one stage on or
    back, to lost or dormant from anywhere before the last stage, and from those to the second."""
    if pipeline == DEFAULT_PIPELINE:
        return DEFAULT
    if pipeline == WHOLESALE_PIPELINE:
        return WHOLESALE
    ways = tuple(stage for stage in pipeline if stage not in (LOST, DORMANT))
    ends = tuple(stage for stage in (LOST, DORMANT) if stage in pipeline)
    found: dict[str, tuple[str, ...]] = {}
    for index, stage in enumerate(ways[:-1]):
        back = ways[index - 1 : index] if index > 1 else ()
        found[stage] = (*back, ways[index + 1], *ends)
    for end in ends:
        found[end] = (*ways[1:2], *(other for other in ends if other != end))
    return found
