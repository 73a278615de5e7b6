"""Leads a second from raw event to accepted by the sandbox, and the way's time at a steady rate.

    python bench/end_to_end.py [--leads 5000] [--rate 50] [--seconds 30]

Starts a whole leadflow of its own (five services, sandbox, Kafka, PostgreSQL) on free ports of
127.0.0.1, sends made-up leads, each with one first e-mail due at once, and ends it again. The
baseline of the same run is the same number of records through Kafka alone (produced with
acks=all, consumed by one consumer), so that two machines can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
import httpx
from _figures import at_least, figure
from _surroundings import processor_seconds
from confluent_kafka.admin import AdminClient, NewTopic

from leadflow_cli.ports import Ports
from leadflow_cli.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
TENANT = "acme-roofing"
AIM = 500


def lead(number: int, run: str) -> tuple[bytes, bytes]:
    """(key, value) of one raw lead; no two share an identity."""
    name = f"{run}-{number}"
    event = {
        "event_id": name,
        "tenant_id": TENANT,
        "source": "bench",
        "kind": "lead",
        "external_id": name,
        "occurred_at": datetime.now(UTC).isoformat(),
        "payload": {
            "name": "Robin Marsh",
            "email": f"{name}@example.com",
            "service": "roof repair",
            "message": "The gutter over the porch came down in last night's storm.",
            "urgency": "this week",
            "consent": {"email": True, "basis": "consent"},
        },
    }
    return f"{TENANT}:bench:{name}".encode(), json.dumps(event).encode()


def producer(bootstrap: str) -> Any:
    return confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
        }
    )


def accepted(sandbox: httpx.Client, run: str, since: int) -> list[dict[str, Any]]:
    """E-mails of this run that the sandbox accepted, from its entry `since` on."""
    items: list[dict[str, Any]] = []
    while True:
        query = {"offset": since + len(items), "limit": 10_000}
        page = sandbox.get("/accepted", params=query).raise_for_status().json()["items"]
        if not page:
            return [item for item in items if str(item["to"]).startswith(f"{run}-")]
        items += page


def wait_for(sandbox: httpx.Client, total: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if sandbox.get("/accepted/counts").json()["total"] >= total:
            return
        time.sleep(0.1)
    raise SystemExit(f"only {sandbox.get('/accepted/counts').json()} of {total} were accepted")


def kafka_alone(bootstrap: str, count: int) -> float:
    """Records a second, produced and consumed, with nothing in between."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topic = f"bench-{time.time_ns()}"
    admin.create_topics([NewTopic(topic, 12, 1)])[topic].result()
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    writer = producer(bootstrap)
    started = time.perf_counter()
    for number in range(count):
        key, value = lead(number, "alone")
        writer.produce(topic, value, key)
        writer.poll(0)
    writer.flush()
    consumer.subscribe([topic])
    seen = 0
    while seen < count:
        seen += len(consumer.consume(1000, 0.2))
    elapsed = time.perf_counter() - started
    consumer.close()
    return count / elapsed


def burst(stack: Stack, sandbox: httpx.Client, count: int) -> float:
    """Leads a second when all are there at once."""
    run = f"b{time.time_ns()}"
    before = sandbox.get("/accepted/counts").json()["total"]
    writer = producer(stack.kafka_bootstrap)
    started = time.perf_counter()
    for number in range(count):
        key, value = lead(number, run)
        writer.produce("raw-events", value, key)
        writer.poll(0)
    writer.flush()
    wait_for(sandbox, before + count, 600)
    elapsed = time.perf_counter() - started
    found = accepted(sandbox, run, before)
    assert len({item["key"] for item in found}) == len(found) == count, "not once each"
    return count / elapsed


def steady(stack: Stack, sandbox: httpx.Client, rate: int, seconds: int) -> list[float]:
    """Milliseconds from produced to accepted, sorted, at `rate` leads a second."""
    run = f"s{time.time_ns()}"
    before = sandbox.get("/accepted/counts").json()["total"]
    writer = producer(stack.kafka_bootstrap)
    sent_at: dict[str, float] = {}
    started = time.monotonic()
    for number in range(rate * seconds):
        due = started + number / rate
        writer.poll(max(0.0, due - time.monotonic()))
        while (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        key, value = lead(number, run)
        sent_at[f"{run}-{number}@example.com"] = time.time()
        writer.produce("raw-events", value, key)
    writer.flush()
    wait_for(sandbox, before + rate * seconds, 120)
    taken = []
    for item in accepted(sandbox, run, before):
        at = datetime.fromisoformat(item["accepted_at"]).timestamp()
        taken.append((at - sent_at[item["to"]]) * 1000)
    return sorted(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leads", type=int, default=5000)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    environment = {**os.environ, "LEADFLOW_TENANTS_FILE": str(ROOT / "demo/tenants.toml")}
    with (
        tempfile.TemporaryDirectory(prefix="leadflow-bench-") as folder,
        Stack(Path(folder), name="bench", ports=Ports.free(), environment=environment) as stack,
        httpx.Client(base_url=stack.sandbox_url, timeout=60) as sandbox,
    ):
        burst(stack, sandbox, 200)  # caches filled, connections open
        before = processor_seconds()
        rates = [burst(stack, sandbox, options.leads) for _ in range(2)]
        # The loops behind the first e-mail work on for a while: their share belongs to a lead.
        time.sleep(5)
        after = processor_seconds()
        alone = kafka_alone(stack.kafka_bootstrap, options.leads)
        taken = steady(stack, sandbox, options.rate, options.seconds)
    best, shown = max(rates), ", ".join(f"{rate:.0f}" for rate in rates)
    print(f"end to end, {options.leads} leads at once: {shown} leads/s")
    at_least(f"end to end, {options.leads:,} leads at once", rates, AIM, " leads/s")
    print(f"  beside Kafka alone in the same run: {alone:.0f} records/s, ratio {best / alone:.3f}")
    leads = 2 * options.leads
    shares = {name: (after[name] - before.get(name, 0.0)) / leads * 1000 for name in after}
    print(f"processor time a lead, of {sum(shares.values()):.2f} ms in all:")
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        if share >= 0.01:
            print(f"  {name:12} {share:5.2f} ms")
    p50, p99 = statistics.median(taken), taken[int(len(taken) * 0.99)]
    print(f"at {options.rate} leads/s for {options.seconds} s:")
    way = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {taken[-1]:.0f} ms"
    print(f"  {way}")
    figure(f"end to end at {options.rate} leads/s", way)


if __name__ == "__main__":
    main()
