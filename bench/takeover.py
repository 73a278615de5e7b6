"""How long a worker takes that comes with nothing to a partition with a million rows.

    python bench/takeover.py [--rows 1000000]

Fills one partition of a changelog with rows of leads that have a step pending, then starts the
sequencer as a process with an empty data folder and waits until it says that it is ready. Prints
the seconds from its start and by part, rows a second beside a consumer that only reads the same
records, memory, and bytes on disk for each row. Starts a Kafka of its own on free ports of
127.0.0.1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka
import httpx
from _figures import figure
from _rows import encoded_rows
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from leadflow import topics
from leadflow.kafka.admin import ensure_topics
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.processes import free_ports
from sequencer.table import CHANGELOG_CONFIG

GROUP = "bench-takeover"
CHANGELOG = f"{GROUP}-leads-changelog"
PARTITION = 3
READY_SECONDS = 600.0
AIM_SECONDS = 90


def fill(bootstrap: str, rows: int) -> int:
    """Produce the rows; how many bytes one has."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    config = {"cleanup.policy": "compact", **CHANGELOG_CONFIG}
    topic = NewTopic(CHANGELOG, topics.LEAD_EVENTS.partitions, 1, config=config)
    admin.create_topics([topic])[CHANGELOG].result(30)
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 50,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 200_000,
        }
    )
    size = 0
    for key, _due, value in encoded_rows(rows, datetime.now(UTC)):
        size += len(value)
        while True:
            try:
                producer.produce(CHANGELOG, value, key=key, partition=PARTITION)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()
    return size // rows


def only_read(bootstrap: str, rows: int) -> float:
    """Records a second of a consumer that drops them."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition(CHANGELOG, PARTITION, 0)])
    started, seen = time.perf_counter(), 0
    while seen < rows:
        seen += len(consumer.consume(5_000, 1.0))
    consumer.close()
    return rows / (time.perf_counter() - started)


def start(bootstrap: str, folder: Path, port: int) -> subprocess.Popen[str]:
    """The sequencer; what it logs goes to a file."""
    variables = {
        "LEADFLOW_KAFKA_BOOTSTRAP": bootstrap,
        "LEADFLOW_GROUP": GROUP,
        "LEADFLOW_HEALTH_HOST": "127.0.0.1",
        "LEADFLOW_HEALTH_PORT": str(port),
        "LEADFLOW_DATA_DIR": str(folder / "data"),
    }
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "sequencer"],
            env={**os.environ, **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )


def wait_until_ready(worker: subprocess.Popen[str], port: int, log: Path) -> tuple[float, int]:
    """Seconds, and the most memory in MB that was seen meanwhile."""
    started, most = time.perf_counter(), 0
    while (now := time.perf_counter() - started) < READY_SECONDS:
        if worker.poll() is not None:
            raise SystemExit(f"the worker ended:\n{log.read_text()[-4000:]}")
        most = max(most, memory_mb(worker.pid))
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return now, most
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"not ready after {READY_SECONDS:.0f} s:\n{log.read_text()[-4000:]}")


def memory_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next((each for each in status.splitlines() if each.startswith("VmRSS")), "VmRSS: 0")
    return int(line.split()[1]) // 1024


def bytes_in(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def taken_over(log: Path) -> dict[str, Any]:
    """What the worker says about it."""
    for line in log.read_text().splitlines():
        if line.startswith("{") and json.loads(line).get("event") == "taken over":
            found: dict[str, Any] = json.loads(line)
            return found
    raise SystemExit(f"the worker does not say what it took over:\n{log.read_text()[-4000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with ExitStack() as until_done:
        folder = Path(until_done.enter_context(tempfile.TemporaryDirectory(prefix="takeover-")))
        port, controller_port = free_ports(2)
        server = KafkaServer(folder / "kafka", port=port, controller_port=controller_port)
        bootstrap = until_done.enter_context(server).bootstrap
        ensure_topics(bootstrap)
        size = fill(bootstrap, rows)
        print(f"{rows:,} rows of {size} bytes in one partition", flush=True)
        reading = only_read(bootstrap, rows)
        (port,) = free_ports(1)
        worker = start(bootstrap, folder, port)
        try:
            seconds, most = wait_until_ready(worker, port, folder / "log")
            told = taken_over(folder / "log")
            data, due = bytes_in(folder / "data"), bytes_in(folder / "data" / "due")
        finally:
            worker.terminate()
            worker.wait(30)
        rate = told["recovered"] / max(told["recovering_seconds"], 0.1)
        print(
            f"ready after {seconds:.1f} s (aim: at most {AIM_SECONDS}): reading the rows took "
            f"{told['recovering_seconds']} s, the index of what is due {told['indexing_seconds']} s"
        )
        print(
            f"{rate:,.0f} rows/s beside {reading:,.0f}/s of a consumer that only reads: "
            f"ratio {rate / reading:.2f}"
        )
        print(
            f"memory at most {most} MB, on disk {(data - due) / rows:.0f} bytes a row "
            f"and {due / rows:.0f} bytes a pending entry of the index",
            flush=True,
        )
        figure(
            f"takeover with {rows:,} rows",
            f"ready after {seconds:.1f} s, at most {most} MB",
            f"at most {AIM_SECONDS} s",
            seconds <= AIM_SECONDS,
        )


if __name__ == "__main__":
    main()
