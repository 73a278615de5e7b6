"""intake on real Kafka and PostgreSQL: as processes, and as handlers that race and fail."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from intake.handler import IntakeHandler
from intake.store import Store
from leadflow import database, topics
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.errors import BrokerError
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message, Outgoing
from leadflow.raw_json import raw_event_from_json
from leadflow.records import AccountReplied, LeadCreated, LeadRecord, LeadUpdated, RawEvent
from leadflow.tenants import load

pytestmark = pytest.mark.integration

DEMO = Path(__file__).parents[2] / "demo"
AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DEADLINE_SECONDS = 90
WATCHED = ("lead-events", "summaries", "intake-dlq")


@dataclass
class Log:
    """What appeared on intake's topics since this was made."""

    consumer: confluent_kafka.Consumer
    codec: Codec
    records: list[LeadRecord] = field(default_factory=list)
    dead: list[tuple[bytes, dict[str, bytes]]] = field(default_factory=list)

    async def until(self, condition: Callable[[Log], bool], what: str) -> None:
        """Read on until the condition holds."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not condition(self):
                    await asyncio.to_thread(self.read)
        except TimeoutError:
            raise AssertionError(
                f"{what}: {len(self.records)} records, {len(self.dead)} dead letters"
            ) from None

    def read(self) -> None:
        for message in self.consumer.consume(1000, 0.2):
            assert message.error() is None
            if message.topic() == "intake-dlq":
                headers: Any = message.headers() or ()
                self.dead.append((message.value() or b"", dict(headers)))
            else:
                record = self.codec.decode(message.value())
                assert isinstance(record, LeadRecord)
                assert message.key() == record.lead_id.encode()
                self.records.append(record)

    def of(self, *tenants: str) -> list[Any]:
        return [record for record in self.records if record.tenant_id in tenants]

    def causes(self, *tenants: str) -> set[str]:
        return {record.cause_id for record in self.of(*tenants)}


@pytest.fixture
def log(kafka_bootstrap: str) -> Iterator[Log]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": kafka_bootstrap, "group.id": f"test-{uuid4()}", "log_level": 3}
    )
    consumer.assign(ends(consumer, WATCHED))
    yield Log(consumer, Codec())
    consumer.close()


def ends(
    consumer: confluent_kafka.Consumer, names: Sequence[str]
) -> list[confluent_kafka.TopicPartition]:
    places = []
    for name in names:
        for number in consumer.list_topics(name, 20).topics[name].partitions:
            place = confluent_kafka.TopicPartition(name, number)
            places.append(
                confluent_kafka.TopicPartition(
                    name, number, consumer.get_watermark_offsets(place, 20)[1]
                )
            )
    return places


@pytest.fixture
def group(kafka_bootstrap: str) -> str:
    """A new group that begins at the end of raw-events."""
    name = f"intake-{uuid4()}"
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": kafka_bootstrap, "group.id": name, "log_level": 3}
    )
    consumer.commit(offsets=ends(consumer, ["raw-events"]), asynchronous=False)
    consumer.close()
    return name


@pytest.fixture
def database_url(admin_url: str, secret: str) -> str:
    return database.role_url(admin_url, "intake", secret)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = database.engine(database_url)
    yield made
    await made.dispose()


@pytest.fixture
async def producer(kafka_bootstrap: str) -> AsyncIterator[ConfluentProducer]:
    made = ConfluentProducer(kafka_bootstrap, "test-intake")
    yield made
    await made.close()


Start = Callable[[], Any]


@pytest.fixture
def worker(kafka_bootstrap: str, database_url: str, group: str) -> Start:
    """`async with worker() as process`: one `python -m intake`, ended at the end."""

    @asynccontextmanager
    async def start() -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "intake",
            env={
                **os.environ,
                "LEADFLOW_KAFKA_BOOTSTRAP": kafka_bootstrap,
                "LEADFLOW_DATABASE_URL": database_url,
                "LEADFLOW_GROUP": group,
                "LEADFLOW_HEALTH_PORT": "0",
                "LEADFLOW_TENANTS_FILE": str(DEMO / "tenants.toml"),
                "LEADFLOW_LOG_LEVEL": "warning",
            },
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                async with asyncio.timeout(30):
                    assert await process.wait() == 0, "a worker drains on SIGTERM"

    return start


def tenant() -> str:
    return f"t-{uuid4()}"


def raw(tenant_id: str, kind: str, payload: Mapping[str, Any], **fields: str) -> dict[str, Any]:
    number = uuid4().hex
    return {
        "event_id": f"event-{number}",
        "tenant_id": tenant_id,
        "source": "form",
        "kind": kind,
        "external_id": f"x-{number}",
        "occurred_at": AT.isoformat(),
        "payload": dict(payload),
        **fields,
    }


def outgoing(event: Mapping[str, Any]) -> Outgoing:
    key = f"{event['tenant_id']}:{event['source']}:{event['external_id']}"
    return Outgoing("raw-events", key.encode(), json.dumps(event).encode())


async def test_raw_events_in_either_framing_become_typed_records(
    worker: Start, producer: ConfluentProducer, log: Log
) -> None:
    name = tenant()
    as_json = raw(name, "lead", {"name": "maria delgado", "email": "Maria@EXAMPLE.com"})
    as_avro = RawEvent(
        event_id="avro-1",
        tenant_id=name,
        occurred_at=AT,
        recorded_at=AT,
        source="api",
        kind="call_missed",
        external_id="call-1",
        payload=json.dumps({"caller": "+442079460377"}),
    )
    async with worker():
        await producer.send(
            [outgoing(as_json), Outgoing("raw-events", b"k", Codec().encode(as_avro))]
        )
        await log.until(
            lambda log: (
                log.causes(name) == {as_json["event_id"], "avro-1"}
                and any(record.TYPE == "CallMissed" for record in log.of(name))
            ),
            "both are accounted for",
        )
    (maria,) = [each for each in log.of(name) if each.TYPE == "LeadCreated" and each.email]
    assert (maria.first_name, maria.last_name) == ("Maria", "Delgado")
    assert maria.email == "Maria@example.com"
    (caller,) = [each for each in log.of(name) if each.TYPE == "LeadCreated" and each.phone]
    assert caller.phone == "+442079460377"
    assert (caller.timezone, caller.timezone_from) == ("Europe/London", "phone")


async def test_the_demo_file_sent_twice_gives_the_same_ids_and_no_new_lead(
    worker: Start, producer: ConfluentProducer, log: Log
) -> None:
    """Under tenants of their own, so that no other run's leads are met."""
    mark = f"-{uuid4().hex[:8]}"
    expected = json.loads((DEMO / "expected.json").read_text())["leads.jsonl"]["counts"]
    batch = []
    for line in (DEMO / "leads.jsonl").read_bytes().splitlines():
        # Bytes, so that what is broken stays broken. The settings of an unknown tenant are
        # the defaults; numbers without a country code then belong to the US.
        marked = line.replace(
            b'"tenant_id": "acme-roofing"', b'"tenant_id": "acme%b"' % mark.encode()
        )
        marked = marked.replace(
            b'"tenant_id": "north-dental"', b'"tenant_id": "north%b"' % mark.encode()
        )
        batch.append(Outgoing("raw-events", uuid4().bytes, marked + b" "))
    tenants = (f"acme{mark}", f"north{mark}")
    accounted = expected["normalized"] + expected["merged"] + expected["quarantined"]
    async with worker():
        await producer.send(batch)
        await log.until(
            lambda log: len(log.causes(*tenants)) == accounted and len(log.dead) == expected["dlq"],
            "the file is accounted for once",
        )
        log.read()
        first = {(record.event_id, record.TYPE) for record in log.of(*tenants)}
        before = len(log.of(*tenants))
        assert len(first) == before, "no record is published twice without need"
        await producer.send(batch)
        await log.until(
            lambda log: (
                len(log.of(*tenants)) == 2 * before and len(log.dead) == 2 * expected["dlq"]
            ),
            "the file is accounted for twice",
        )
    assert {(record.event_id, record.TYPE) for record in log.of(*tenants)} == first
    created = [each for each in log.of(*tenants)[:before] if isinstance(each, LeadCreated)]
    assert len({each.lead_id for each in created}) == len(created)
    assert len(created) == expected["normalized"] + expected["quarantined"]


