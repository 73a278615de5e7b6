"""The demo as a person runs it: to the table, the commands beside it, Ctrl-C, and once more."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from leadflow_cli.embedded.postgres import PostgresServer
from leadflow_cli.ports import Ports, setting

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

DEADLINE_SECONDS = 240
WRITTEN = {"raw-events", "lead-events", "enrollment-events", "messages", "message-events"}
EXPECTED = json.loads((Path(__file__).resolve().parents[2] / "demo/expected.json").read_text())


@dataclass(frozen=True)
class Shell:
    """A shell of its own: a home, free ports, and nothing of the settings around."""

    home: Path
    environment: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "leadflow_cli", *arguments]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    def processes(self) -> list[str]:
        """What runs in this home, this process's own children or not."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("LEADFLOW_HOME") == str(self.home):
                    found.append(" ".join(process.cmdline()))
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = tmp_path_factory.mktemp("home")
    kept = {name: value for name, value in os.environ.items() if "LEADFLOW" not in name}
    ports = {setting(name): str(port) for name, port in asdict(Ports.free()).items()}
    yield Shell(home, {**kept, **ports, "LEADFLOW_HOME": str(home), "PYTHONUNBUFFERED": "1"})
    PostgresServer(home / "demo/postgres").destroy()


class Running:
    """A `leadflow demo` that runs on after its table; its output is read as it comes."""

    def __init__(self, shell: Shell) -> None:
        self.process = subprocess.Popen(
            shell.command("demo"),
            env=shell.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.said += line
                if line.startswith("Ctrl-C stops everything"):
                    self._ready.set()
        self._ready.set()

    def until_table(self) -> str:
        assert self._ready.wait(DEADLINE_SECONDS), self.said
        assert self.process.poll() is None, self.said
        return self.said

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        self._reader.join(10)
        return code


@pytest.fixture(scope="module")
def demo(shell: Shell) -> Iterator[Running]:
    running = Running(shell)
    try:
        running.until_table()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


def table(said: str) -> dict[str, str]:
    """The rows of the table: name and value are apart by several spaces."""
    rows = (re.fullmatch(r"  (\S.*?) {2,}(\S.*?) *", line) for line in said.splitlines())
    return {row[1]: row[2] for row in rows if row}


def wanted(fate: str) -> str:
    return str(sum(part["counts"][fate] for part in EXPECTED.values()))


def assert_accounted_for(said: str) -> None:
    shown = table(said)
    assert shown["received"] == str(sum(part["received"] for part in EXPECTED.values())), said
    assert shown["normalized"] == wanted("normalized")
    assert shown["merged"] == wanted("merged")
    assert shown["quarantined"] == wanted("quarantined")
    assert shown["dead letters"] == wanted("dlq")
    assert int(shown["messages accepted"]) > 200
    assert shown["CRM records"] == "220"
    assert shown["summaries approved"] == "1"
    assert "✗" not in said


def test_the_demo_comes_to_its_table_with_everything_accounted_for(demo: Running) -> None:
    assert_accounted_for(demo.said)


def test_the_link_at_the_end_signs_a_person_in(demo: Running) -> None:
    link = re.search(r"http://127\.0\.0\.1:\d+/login\?ticket=\S+", demo.said)
    assert link is not None
    with httpx.Client(follow_redirects=True, trust_env=False) as browser:
        page = browser.get(link[0])
        assert page.status_code == 200
        assert "/login" not in page.url.path
        assert "Sequences" in page.text


def test_the_commands_find_the_demo_by_themselves(demo: Running, shell: Shell) -> None:
    verified = shell.run("ledger", "verify")
    assert verified.returncode == 0, verified.stdout
    assert verified.stdout.endswith("all agree\n")

    topics = shell.run("topics").stdout
    assert re.search(r"^raw-events +12 +302 +.*intake 0", topics, re.MULTILINE), topics

    letters = shell.run("dlq", "intake")
    assert f"{wanted('dlq')} dead letters" in letters.stdout
    name = re.search(r"^intake-dlq:\d+:\d+", shell.run("dlq", "list").stdout, re.MULTILINE)
    assert name is not None
    shown = shell.run("dlq", "show", name[0])
    assert "from     raw-events[" in shown.stdout
    raw = shell.run("dlq", "show", name[0], "--raw").stdout
    leads = (Path(__file__).resolve().parents[2] / "demo/leads.jsonl").read_text()
    assert raw in leads.splitlines()

    lead_id = re.search(r"one summary approved, of lead (\S+)", demo.said)
    assert lead_id is not None
    story = shell.run("lead", lead_id[1]).stdout
    types = [re.split(r" {2,}", line, maxsplit=2)[1] for line in story.splitlines()]
    assert types[:2] == ["RawEvent", "LeadCreated"]
    assert types[-1] == "SummaryReviewed"
    assert {"Enrolled", "StepFired", "MessageQueued", "MessageSent"} <= set(types)

    answered = shell.run("why", lead_id[1], "first-touch").stdout
    assert re.search(r"^  1\. hello \(email\): It did go out, at .* provider id ", answered, re.M)
    assert re.search(r"^  2\. personal \(email\): It is not due before ", answered, re.M)
    assert "there is no step 99" in shell.run("why", lead_id[1], "first-touch", "99").stderr


def test_a_sequence_is_tried_on_the_demos_leads_and_nothing_is_written(
    demo: Running, shell: Shell
) -> None:
    before = shell.run("topics").stdout
    runs = [
        shell.run("simulate", "first-touch", "--from-topic", "--to", "2027-12-31") for _ in range(2)
    ]
    assert runs[0].returncode == 0, runs[0].stderr
    hashes = [
        re.search(r"^hash of all decisions  ([0-9a-f]{64})$", each.stdout, re.M) for each in runs
    ]
    assert hashes[0] is not None
    assert hashes[1] is not None
    assert hashes[0][1] == hashes[1][1]
    assert "reply" in runs[0].stdout  # the past replies stop it again
    assert records(shell.run("topics").stdout) == records(before)


def records(said: str) -> dict[str, str]:
    """Records by topic, of those that services do not write by themselves."""
    rows = (line.split() for line in said.splitlines())
    return {row[0]: row[2] for row in rows if len(row) > 2 and row[0] in WRITTEN}


def test_a_key_opens_the_api_for_its_role(demo: Running, shell: Shell) -> None:
    portal = f"http://127.0.0.1:{shell.environment['LEADFLOW_PORTAL_PORT']}"
    for role, tenant, path, status in (
        ("ops", [], "/api/v1/pipeline", 200),
        ("client", ["--tenant", "acme-roofing"], "/api/v1/pipeline", 403),
        ("client", ["--tenant", "acme-roofing"], "/api/v1/client/summaries", 200),
    ):
        key = shell.run("token", "--role", role, *tenant).stdout.strip()
        answer = httpx.get(
            portal + path, headers={"Authorization": f"Bearer {key}"}, trust_env=False
        )
        assert answer.status_code == status, (role, path, answer.text)


def test_what_is_sent_by_hand_is_sent_also_where_it_is_no_raw_event(
    demo: Running, shell: Shell
) -> None:
    sent = shell.run("send", "-", stdin='{"event_id": "x"}\n\nFAX\n')
    assert sent.returncode == 0
    assert sent.stdout.startswith("2 sent in ")
    assert "2 of them are no raw events, lines 1, 3:" in sent.stdout


def test_a_second_leadflow_says_who_holds_the_home(demo: Running, shell: Shell) -> None:
    second = shell.run("up")
    assert second.returncode == 1
    assert second.stderr.startswith(
        f"leadflow: leadflow runs already ('leadflow demo', pid {demo.process.pid})"
    )
    assert second.stderr.count("\n") == 1


def test_ctrl_c_stops_everything_and_the_demo_works_a_second_time(
    demo: Running, shell: Shell
) -> None:
    assert demo.stop() == 0, demo.said
    assert shell.processes() == []
    again = shell.run("demo", "--exit")
    assert again.returncode == 0, again.stdout + again.stderr
    assert_accounted_for(again.stdout)
    assert shell.processes() == []
