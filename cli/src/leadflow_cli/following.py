"""Raw events sent through a running leadflow and followed until all is accounted for.

The same for `leadflow demo`, which starts the leadflow first, and `leadflow follow`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from leadflow_cli.accounts import READS, Accounts
from leadflow_cli.errors import CliError
from leadflow_cli.groups import WORK, Groups, behind
from leadflow_cli.portal_client import PortalClient
from leadflow_cli.reading import Reader

LOOK_EVERY_SECONDS = 0.5
STILL_SECONDS = 60.0
DEADLINE_SECONDS = 600.0

Pause = Callable[[float], None]  # waits so many seconds; raises when somebody wants the end
Show = Callable[[Mapping[str, Any], list[str]], None]  # the portal's totals, what is missing


@dataclass(frozen=True)
class Look:
    """What was seen at one moment: where the topics end, and what is missing yet."""

    ends: Mapping[Any, tuple[int, int]]
    missing: list[str]


class Follower:
    """Follows everything that happens from its making on."""

    def __init__(
        self, reader: Reader, groups: Groups, portal: PortalClient, *, pause: Pause, show: Show
    ) -> None:
        self.accounts = Accounts()
        self.totals: dict[str, Any] = portal.pipeline()
        # Only of a new installation are the totals those of what was followed.
        self.from_the_start = self.totals["received"] == 0
        self._reader = reader
        self._groups = groups
        self._portal = portal
        self._pause = pause
        self._show = show
        self._places = [place for topic in WORK for place in reader.partitions(topic.name)]
        read = {topic.name for topic in READS}
        ends = reader.ends(place for place in self._places if place.topic in read)
        reader.follow({place: end for place, (_, end) in ends.items()})

    def settle(self) -> None:
        """Return once all that was sent is accounted for and nothing moves any more.

        That is: no raw event, due step or queued message is without its end, every service has
        worked off its topics, and both still holds a moment later with nothing new on any topic.
        Raises CliError that says what is missing when nothing moved for STILL_SECONDS, or after
        DEADLINE_SECONDS.
        """
        began = moved = time.monotonic()
        before = None
        while True:
            look = self._look()
            self._show(self.totals, look.missing)
            if before is not None and look == before and not look.missing:
                return
            now = time.monotonic()
            if before is None or look != before:
                moved = now
            before = look
            if now - moved > STILL_SECONDS:
                raise CliError(_unfinished(f"nothing moved for {STILL_SECONDS:.0f} s", look))
            if now - began > DEADLINE_SECONDS:
                raise CliError(_unfinished(f"{DEADLINE_SECONDS:.0f} s are over", look))
            self._pause(LOOK_EVERY_SECONDS)

    def _look(self) -> Look:
        # Where the topics end is asked first and what was committed last: a service that has
        # committed has written its effects, and the next look sees a later end.
        ends = self._reader.ends(self._places)
        while messages := self._reader.poll(0.05):
            for message in messages:
                self.accounts.apply(message)
        missing = self.accounts.missing(datetime.now(UTC))
        try:
            self.totals = self._portal.pipeline()
        except CliError as error:
            missing.append(str(error))  # it may be starting again
        else:
            missing += self._portal_lacks()
        missing += map(str, behind(self._groups.committed(), ends))
        return Look(ends, missing)

    def _portal_lacks(self) -> list[str]:
        if not self.from_the_start:
            return []
        own = self.accounts.counts()
        return [
            f"the portal counts {self.totals[name]} {name}, the topics {own[name]}"
            for name in own
            if self.totals[name] != own[name]
        ]


def _unfinished(why: str, look: Look) -> str:
    missing = "; ".join(look.missing) or "the topics still grow"
    return f"not everything came to its end, and {why}. Missing: {missing}"