async def both_share_the_partitions(bootstrap: str, group: str) -> None:
    """Return once two members of the group own half of the partitions each."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = admin.describe_consumer_groups([group])[group]
            members = (await asyncio.to_thread(found.result, 20)).members
            owned = [len(each.assignment.topic_partitions) for each in members]
            if sorted(owned) == [6, 6]:
                return
            await asyncio.sleep(0.2)


async def test_two_workers_make_one_lead_of_one_person_from_three_sources(
    worker: Start, producer: ConfluentProducer, log: Log, kafka_bootstrap: str, group: str
) -> None:
    name = tenant()
    people = 200
    async with worker(), worker():
        await both_share_the_partitions(kafka_bootstrap, group)
        await producer.send(
            [
                # One after the other, in other partitions: the workers meet.
                outgoing(raw(name, "lead", {"email": f"p{n}@example.com"}, source=source))
                for n in range(people)
                for source in ("form", "angi", "facebook")
            ]
        )
        await log.until(lambda log: len(log.causes(name)) == 3 * people, "all are accounted for")
    created = [each for each in log.of(name) if isinstance(each, LeadCreated)]
    updated = [each for each in log.of(name) if isinstance(each, LeadUpdated)]
    assert len({each.email for each in created}) == len(created) == people
    assert sorted(each.revision for each in updated) == sorted([2, 3] * people)
    assert {each.duplicate_rule for each in updated} == {"email"}


async def test_a_killed_workers_records_are_repeated_by_the_next_with_the_same_ids(
    worker: Start, producer: ConfluentProducer, log: Log
) -> None:
    name = tenant()
    total = 3000
    async with worker() as first:
        await producer.send(
            [
                outgoing(raw(name, "lead", {"email": f"p{n // 2}@example.com"}, source=f"s{n % 2}"))
                for n in range(total)
            ]
        )
        await log.until(lambda log: len(log.causes(name)) > 200, "it is in the middle of it")
        first.kill()
        await first.wait()
        assert len(log.causes(name)) < total
        async with worker():
            await log.until(lambda log: len(log.causes(name)) == total, "all are accounted for")
    by_id: dict[str, LeadRecord] = {}
    for record in log.of(name):
        assert by_id.setdefault(record.event_id, record) == record, "a repeat is the same record"
    created = [each for each in by_id.values() if isinstance(each, LeadCreated)]
    updated = [each for each in by_id.values() if isinstance(each, LeadUpdated)]
    assert len(created) == len(updated) == total // 2


async def test_what_cannot_be_processed_is_kept_as_it_was_and_the_rest_moves_on(
    worker: Start, producer: ConfluentProducer, log: Log
) -> None:
    name = tenant()
    mark = uuid4().hex
    good = [raw(name, "lead", {"email": f"p{n}@example.com"}) for n in range(20)]
    bad = {
        f"FAX from {mark}".encode(): "Malformed",
        f'{{"event_id": "{mark}"'.encode(): "Malformed",
        b"\xc3\x01\x00\x00\x00\x00\x00\x00\x00\x00" + mark.encode(): "UnknownSchema",
        json.dumps(raw(name, "newsletter_signup", {})).encode(): "RecordRefused",
        json.dumps(raw(name, "stage_change", {"to": "won"})).encode(): "RecordRefused",
        json.dumps(raw(name, "reply", {"from": "who@example.com"})).encode(): "RecordRefused",
    }
    async with worker():
        await producer.send(
            [
                *map(outgoing, good[:10]),
                *(Outgoing("raw-events", name.encode(), value) for value in bad),
                *map(outgoing, good[10:]),
            ]
        )
        await log.until(
            lambda log: len(log.causes(name)) == len(good) and len(log.dead) == len(bad),
            "the good are done and the bad are kept",
        )
    assert {value: headers["dlq-error"].decode() for value, headers in log.dead} == bad
    for _, headers in log.dead:
        assert headers["dlq-topic"] == b"raw-events"
        assert b"example.com" not in headers["dlq-reason"]


@pytest.mark.either_server
async def test_provider_callbacks_are_passed_over(
    worker: Start, producer: ConfluentProducer, log: Log
) -> None:
    name = tenant()
    callback = raw(name, "delivered", {"message_id": "m-1"}, source="form", external_id="same")
    lead = raw(name, "lead", {"email": "p@example.com"}, source="form", external_id="same")
    async with worker():
        await producer.send([outgoing(callback), outgoing(lead)])  # one key: in this order
        await log.until(lambda log: bool(log.causes(name)), "the lead behind it is done")
    assert log.causes(name) == {lead["event_id"]}
    assert log.dead == []


# --- the handler alone, where races and failures can be arranged ------------------------------


class Sent:
    """A producer that keeps what it is given, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.batches: list[list[Outgoing]] = []
        self._failures = failures

    async def send(self, batch: Sequence[Outgoing]) -> None:
        if self._failures:
            self._failures -= 1
            raise BrokerError("not acknowledged: told to fail")
        self.batches.append(list(batch))

    async def close(self) -> None:
        """Nothing is under way."""


