"""People at the portal: what they ask for, until they are answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from leadflow.records import EnrollRequested

from .durable import Durable
from .portal import Asked, Portal, mail_of
from .portal_tables import TAKEN_OVER_AFTER
from .sequences import NURTURE, WELCOME, Features
from .story import CODEC, COMMANDS, RAW_EVENTS, Happening

PATIENCE = int(TAKEN_OVER_AFTER.total_seconds())
COMMAND_KINDS = {
    "EnrollRequested": "enroll",
    "EnrollmentPauseRequested": "pause",
    "EnrollmentResumeRequested": "resume",
    "EnrollmentStopRequested": "leave",
    "EnrollmentMigrateRequested": "migrate",
}
MOST_JOBS = 2


class People:
    """Where the portal takes part, what the story has for its topics goes through it."""

    portal: Portal

    def __init__(
        self,
        rng: Random,
        durable: Durable,
        features: Features,
        who: Callable[[str], str | None],
    ) -> None:
        self._rng = rng
        self._who = who
        self._durable = durable
        self._features = features
        self.asked: list[Asked] = []
        self.jobs = 0

    def takes(self, happening: Happening) -> bool:
        """Ask the portal for it, if that is who is asked."""
        if not self._features.portal:
            return False
        asked = self._mail(happening) if happening.topic == RAW_EVENTS else self._command(happening)
        if asked is None:
            return False
        self._durable.note("asks for", happening.name)
        self.asked.append(asked)
        self.portal.ask(asked)
        return True

    def _command(self, happening: Happening) -> Asked | None:
        if happening.topic != COMMANDS:
            return None
        record: Any = CODEC.decode(happening.value)
        what = COMMAND_KINDS.get(record.TYPE)
        if what is None:
            return None
        fields: dict[str, Any] = {}
        if not isinstance(record, EnrollRequested):
            fields["enrollment_id"] = record.enrollment_id
            fields["to_version"] = getattr(record, "to_version", None)
        return Asked(happening.name, what, record.lead_id, fields)

    def _mail(self, happening: Happening) -> Asked | None:
        raw = json.loads(happening.value)
        payload = raw["payload"]
        if raw["kind"] == "opt_out":
            lead = self._who(payload["email"])
            return None if lead is None else Asked(happening.name, "unsubscribe", lead)
        if raw["kind"] != "reply" or payload["headers"]:
            return None
        data = mail_of(payload["from"], happening.name)
        return Asked(happening.name, "mail", "", {"data": data})

    def ask_again(self) -> None:
        """Whoever was not answered, and somebody who was."""
        for asked in self.asked:
            if asked.final is None or self._rng.random() < 0.1:
                self.portal.ask(asked)

    def start_job(self) -> None:
        """Over everybody, or over what runs in a sequence, as it is shown."""
        if self.jobs >= MOST_JOBS:
            return
        action = self._rng.choice(("enroll", "stop", "pause"))
        name = self._rng.choice((WELCOME, NURTURE))
        rows = self.portal.leads() if action == "enroll" else self.portal.live(name)
        if rows:
            self.jobs += 1
            self._durable.note("starts a job:", action, len(rows))
            self.portal.start_job(self.jobs, action, rows)

    def began_anew(self, portal: Portal) -> None:
        """Another process serves; what was under way is not."""
        self.portal = portal
        for asked in self.asked:
            asked.under_way = False
