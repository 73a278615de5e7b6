"""The portal's own code over a fake database: what the log says becomes rows, what people ask for
becomes records, and whoever was answered can rely on it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import Request as HttpRequest

from leadflow import ids, topics
from leadflow.errors import BrokerError
from leadflow.health import Health
from leadflow.kafka.dead_letters import DeadLetters
from portal_api import commands
from portal_api.api import inbound, unsubscribe
from portal_api.bulk.decide import asking
from portal_api.bulk.decide.commands import event_id as bulk_event_id
from portal_api.bulk.model import LIVE
from portal_api.bulk.runner import BulkRunner
from portal_api.context import Context
from portal_api.decode import decoder
from portal_api.live import Broadcaster
from portal_api.once import Done, Write, once
from portal_api.problems import Problem
from portal_api.projections.handler import Projection
from portal_api.projections.tables import ENROLLMENTS, LEADS

from .batches import Reader
from .durable import Durable, LogProducer, Process
from .ledger import WRITER
from .portal_tables import Database, Jobs, Keys, PortalTables
from .sequences import NURTURE, TENANT
from .story import CODEC, COMMANDS, LEAD_EVENTS, MESSAGE_EVENTS, MESSAGES, RAW_EVENTS

GROUP = "portal-api"
PROJECTED = [
    LEAD_EVENTS,
    COMMANDS,
    MESSAGES,
    MESSAGE_EVENTS,
    RAW_EVENTS,
    topics.ENROLLMENT_EVENTS.name,
    "intake-dlq",
]
GONE = 404
IN_VAIN = 409


@dataclass(eq=False)
class Asked:
    """What somebody asks of the portal, again and again with the same key until it is answered.

    `what` is a command, `mail`, or `unsubscribe`; `heard` are the answers that arrived.
    """

    key: str
    what: str
    lead: str
    fields: dict[str, Any] = field(default_factory=dict)
    heard: list[tuple[int, Any]] = field(default_factory=list)
    under_way: bool = False

    @property
    def final(self) -> tuple[int, Any] | None:
        """The first answer after which nobody asks again."""
        over = (200, 202, GONE, 422)
        return next(
            (
                each
                for each in self.heard
                if each[0] in over or (each[0] == IN_VAIN and each[1] != "under way")
            ),
            None,
        )


class _Runner(BulkRunner):
    jobs: Any = Jobs()
    answers: Any = jobs


class Portal:
    """One life of the process."""

    def __init__(
        self, durable: Durable, tables: PortalTables, projection: type[Projection] = Projection
    ) -> None:
        self.process = Process("portal")
        self.tables = tables
        self._durable = durable
        self._database = Database(durable, self.process, tables)
        producer = LogProducer(durable, self.process)
        nothing: Any = None
        engine: Any = self._database
        self._context = Context(
            engine=engine,
            client=nothing,
            producer=producer,
            codec=CODEC,
            clock=durable.clock,
            health=Health(),
            broadcaster=Broadcaster(),
            tenants={},
            secret="only for the simulation",
            links=WRITER.links,
            stopping=asyncio.Event(),
        )
        self._runner = _Runner(self._context)
        self._keys = Keys(self._database, tables)
        self._working: set[str] = set()
        letters = DeadLetters(GROUP, producer, durable.clock)
        handler = projection(self._database, self._context.broadcaster)
        read = decoder(CODEC)
        self.readers = [Reader(durable, self.process, GROUP, PROJECTED, handler, read, letters)]

    def ask(self, asked: Asked) -> None:
        """Begin to serve a request, unless it is under way."""
        if not asked.under_way:
            asked.under_way = True
            self.process.start(self._serve(asked))

    async def _serve(self, asked: Asked) -> None:
        """Answer, and let whoever asked hear of it: that may be lost as well."""
        serve = {"mail": self._mail, "unsubscribe": self._unsubscribe}.get(asked.what, self._write)
        try:
            answer = await serve(asked)
        except Problem as problem:
            said = "under way" if "under way" in problem.detail else problem.detail
            answer = problem.status, said
        except BrokerError:
            answer = 503, ""  # as `portal_api.problems` has it
        await self._durable.gate(self.process, "answers", lambda: asked.heard.append(answer))
        asked.under_way = False

    async def _write(self, asked: Asked) -> tuple[int, Any]:
        now = self._durable.clock.now()
        work = partial(self._enroll if asked.what == "enroll" else self._change, asked)
        answer = await once(self._keys, "someone", asked.key, asked.key, now, work)
        return answer.status, answer.body

    async def _enroll(self, asked: Asked, write: Write) -> Done:
        if (asked.lead,) not in self.tables.of(LEADS):
            return Done(202, {"refused": "unknown_lead"})
        command = commands.enroll(
            write, asked.lead, tenant_id=TENANT, sequence_id=NURTURE, by=asked.key, reason=None
        )
        await self._context.publish(topics.ENROLLMENT_COMMANDS, [(asked.lead, command)])
        return Done(202, {"event_id": command.event_id})

    async def _change(self, asked: Asked, write: Write) -> Done:
        row = self.tables.of(ENROLLMENTS).get((asked.fields["enrollment_id"],))
        if row is None:
            raise Problem(GONE, "There is no such enrollment.")
        action = "stop" if asked.what == "leave" else asked.what
        if (refused := asking.refusal(action, row["status"], row.get("held_by"))) is not None:
            raise Problem(IN_VAIN, refused[0])
        command, said = commands.change(
            write,
            "unsubscribe" if asked.what == "leave" else action,
            {**row, "owner": None},
            tenant_id=TENANT,
            by=asked.key,
            to_version=asked.fields.get("to_version"),
        )
        await self._context.publish(topics.ENROLLMENT_COMMANDS, [(asked.lead, command)])
        if said is not None:
            await self._context.publish_raw([said])
        return Done(202, {"event_id": command.event_id, "said": said and said.event_id})

    async def _mail(self, asked: Asked) -> tuple[int, Any]:
        return 202, await inbound.accept(self._context, TENANT, asked.fields["data"])

    async def _unsubscribe(self, asked: Asked) -> tuple[int, Any]:
        token = WRITER.links.seal("unsubscribe", TENANT, asked.lead, "email", asked.key)
        request = HttpRequest(
            {
                "type": "http",
                "method": "POST",
                "path": f"/unsubscribe/{quote(token)}",
                "headers": [],
                "query_string": b"",
            },
            _one_click,
        )
        response = await unsubscribe.act(request, self._context, token)
        return response.status_code, None

    def start_job(self, number: int, action: str, rows: list[dict[str, Any]]) -> None:
        """A bulk job over these leads or enrollments, as it is once it was started."""
        bulk_id, now = f"bulk-{number}", self._durable.clock.now()
        self.tables.jobs[bulk_id] = {
            "bulk_id": bulk_id,
            "tenant_id": TENANT,
            "sequence_id": NURTURE,
            "action": action,
            "requested_by": bulk_id,
            "reason": None,
            "from_version": None,
            "to_version": None,
            "started_at": now,
            "rate_per_minute": None,
            "state": "running",
            "finished_at": None,
        }
        self.tables.items[bulk_id] = [
            {
                "position": position,
                "lead_id": row["lead_id"],
                "owner": None,
                "enrollment_id": row.get("enrollment_id"),
                "event_id": bulk_event_id(bulk_id, row["lead_id"]),
                "state": "waiting",
            }
            for position, row in enumerate(rows)
        ]

    def live(self, sequence_id: str) -> list[dict[str, Any]]:
        """The enrollments of a sequence that run, as it is shown."""
        return [
            row
            for row in self.tables.of(ENROLLMENTS).values()
            if row["sequence_id"] == sequence_id and row.get("status") in LIVE
        ]

    def leads(self) -> list[dict[str, Any]]:
        return list(self.tables.of(LEADS).values())

    def work(self) -> None:
        """Advance every job that is not done."""
        for bulk_id, job in self.tables.jobs.items():
            if job["finished_at"] is None and bulk_id not in self._working:
                self._working.add(bulk_id)
                self.process.start(self._advance(bulk_id))

    async def _advance(self, bulk_id: str) -> None:
        with suppress(BrokerError):  # the next turn sends it again
            await self._runner.advance(bulk_id)
        self._working.discard(bulk_id)


async def _one_click() -> dict[str, Any]:
    return {"type": "http.request", "body": b"List-Unsubscribe=One-Click", "more_body": False}


def mail_of(sender: str, name: str) -> bytes:
    """A mail as a mail server received it."""
    return (
        f"From: {sender}\r\nTo: hello@acme.example\r\nSubject: Re: your roof\r\n"
        f"Message-ID: <{ids.derived_id(name)}@example.com>\r\n\r\nThanks!\r\n"
    ).encode()
