"""A portal process of its own, and a story told to it: leads on their way through a sequence.

The records are what the other services would produce; each test module has tenants of its
own, so topics that others write to as well disturb nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import confluent_kafka
import httpx
import pytest
from playwright.sync_api import Browser

from leadflow import ids, records
from leadflow.codec import Codec
from leadflow.database import role_url
from leadflow.tenants import Tenant
from portal_api import library
from portal_api.auth import Role
from portal_api.store import credentials
from portal_api.store.connection import engine

from .browsing import launched

DEADLINE_SECONDS = 60.0
PEOPLE = (
    ("Maria", "Okafor", "412 Maple Street"), ("James", "Whitlock", "9 Harbor Lane"),
    ("Priya", "Nair", "1180 Sunset Blvd"), ("Daniel", "Reyes", "77 Pecan Grove"),
    ("Hannah", "Lindqvist", "23 Birch Court"), ("Omar", "Haddad", "640 Ridge Road"),
    ("Grace", "Delacroix", "5 Mill Pond Way"), ("Tomas", "Novak", "318 Canyon Drive"),
    ("Aisha", "Bello", "2204 Elm Avenue"), ("Peter", "Lang", "61 Stone Bridge Rd"),
    ("Lucia", "Moretti", "14 Vine Street"), ("Noah", "Feldman", "902 Prairie View"),
)  # fmt: skip


@dataclass
class Story:
    """Records about one tenant, ready to produce; `at` is the present of the story."""

    tenant: Tenant
    at: datetime
    codec: Codec = field(default_factory=Codec)
    out: list[tuple[str, str, bytes, datetime]] = field(default_factory=list)
    sequences: dict[str, records.SequencePublished] = field(default_factory=dict)
    summaries: dict[str, records.SummaryCreated] = field(default_factory=dict)
    leads: list[str] = field(default_factory=list)

    def add(self, topic: str, key: str, record: Any) -> None:
        # A raw event reaches the broker when it happens: the response time starts there.
        at = record.occurred_at if topic == "raw-events" else datetime.now(UTC)
        self.out.append((topic, key, self.codec.encode(record), at))

    def publish_library(self) -> None:
        entries, templates = library.load(library.default_folder())
        for entry in entries:
            sequence = library.sequence_of(entry, templates, self.tenant, self.at)
            self.sequences[entry["sequence_id"]] = sequence
            key = f"{sequence.sequence_id}:{sequence.version}"
            self.add("sequence-definitions", key, sequence)

    def lead(self, number: int, age: timedelta, *, temperature: str = "warm") -> str:
        """A lead that came in `age` ago: raw event, profile, score and a drafted summary."""
        first, last, street = PEOPLE[number % len(PEOPLE)]
        source, external_id = "website-form", f"form-{number}"
        lead_id = ids.lead_id(self.tenant.tenant_id, source, external_id)
        self.leads.append(lead_id)
        then, cause = self.at - age, f"{self.tenant.tenant_id}-raw-{number}"
        raw = records.RawEvent(
            event_id=cause,
            tenant_id=self.tenant.tenant_id,
            occurred_at=then,
            recorded_at=then,
            source=source,
            kind="lead",
            external_id=external_id,
            payload=json.dumps({"name": f"{first} {last}"}),
        )
        self.add("raw-events", f"{self.tenant.tenant_id}:{source}:{external_id}", raw)
        about = self.about(lead_id, then, "created", source=source)
        self.add(
            "lead-events",
            lead_id,
            records.LeadCreated(
                **about,
                cause_id=cause,
                revision=1,
                external_id=external_id,
                status="active",
                first_name=first,
                last_name=last,
                email=f"{first}.{last}.{number}@example.com".lower(),
                phone=f"+1512555{number % 10000:04d}",
                address=records.Address(street=street, city="Austin", region="TX"),
                service="roof repair",
                urgency="normal",
                timezone="America/Chicago",
                timezone_from="phone",
                consent=(records.ConsentGrant(channel="email", granted=True, basis="web form"),),
                stage="new",
                received=json.dumps({"name": f"{first} {last}"}),
                extra="{}",
            ),
        )
        self.add(
            "lead-events",
            lead_id,
            records.LeadQualified(
                **self.about(lead_id, then, "qualified"),
                cause_id=cause,
                fit=72,
                intent=64,
                temperature=temperature,
                reasons=(records.Reason(rule="service", points=20, note="asks for roof repair"),),
                next_action="call",
                decided_by="rules",
            ),
        )
        text = f"{first} {last} asks for a roof repair and wants to hear back this week."
        draft = records.SummaryCreated(
            **self.about(lead_id, then, "summary"),
            summary_id=ids.derived_id("summary", lead_id),
            project_id=self.tenant.tenant_id,
            text=text,
            text_hash=hashlib.sha256(text.encode()).hexdigest(),
            next_action="call",
            approval_state="pending",
            decided_by="rules",
            cause_id=cause,
        )
        self.summaries[lead_id] = draft
        self.add("summaries", lead_id, draft)
        return lead_id

    def walk(
        self, lead_id: str, sequence: str, age: timedelta, *, engagement: str = "", end: str = ""
    ) -> str:
        """Enroll a lead `age` ago and let every step fire that is due by now.

        `engagement` is opened, clicked or replied, of the first sent e-mail; `end` the rule
        that stopped it after its first step. Returns the enrollment's id.
        """
        published = self.sequences[sequence]
        then = self.at - age
        enrollment = ids.enrollment_id(lead_id, published.sequence_id, 1)
        run = {
            "enrollment_id": enrollment,
            "sequence_id": published.sequence_id,
            "sequence_version": published.version,
        }
        self.add(
            "enrollment-events",
            lead_id,
            records.Enrolled(
                **self.about(lead_id, then, "enrolled", enrollment),
                **run,
                entry=1,
                enrolled_by="trigger",
                trigger_event_id=f"{lead_id}-created",
            ),
        )
        for index, step in enumerate(published.steps):
            due = then + timedelta(minutes=step.delay_minutes)
            message = ids.message_id(enrollment, step.step_id)
            about = {"step_id": step.step_id, "channel": step.channel}
            scheduled = records.StepScheduled(
                **self.about(lead_id, then, "scheduled", enrollment, index),
                **run,
                **about,
                step_index=index,
                due_at=due,
            )
            self.add("enrollment-events", lead_id, scheduled)
            if due > self.at:
                break
            self.add(
                "enrollment-events",
                lead_id,
                records.StepFired(
                    **self.about(lead_id, due, "fired", enrollment, index),
                    **run,
                    **about,
                    step_index=index,
                    message_id=message,
                    due_at=due,
                ),
            )
            self.message(
                lead_id, published, step, enrollment, due, engagement if index == 0 else ""
            )
            if end:
                self.add(
                    "enrollment-events",
                    lead_id,
                    records.EnrollmentStopped(
                        **self.about(lead_id, due, "stopped", enrollment), **run, rule=end
                    ),
                )
                break
        return enrollment

    def message(
        self,
        lead_id: str,
        sequence: records.SequencePublished,
        step: records.SequenceStep,
        enrollment: str,
        due: datetime,
        engagement: str = "",
        outcome: str = "sent",
    ) -> str:
        message = ids.message_id(enrollment, step.step_id)
        where = {
            "message_id": message,
            "enrollment_id": enrollment,
            "sequence_id": sequence.sequence_id,
            "step_id": step.step_id,
            "channel": step.channel,
        }
        for_person = step.channel in ("call", "task")
        self.add(
            "messages",
            lead_id,
            records.MessageQueued(
                **self.about(lead_id, due, "queued", message),
                **where,
                attempt=1,
                recipient="dana.whitfield" if for_person else "maria@example.com",
                template_name=step.template_name,
                subject=step.subject,
                body=step.body,
                variables={"first_name": "Maria", "tenant_name": self.tenant.name},
                compliance_note="consent email: web form",
                send_state="queued",
                enrolled_at=due,
                due_at=due,
            ),
        )
        if outcome == "queued":
            return message
        if for_person:
            recorded = records.MessageRecorded(
                **self.about(lead_id, due, "recorded", message),
                **where,
                body_hash="00",
                subject="Call Maria",
                body="Call",
            )
            self.add("message-events", lead_id, recorded)
            return message
        accepted = due + timedelta(seconds=2)
        sent = records.MessageSent(
            **self.about(lead_id, accepted, "sent", message),
            **where,
            provider="email-api",
            provider_id=f"p-{message[:8]}",
            body_hash="00",
            accepted_at=accepted,
            epoch=1,
        )
        self.add("message-events", lead_id, sent)
        answered = {"opened": ("opened",), "clicked": ("opened", "clicked")}
        answered["replied"] = ("opened", "replied")
        for number, kind in enumerate(answered.get(engagement, ())):
            later = accepted + timedelta(minutes=5 * (number + 1))
            if kind == "replied":
                reply = records.ReplyReceived(
                    **self.about(lead_id, later, "reply", message),
                    cause_id=f"{lead_id}-reply",
                    channel="email",
                    text="Yes please",
                    automatic=False,
                )
                self.add("lead-events", lead_id, reply)
                continue
            record = records.MessageOpened if kind == "opened" else records.MessageClicked
            callback = {"cause_id": f"{message}-{kind}", "provider": "email-api"}
            self.add(
                "message-events",
                lead_id,
                record(
                    **self.about(lead_id, later, kind, message),
                    **where,
                    **callback,
                    automated=False,
                ),
            )
        return message

    def stage(self, lead_id: str, before: str, after: str, ago: timedelta, revision: int) -> None:
        moved = records.StageChanged(
            **self.about(lead_id, self.at - ago, "stage", after),
            cause_id=f"{lead_id}-{after}",
            revision=revision,
            from_stage=before,
            to_stage=after,
        )
        self.add("lead-events", lead_id, moved)

    def about(
        self, lead_id: str, at: datetime, *what: str | int, source: str = "test"
    ) -> dict[str, Any]:
        return {
            "event_id": ids.derived_id(lead_id, *what),
            "tenant_id": self.tenant.tenant_id,
            "occurred_at": at,
            "recorded_at": at,
            "source": source,
            "lead_id": lead_id,
            "owner": "dana.whitfield",
        }

    def tell(self, bootstrap: str) -> None:
        """Produce everything that was added since the last time; return once it is written."""
        produce(bootstrap, self.out)
        self.out = []


def produce(bootstrap: str, out: list[tuple[str, str, bytes, datetime]]) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "acks": "all"}
    )
    refused: list[Any] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            refused.append(error)

    for topic, key, value, at in out:
        stamp = int(at.timestamp() * 1000)
        producer.produce(topic, value, key=key.encode(), timestamp=stamp, on_delivery=delivered)
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not refused


def eventually(holds: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """The first true answer of `holds`; fails after `seconds`, saying what was waited for."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        if answer := holds():
            return answer
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s: {what}"
        pause.wait(0.05)