def handler(engine: AsyncEngine, producer: Sent) -> IntakeHandler:
    return IntakeHandler(
        codec=Codec(),
        store=Store(engine),
        producer=producer,
        tenants=load(DEMO / "tenants.toml"),
        clock=SystemClock(),
    )


def received(event: Mapping[str, Any]) -> Received:
    value = json.dumps(event).encode()
    message = Message("raw-events", 0, 0, None, value, (), 0)
    return Received(message, raw_event_from_json(value, AT))


async def test_a_crash_between_commit_and_publish_repeats_the_same_bytes(
    engine: AsyncEngine,
) -> None:
    name = tenant()
    batch = [
        received(raw(name, "quote_request", {"name": "Ann Lee", "email": "ann@example.com"})),
        received(raw(name, "lead", {"name": "Ann Lee", "email": "ANN@example.com"})),
    ]
    fails = Sent(failures=1)
    with pytest.raises(BrokerError):
        await handler(engine, fails).handle(batch)
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT topic, value FROM outbox WHERE tenant_id = :t ORDER BY event_id, position"
            ),
            {"t": name},
        )
        stored = {(topic, bytes(value)) for topic, value in rows}
    after = Sent()
    assert await handler(engine, after).handle(batch) == []
    (published,) = after.batches
    assert {(each.topic, each.value) for each in published} == stored
    assert len(published) == len(stored)
    async with engine.connect() as connection:
        leads = await connection.execute(
            text("SELECT revision FROM leads WHERE tenant_id = :t"), {"t": name}
        )
        assert leads.scalars().all() == [2], "one lead, created and updated once"


