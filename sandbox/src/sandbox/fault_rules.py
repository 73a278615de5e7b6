"""A fault rule as it is written: its fields, their limits, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

from sandbox.errors import Malformed
from sandbox.providers import CHANNELS

Mode: TypeAlias = Literal["fail", "stall", "drop_after_accept", "reject", "rate_limit"]

MODES: tuple[str, ...] = get_args(Mode)
CRMS = ("crm", "hubspot", "followupboss", "webhook-crm")
TARGETS = (*CHANNELS, *CRMS, "providers", "*")
MAX_STALL_SECONDS = 3600
_FIELDS = {
    "target",
    "mode",
    "status",
    "rate",
    "times",
    "match",
    "retry_after_seconds",
    "stall_seconds",
    "seed",
}


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """`providers` means the four HTTP channels, `*` every target there is.

    `rate` is the share of fitting requests that are hit, `times` ends the rule after so many
    hits, `match_to` is a part of a recipient or external id, `match_says` of what is written
    into the CRM. Seconds are of real time.
    """

    target: str
    mode: Mode
    status: int | None = None
    rate: float = 1.0
    times: int | None = None
    match_to: str | None = None
    match_says: str | None = None
    retry_after_seconds: int | None = None
    stall_seconds: float = 30.0
    seed: int = 0

    @property
    def is_for_some(self) -> bool:
        """Whether it is asked about each item of a batch, not about the batch."""
        return self.match_to is not None or self.match_says is not None

    def view(self) -> dict[str, Any]:
        """The rule as JSON, in the form it is written in; without what is not set."""
        shown: dict[str, Any] = {
            "target": self.target,
            "mode": self.mode,
            "status": self.status,
            "rate": self.rate,
            "times": self.times,
            "match": self._match() or None,
            "retry_after_seconds": self.retry_after_seconds,
            "stall_seconds": self.stall_seconds if self.mode == "stall" else None,
            "seed": self.seed,
        }
        return {name: value for name, value in shown.items() if value is not None}

    def _match(self) -> dict[str, str]:
        parts = {"to": self.match_to, "says": self.match_says}
        return {name: part for name, part in parts.items() if part is not None}


def parse_rule(raw: Any) -> RuleSpec:
    """Read a rule; raises Malformed with one sentence for each field that is wrong."""
    if not isinstance(raw, dict):
        raise Malformed("a fault rule must be a JSON object")
    reader = _Reader({name: value for name, value in raw.items() if value is not None})
    reader.refuse_unknown()
    match = reader.match()
    spec = RuleSpec(
        target=reader.choice("target", TARGETS),
        mode=cast(Mode, reader.choice("mode", MODES)),
        status=reader.integer("status", 400, 599),
        rate=reader.number("rate", 0, 1, default=1.0),
        times=reader.integer("times", 1, None),
        match_to=match.get("to"),
        match_says=match.get("says"),
        retry_after_seconds=reader.integer("retry_after_seconds", 0, None),
        stall_seconds=reader.number("stall_seconds", 0, MAX_STALL_SECONDS, default=30.0),
        seed=reader.integer("seed", None, None) or 0,
    )
    reader.refuse_misplaced("status", spec.mode, ("fail", "reject", "rate_limit"))
    reader.refuse_misplaced("retry_after_seconds", spec.mode, ("fail", "reject", "rate_limit"))
    reader.refuse_misplaced("stall_seconds", spec.mode, ("stall",))
    if reader.errors:
        raise Malformed("the fault rule is wrong: " + "; ".join(reader.errors), reader.errors)
    return spec


class _Reader:
    """Reads fields and collects what is wrong, so that one answer names all of it."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self.errors: list[str] = []

    def refuse_unknown(self) -> None:
        for name in sorted(self._raw.keys() - _FIELDS):
            self.errors.append(f"`{name}` is not a field of a fault rule")

    def refuse_misplaced(self, name: str, mode: str, modes: tuple[str, ...]) -> None:
        if name in self._raw and mode in MODES and mode not in modes:
            self.errors.append(f"`{name}` goes with mode {' or '.join(modes)}, not {mode}")

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self._raw.get(name)
        if isinstance(value, str) and value in allowed:
            return value
        self.errors.append(f"`{name}` must be one of {', '.join(allowed)}")
        return ""

    def integer(self, name: str, least: int | None, most: int | None) -> int | None:
        value = self._raw.get(name)
        if value is None:
            return None
        fits = isinstance(value, int) and not isinstance(value, bool)
        if fits and (least is None or value >= least) and (most is None or value <= most):
            return cast(int, value)
        self.errors.append(f"`{name}` must be a whole number{_limits(least, most)}")
        return None

    def number(self, name: str, least: float, most: float, default: float) -> float:
        value = self._raw.get(name, default)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if fits and least <= value <= most:
            return float(value)
        self.errors.append(f"`{name}` must be a number{_limits(least, most)}")
        return default

    def match(self) -> dict[str, str]:
        value = self._raw.get("match")
        if value is None:
            return {}
        if (
            isinstance(value, dict)
            and value
            and value.keys() <= {"to", "says"}
            and all(isinstance(part, str) and part for part in value.values())
        ):
            return value
        self.errors.append(
            '`match` must be {"to": a part of the recipient or external id,'
            ' "says": a part of what is written into the CRM}, or one of them'
        )
        return {}


def _limits(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return "" if least is None else f" of at least {least}"
