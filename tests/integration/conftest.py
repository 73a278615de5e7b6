"""The whole system on servers of its own, and a reader of its log that owes nothing to it."""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import confluent_kafka
import httpx
import pytest

from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.records import Record
from leadflow_cli.home import require_running
from leadflow_cli.ports import Ports
from leadflow_cli.stack import Stack
from leadflow_cli.targets import ask_portal

from .dispatching import drop_template
from .reading import ends_of, fetch, new_consumer

ROOT = Path(__file__).resolve().parents[2]
POLL = 0.25


@dataclass(frozen=True)
class Read:
    """A record as it lies in a topic; `record` is None where the bytes are not one of ours."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    record: Record | None


class Log:
    """Reads topics from their beginning to their end, outside any consumer group; what has been
    read once is remembered."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._codec = Codec()
        self._found: dict[str, list[Read]] = defaultdict(list)
        self._next: dict[tuple[str, int], int] = {}

    def read(self, topic: str) -> list[Read]:
        consumer = new_consumer(self.bootstrap, "reader")
        try:
            ends = {each.partition: each.offset for each in ends_of(consumer, [topic])}
            left = {n: end for n, end in ends.items() if end > self._next.get((topic, n), 0)}
            consumer.assign(
                [
                    confluent_kafka.TopicPartition(topic, n, self._next.get((topic, n), 0))
                    for n in left
                ]
            )
            deadline = monotonic() + 30
            while left and monotonic() < deadline:
                for message in fetch(consumer, 0.2):
                    if message.error() is None:
                        read = self._read(message)
                        self._found[topic].append(read)
                        self._next[topic, read.partition] = read.offset + 1
                        if read.offset + 1 >= left.get(read.partition, 1 << 60):
                            left.pop(read.partition, None)
            assert not left, f"could not read {topic} to its end"
            return list(self._found[topic])
        finally:
            consumer.close()

    def records(self, topic: str, *types: type[Record], tenant: str | None = None) -> list[Any]:
        """Decoded records of `types`, each event_id once: a repeat is the same event."""
        seen: dict[str, Record] = {}
        for read in self.read(topic):
            record = read.record
            if record is None or (types and not isinstance(record, types)):
                continue
            if tenant is None or record.tenant_id == tenant:
                seen.setdefault(record.event_id, record)
        return list(seen.values())

    def _read(self, message: Any) -> Read:
        try:
            record = self._codec.decode(message.value())
        except CodecError:
            record = None
        return Read(
            message.topic(),
            message.partition(),
            message.offset(),
            message.key(),
            message.value(),
            dict(message.headers() or ()),
            record,
        )


class System:
    """A running leadflow: its stack, its log, its sandbox."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.log = Log(stack.kafka_bootstrap)
        self.sandbox = httpx.Client(base_url=stack.sandbox_url, timeout=30)
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": stack.kafka_bootstrap,
                "acks": "all",
                "partitioner": "murmur2_random",
                "message.max.bytes": 2_000_000,  # that the broker decides
                "log_level": 3,
            }
        )

    def produce(self, topic: str, *records: tuple[bytes | None, bytes | None]) -> None:
        """Write (key, value) pairs; return once the broker has them."""
        for key, value in records:
            self._producer.produce(topic, value, key)
        assert self._producer.flush(30) == 0

    def send(self, *events: dict[str, Any]) -> None:
        """Raw events, as any upstream would."""
        self.produce(
            "raw-events",
            *(
                (
                    f"{event['tenant_id']}:{event['source']}:{event['external_id']}".encode(),
                    json.dumps(event).encode(),
                )
                for event in events
            ),
        )

    def portal(self, role: str, tenant: str | None = None) -> httpx.Client:
        """A client of the portal with a key of its own; close it."""
        running = require_running(self.stack.home)
        who = ["--role", role, *(["--tenant", tenant] if tenant else [])]
        key = ask_portal(running, os.environ, "token", *who, subject="test")
        return httpx.Client(
            base_url=self.stack.portal_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )

    def accepted(self) -> list[dict[str, Any]]:
        """Everything that the sandbox's providers accepted, in order."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.sandbox.get("/accepted", params={"offset": len(found), "limit": 5000})
            items = page.raise_for_status().json()["items"]
            if not items:
                return found
            found += items

    def faults(self, **rule: Any) -> None:
        self.sandbox.post("/faults", json=rule).raise_for_status()

    def clear_faults(self) -> None:
        self.sandbox.delete("/faults").raise_for_status()

    def wait_until(self, condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
        """The condition's first truthy answer; fails, saying `what` did not happen, if none."""
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            if answer := condition():
                return answer
            self.stack.supervisor.pause(POLL)
        raise AssertionError(f"within {seconds:.0f} s: {what}")


TENANTS = [
    "control", "kill-intake", "kill-sequencer", "kill-dispatcher", "kill-crm-sync", "kill-portal",
    "takeover", "failures", "replies",
]  # fmt: skip


def tenants_file(folder: Path) -> Path:
    """The demo's tenants, and a copy of the first one for each test that wants its own."""
    path = folder / "tenants.toml"
    shipped = (ROOT / "demo/tenants.toml").read_text()
    head = shipped.index("[tenants.acme-roofing]")
    acme = shipped[head : shipped.index("[tenants.north-dental]")]
    copies = [acme.replace("[tenants.acme-roofing]", f"[tenants.{name}]") for name in TENANTS]
    # It answers STOP and HELP itself, as if its provider did not.
    told = "\n".join(copies).replace(
        "[tenants.replies]\n", '[tenants.replies]\nanswers_keywords = ["sms"]\n'
    )
    path.write_text(f"{shipped}\n{told}")
    return path


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, own_servers: Any) -> Iterator[System]:
    """Five services and the sandbox on Kafka and PostgreSQL that nobody else uses."""
    home = tmp_path_factory.mktemp("system")
    environment = {
        **os.environ,
        "LEADFLOW_KAFKA_BOOTSTRAP": own_servers.bootstrap,
        "LEADFLOW_DATABASE_URL": own_servers.admin_url,
        "LEADFLOW_TENANTS_FILE": str(tenants_file(home)),
        "LEADFLOW_CRM_RETRY_DELAYS": "1,2,3",
    }
    with ExitStack() as stack:
        running = stack.enter_context(Stack(home, ports=Ports.free(), environment=environment))
        made = System(running)
        stack.callback(made.sandbox.close)
        yield made


def pytest_sessionfinish() -> None:
    """Servers that run on are to be as they were."""
    asyncio.run(drop_template(os.environ.get("LEADFLOW_TEST_DATABASE_URL", "")))