@pytest.mark.either_server
async def test_workers_that_meet_the_same_people_in_opposite_order_do_not_deadlock(
    engine: AsyncEngine,
) -> None:
    name = tenant()
    people = 40
    sent = [Sent() for _ in range(4)]

    def batches(source: str, *, backwards: bool) -> list[list[Received]]:
        order = sorted(range(people), reverse=backwards)
        events = [
            received(
                raw(
                    name,
                    "lead",
                    # Every second one is found by phone and name, not by e-mail.
                    {"name": f"Ann Lee{'abcdefghij'[n % 10] * 3}", "phone": f"+1512555{n:04}"}
                    | ({"email": f"p{n}@example.com"} if n % 2 else {}),
                    source=source,
                )
            )
            for n in range(2000, 2000 + people)
        ]
        return [[events[n] for n in order[start : start + 8]] for start in range(0, people, 8)]

    async def work(number: int) -> None:
        own = handler(engine, sent[number])
        for batch in batches(f"source-{number}", backwards=number % 2 == 1):
            await own.handle(batch)

    async with asyncio.timeout(60):
        await asyncio.gather(*map(work, range(4)))
    records = [Codec().decode(each.value) for one in sent for many in one.batches for each in many]
    created = [each for each in records if isinstance(each, LeadCreated)]
    updated = [each for each in records if isinstance(each, LeadUpdated)]
    assert len(created) == people
    assert sorted(each.revision for each in updated) == sorted([2, 3, 4] * people)


