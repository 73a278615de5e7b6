"""Kill sequencers at random while they work, then compare all that is there with a model.

    python -m tests.endurance [--leads 100000] [--kills 22] [--seed N] [--minutes 25]

Starts a Kafka of its own and two sequencers, as processes, on free ports of 127.0.0.1, and ends
them again. Exits with 1 if anything is lost, doubled, early or wrong; what the topics say about
the first such leads then stays in the folder that it names.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom
from threading import Event

from tests.endurance import evidence, stories
from tests.endurance.check import Checker, Findings
from tests.endurance.driver import Driver
from tests.endurance.reading import Commits
from tests.endurance.stories import Lead
from tests.endurance.workers import Workers

from leadflow import topics
from leadflow.codec import Codec
from leadflow.kafka.admin import ensure_topics
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow_cli.embedded.kafka import KafkaServer
from leadflow_cli.processes import free_ports

GROUP = "endurance"
READY_SECONDS = 120.0
SHOWN = 20


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="leadflow-endurance-"))
    print(
        f"seed {options.seed}: {options.leads} leads, {options.kills} kills; files in {folder}",
        flush=True,
    )
    with ExitStack() as until_done:
        port, controller = free_ports(2)
        kafka = until_done.enter_context(
            KafkaServer(folder / "kafka", port=port, controller_port=controller)
        )
        good = _run(options, kafka.bootstrap, folder)
    shutil.rmtree(folder if good else folder / "kafka", ignore_errors=True)
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=22)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=25.0, help="give up after that")
    return parser.parse_args()


def _run(options: argparse.Namespace, bootstrap: str, folder: Path) -> bool:
    began = time.monotonic()
    deadline = began + 60 * options.minutes
    ensure_topics(bootstrap)
    asyncio.run(_publish_definitions(bootstrap))
    leads = list(stories.leads(options.seed, options.leads))
    with ExitStack() as until_done:
        commits = Commits(bootstrap, GROUP)
        until_done.callback(commits.close)
        workers = until_done.enter_context(Workers(bootstrap, GROUP, folder))
        _wait_until_ready(workers)
        driver = Driver(bootstrap, leads, workers, commits, options.seed)
        until_done.callback(driver.close)
        settled = driver.run(options.kills, deadline)
        taken = time.monotonic() - began
        print("comparing", flush=True)
        findings = Checker(bootstrap, GROUP, leads, driver, commits).run()
        for message_id in driver.unexpected:
            findings.say("a message id that nobody computed", message_id)
        if not settled:
            findings.say("not quiet in time", "")
        _show(options, findings, workers, driver, taken, leads)
        if findings.wrong:
            some = [each for found in findings.wrong.values() for each in found[:SHOWN] if each]
            evidence.keep(bootstrap, GROUP, some, folder)
            print(f"what the topics say about the first of them: {folder}")
    return not findings.wrong


async def _publish_definitions(bootstrap: str) -> None:
    producer, codec = ConfluentProducer(bootstrap, "endurance"), Codec()
    await producer.send(
        [
            Outgoing(
                topics.SEQUENCE_DEFINITIONS.name,
                f"{each.sequence_id}:1".encode(),
                codec.encode(stories.definition(each)),
            )
            for each in stories.SEQUENCES
        ]
    )
    await producer.close()


def _wait_until_ready(workers: Workers) -> None:
    deadline = time.monotonic() + READY_SECONDS
    pause = Event()
    while workers.ready() < len(workers.alive()):
        workers.tend()
        if workers.deaths or time.monotonic() > deadline:
            raise SystemExit("the workers did not become ready: see their logs")
        pause.wait(0.2)


def _show(
    options: argparse.Namespace,
    findings: Findings,
    workers: Workers,
    driver: Driver,
    taken: float,
    leads: Sequence[Lead],
) -> None:
    names = {lead.lead_id: lead.story.name for lead in leads}
    by_themselves = sum("by itself" in each.how for each in workers.deaths)
    lines = {
        "seed": options.seed,
        "leads": len(driver.published),
        "kills": driver.kills,
        "workers ended by themselves": by_themselves,
        "seconds": round(taken),
        **findings.counts,
    }
    for name, value in lines.items():
        print(f"{name:40} {value:>10}")
    for what, found in sorted(findings.wrong.items()):
        told = Counter(names.get(each, "") for each in found)
        print(f"WRONG  {what}: {len(found)}, e.g. {', '.join(found[:3])}")
        print("       " + ", ".join(f"{name}: {n}" for name, n in told.most_common()))
    print("all as it has to be" if not findings.wrong else "NOT as it has to be", flush=True)


if __name__ == "__main__":
    sys.exit(main())
