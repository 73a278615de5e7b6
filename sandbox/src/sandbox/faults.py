"""Rules that make the sandbox fail on request, the same way on each run.

Rules are asked in the order they were added; the first that hits decides alone. A choice
by rate draws from a generator seeded by the rule, so the same traffic meets the same faults.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.errors import Injected, Unknown
from sandbox.fault_rules import Mode, RuleSpec, parse_rule
from sandbox.providers import HTTP_CHANNELS


@dataclass(slots=True)
class Rule:
    """A rule with what it did so far: `seen` requests that fit it, `hits` that it made fail."""

    id: str
    spec: RuleSpec
    rng: random.Random
    seen: int = 0
    hits: int = 0

    @property
    def ended(self) -> bool:
        return self.spec.times is not None and self.hits >= self.spec.times

    def covers(self, target: str) -> bool:
        wanted = self.spec.target
        return wanted in ("*", target) or (wanted == "providers" and target in HTTP_CHANNELS)

    def matches(self, names: Iterable[str], said: bytes) -> bool:
        to, says = self.spec.match_to, self.spec.match_says
        return (to is None or any(to in name for name in names)) and (
            says is None or says.encode() in said
        )

    def draw(self) -> bool:
        """Whether the rule hits the request that it fits; uses up one of its `times`."""
        self.seen += 1
        if self.rng.random() >= self.spec.rate:
            return False
        self.hits += 1
        return True

    def view(self) -> dict[str, Any]:
        """The rule as GET /faults shows it."""
        counts = {"seen": self.seen, "hits": self.hits, "ended": self.ended}
        return {"id": self.id, **self.spec.view(), **counts}


@dataclass(slots=True)
class Faults:
    """The rules of one run."""

    _rules: dict[str, Rule] = field(default_factory=dict)
    _added: int = 0

    def add(self, raw: Any) -> str:
        """Add a rule from its JSON; returns its id. Raises Malformed, naming each wrong field."""
        spec = parse_rule(raw)
        self._added += 1
        rule = Rule(f"fault-{self._added}", spec, random.Random(spec.seed))
        self._rules[rule.id] = rule
        return rule.id

    def remove(self, rule_id: str) -> None:
        if self._rules.pop(rule_id, None) is None:
            raise Unknown(f"there is no fault {rule_id!r}")

    def clear(self) -> None:
        self._rules.clear()

    def view(self) -> list[dict[str, Any]]:
        return [rule.view() for rule in self._rules.values()]

    def pick(self, target: str, names: Iterable[str], said: bytes = b"") -> RuleSpec | None:
        """The rule that hits a single request for these recipients (or this external id).

        `said` is what it writes into the CRM; rules that ask for it hit nothing else.
        """
        if not self._rules:
            return None
        return self._pick(target, lambda rule: rule.matches(names, said))

    def pick_batch(self, target: str) -> RuleSpec | None:
        """The rule that hits a batch as a whole: one without `match`."""
        return self._pick(target, lambda rule: not rule.spec.is_for_some)

    def pick_item(self, target: str, names: Iterable[str], said: bytes = b"") -> RuleSpec | None:
        """The rule that hits one item of a batch: one with `match`."""
        return self._pick(target, lambda rule: rule.spec.is_for_some and rule.matches(names, said))

    def _pick(self, target: str, fits: Callable[[Rule], bool]) -> RuleSpec | None:
        for rule in self._rules.values():
            if not rule.ended and rule.covers(target) and fits(rule) and rule.draw():
                return rule.spec
        return None


_REFUSALS: dict[Mode, tuple[int, Literal["failed", "rejected", "limited"]]] = {
    "fail": (500, "failed"),
    "reject": (422, "rejected"),
    "rate_limit": (429, "limited"),
}


def refusal(spec: RuleSpec) -> Injected | None:
    """The refusal that a hit rule stands for; None where it stalls or drops instead."""
    if spec.mode not in _REFUSALS:
        return None
    default_status, word = _REFUSALS[spec.mode]
    retry_after = spec.retry_after_seconds
    if spec.mode == "rate_limit" and retry_after is None:
        retry_after = 1
    return Injected(spec.status or default_status, f"{word} by a fault rule", retry_after)