@pytest.mark.either_server
async def test_an_opt_out_of_nobody_is_a_dead_letter_and_holds_all_the_same(
    engine: AsyncEngine,
) -> None:
    name = tenant()
    sent = Sent()
    opt_out = received(raw(name, "opt_out", {"phone": "+15125552001", "channel": "sms"}))
    (letter,) = await handler(engine, sent).handle([opt_out])
    assert letter.message is opt_out.message
    payload = {"phone": "+15125552001", "consent": {"sms": True, "call": True}}
    await handler(engine, sent).handle([received(raw(name, "lead", payload))])
    created = Codec().decode(sent.batches[-1][0].value)
    assert isinstance(created, LeadCreated)
    assert {grant.channel: grant.granted for grant in created.consent} == {
        "sms": False,
        "call": True,
    }


@pytest.mark.either_server
async def test_a_lead_comes_back_from_the_database_as_it_went_in(engine: AsyncEngine) -> None:
    name = tenant()
    sent = Sent()
    event = raw(
        name,
        "lead",
        {
            "name": "José García",
            "email": "jose@example.com",
            "address": {"city": "El Paso", "region": "TX"},
            "budget": {"amount": 12.5, "currency": "USD"},
            "attribution": {"gclid": "Cj0"},
            "consent": {"email": True, "at": "2026-11-20T14:59:00Z", "ip": "192.0.2.1"},
        },
    )
    await handler(engine, sent).handle([received(event)])
    again = {**event, "event_id": "again"}
    await handler(engine, sent).handle([received(again)])
    created = Codec().decode(sent.batches[0][0].value)
    updated = Codec().decode(sent.batches[1][0].value)
    assert isinstance(created, LeadCreated)
    assert isinstance(updated, LeadUpdated)
    assert updated.changed == ()
    for field_name in ("first_name", "address", "budget", "attribution", "consent", "received"):
        assert getattr(updated, field_name) == getattr(created, field_name)
    assert topics.LEAD_EVENTS.name == sent.batches[1][0].topic


@pytest.mark.either_server
async def test_the_other_contacts_of_an_account_hear_of_a_reply_in_a_later_batch(
    engine: AsyncEngine,
) -> None:
    name = tenant()
    sent = Sent()
    company = {"company": "Vega Builders, LLC"}
    people = [
        received(raw(name, "lead", {"email": f"{who}@gmail.com", **company}))
        for who in ("ada", "bob", "eve")
    ]
    await handler(engine, sent).handle(people)
    created = [record for each in sent.batches[0] if isinstance(
        record := Codec().decode(each.value), LeadCreated)]  # fmt: skip
    by_email = {record.email: record.lead_id for record in created}
    bob = by_email["bob@gmail.com"]
    reply = {"lead": bob, "from": "bob@gmail.com", "text": "Call me", "channel": "email"}
    await handler(engine, sent).handle([received(raw(name, "reply", reply))])
    heard = {
        record.lead_id: record.replied_lead_id
        for each in sent.batches[1]
        if isinstance(record := Codec().decode(each.value), AccountReplied)
    }
    assert heard == {by_email["ada@gmail.com"]: bob, by_email["eve@gmail.com"]: bob}