@dataclass
class Portal:
    """A running `python -m portal_api`, and keys to it."""

    url: str
    bootstrap: str
    database_url: str
    client_database_url: str
    tenants: tuple[Tenant, Tenant]
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path
    keys: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Again, after it was killed; returns once it is ready."""
        self.process = launch(self.environment, self.log)
        eventually(self.ready, "the portal to be ready")

    def grant(self, command: str, role: str, tenant: str = "", subject: str = "") -> str:
        """What `python -m portal_api token|ticket` prints."""
        arguments = [sys.executable, "-m", "portal_api", command, "--role", role]
        if tenant:
            arguments += ["--tenant", tenant]
        if subject:
            arguments += ["--subject", subject]
        done = subprocess.run(
            arguments, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def client(self, role: str, tenant: str = "", subject: str = "") -> httpx.Client:
        who = (role, tenant, subject)
        if who not in self.keys:
            # On a thread: the browser's driver has an event loop of its own on this one.
            with ThreadPoolExecutor(1) as thread:
                self.keys[who] = thread.submit(asyncio.run, self._key(*who)).result()
        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {self.keys[who]}"},
            timeout=30,
        )

    async def _key(self, role: str, tenant: str, subject: str) -> str:
        database = engine(self.database_url, pool_size=1)
        try:
            async with database.begin() as connection:
                return await credentials.create_key(
                    connection, Role(role), tenant or None, subject or role, datetime.now(UTC)
                )
        finally:
            await database.dispose()

    def read(self, topic: str, key: str, wanted: int = 1) -> list[Any]:
        """The records of a topic with this key, once there are `wanted`."""
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"test-{uuid4()}",
                "auto.offset.reset": "earliest",
            }
        )
        codec, found = Codec(), []
        consumer.subscribe([topic])
        deadline = time.monotonic() + DEADLINE_SECONDS
        try:
            while len(found) < wanted:
                assert time.monotonic() < deadline, f"{len(found)} of {wanted} in {topic}"
                message = consumer.poll(0.5)
                if message is not None and not message.error() and message.key() == key.encode():
                    found.append(codec.decode(message.value()))
        finally:
            consumer.close()
        return found

    def story(self, number: int = 0) -> Story:
        """A new story of one of the tenants, in the present."""
        return Story(self.tenants[number], datetime.now(UTC).replace(microsecond=0))


@pytest.fixture(scope="module")
def portal(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Portal]:
    folder = tmp_path_factory.mktemp("portal")
    mark = uuid4().hex[:8]
    tenants = (
        Tenant(tenant_id=f"acme-{mark}", name="Acme Roofing"),
        Tenant(tenant_id=f"north-{mark}", name="North Dental"),
    )
    tenants_file = folder / "tenants.toml"
    tenants_file.write_text(
        "\n".join(
            f'[tenants.{each.tenant_id}]\nname = "{each.name}"\n'
            'postal_address = "400 Congress Ave, Austin, TX 78701"\n'
            'test_recipients = ["tests@acme.example"]\n'
            for each in tenants
        )
    )
    port = free_port()
    environment = {
        **os.environ,
        "LEADFLOW_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "LEADFLOW_DATABASE_URL": role_url(admin_url, "portal", secret),
        "LEADFLOW_SECRET": secret,
        "LEADFLOW_LINK_SECRET": "only for tests",
        "LEADFLOW_PORTAL_PORT": str(port),
        "LEADFLOW_TENANTS_FILE": str(tenants_file),
        "LEADFLOW_GROUP": f"portal-api-{mark}",
        "LEADFLOW_INCIDENT_SECONDS": "1",
    }
    log = folder / "log"
    url = f"http://127.0.0.1:{port}"
    made = Portal(
        url=url,
        bootstrap=kafka_bootstrap,
        database_url=environment["LEADFLOW_DATABASE_URL"],
        client_database_url=role_url(admin_url, "portal_client", secret),
        tenants=tenants,
        environment=environment,
        process=launch(environment, log),
        log=log,
    )
    try:
        eventually(made.ready, "the portal to be ready")
        yield made
    finally:
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(15) == 0, log.read_text()


def launch(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "portal_api"], env=environment, stdout=output, stderr=output
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    return eventually


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser
