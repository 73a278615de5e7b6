"""What the demo's files are known to come to (demo/expected.json), held against what was seen.

Pure. The file was counted by hand from the rules, not by the services.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadflow_cli.accounts import FATES
from leadflow_cli.errors import CliError


@dataclass(frozen=True, slots=True)
class Expected:
    """Several files sent one after the other. `same_person` lists event ids of which exactly
    one is normalized and the others are merged, whichever came first."""

    received: int
    counts: Mapping[str, int]
    events: Mapping[str, str]
    same_person: Sequence[Sequence[str]]
    active_leads: int

    @classmethod
    def of(cls, document: Mapping[str, Any], names: Sequence[str]) -> Expected | None:
        """What these files come to together; None when one of them is not in the document."""
        if not names or any(name not in document for name in names):
            return None
        parts = [document[name] for name in names]
        return cls(
            received=sum(part["received"] for part in parts),
            counts={fate: sum(part["counts"][fate] for part in parts) for fate in FATES},
            events={event: fate for part in parts for event, fate in part["events"].items()},
            same_person=[group for part in parts for group in part["same_person"]],
            active_leads=sum(parts[-1]["active_leads_after"].values()),
        )

    @classmethod
    def read(cls, files: Sequence[Path]) -> Expected | None:
        """From expected.json beside the files; None where that says nothing about them."""
        path = files[0].parent / "expected.json"
        if any(file.parent != files[0].parent for file in files) or not path.is_file():
            return None
        try:
            return cls.of(json.loads(path.read_text()), [file.name for file in files])
        except (ValueError, KeyError, TypeError) as error:
            raise CliError(f"{path} cannot be read: {type(error).__name__}") from error

    def differences(self, fates: Mapping[str, str]) -> list[str]:
        """A sentence for each thing that came otherwise; `fates` is by event id."""
        found = []
        seen = Counter(fates.values())
        if len(fates) != self.received:
            found.append(f"{len(fates)} raw events were received, {self.received} are in the files")
        for fate in FATES:
            if seen[fate] != self.counts[fate]:
                found.append(f"{seen[fate]} are {fate}, {self.counts[fate]} should be")
        grouped = {event for group in self.same_person for event in group}
        for event, fate in self.events.items():
            # What could not be read has no event id to be found by: it is counted above.
            if event not in grouped and fates.get(event, fate) != fate:
                found.append(f"{event} is {fates[event]}, and should be {fate}")
        for group in self.same_person:
            came = Counter(fates.get(event, "missing") for event in group)
            if came != Counter(normalized=1, merged=len(group) - 1):
                found.append(
                    f"of {', '.join(group)} one should be normalized and the others merged: "
                    + ", ".join(f"{count} {fate}" for fate, count in sorted(came.items()))
                )
        return found
