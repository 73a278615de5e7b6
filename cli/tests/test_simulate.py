"""Given leads, the sequence that is tried, and how the outcome is told."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner

from leadflow.codec import Codec
from leadflow.records import LeadCreated, ReplyReceived, SequencePublished
from leadflow.tenants import Tenant
from leadflow_cli import given_leads, trial
from leadflow_cli.commands import simulate
from leadflow_cli.commands.simulate import _live as live_all
from leadflow_cli.errors import CliError
from leadflow_cli.main import app
from leadflow_cli.period import moment_of
from leadflow_cli.simulated import Result, clashes, show, write_csv, write_json
from sequencer.dryrun import Period
from sequencer.dryrun_report import Report
from sequencer.pauses import AutomationPauses

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "library"
TENANT = Tenant(tenant_id="acme", name="Acme", region="US", timezone="America/Chicago")
TENANTS = {"acme": TENANT}
BEGIN = datetime(2026, 11, 20, tzinfo=UTC)


def raw(number: int, kind: str = "lead", at: str = "2026-11-20T09:00:00Z", **payload: Any) -> bytes:
    default = {"email": f"ada{number}@mail.example.com", "name": "Ada Byron", "message": "A roof"}
    event = {
        "event_id": f"raw-{kind}-{number}",
        "tenant_id": "acme",
        "source": "website-form",
        "kind": kind,
        "external_id": f"form-{number}",
        "occurred_at": at,
        "payload": payload or default,
    }
    return json.dumps(event).encode()


def given(*lines: bytes, begin: datetime = BEGIN) -> given_leads.Given:
    return given_leads.of_file(lines, TENANTS, begin, lambda count: None)


def test_given_leads_go_through_intakes_own_rules() -> None:
    found = given(
        raw(1), raw(2), raw(1, "reply", **{"from": "ada1@mail.example.com", "text": "hi"})
    )
    assert len(found.events) == 2
    answered = next(each for each in found.events.values() if len(each) == 3)
    assert [type(each).__name__ for each in answered] == [
        "LeadCreated",
        "LeadQualified",
        "ReplyReceived",
    ]
    assert isinstance(answered[0], LeadCreated)
    assert answered[0].first_name == "Ada"


def test_an_event_that_was_over_before_the_period_comes_in_at_its_begin() -> None:
    late = datetime(2027, 1, 1, tzinfo=UTC)
    [events] = given(raw(1), begin=late).events.values()
    assert {each.recorded_at for each in events} == {late}
    [events] = given(raw(1)).events.values()
    assert {each.recorded_at for each in events} == {datetime(2026, 11, 20, 9, tzinfo=UTC)}


def test_what_intake_refuses_is_counted_by_its_reason_and_a_repeat_is_nothing() -> None:
    found = given(
        raw(1), raw(1), b"FAX", b"", raw(3, "opened", message_id="m"), raw(4, "fax", a="b")
    )
    assert len(found.events) == 1
    assert found.refused == {
        "no raw event": 1,
        "unknown_kind": 1,
        "about a message that a provider sent: nothing is sent here": 1,
    }


def test_past_leads_are_what_the_topic_holds_each_event_once(message: Any, record: Any) -> None:
    created = record(LeadCreated, lead_id="l-1", recorded_at=BEGIN, event_id="c")
    replied = record(ReplyReceived, lead_id="l-1", recorded_at=BEGIN, event_id="r")
    values = [created, replied, created, b"\xc3\x01nonsense"]
    found = given_leads.of_topic(
        [message("lead-events", each) for each in values], lambda count: None
    )
    assert found.events == {"l-1": [created, replied]}
    assert found.refused.total() == 1


def test_a_day_is_a_day_of_utc_and_the_last_one_is_within() -> None:
    assert moment_of("2026-11-20", "--from") == BEGIN
    assert moment_of("2026-11-20", "--to", end=True) == datetime(2026, 11, 21, tzinfo=UTC)
    assert moment_of("2026-11-20T02:00:00+02:00", "--from") == BEGIN


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "2026-11-20T09:00:00", "9999-12-31"])
def test_what_is_no_day_and_no_time_with_an_offset_names_the_option(text: str) -> None:
    with pytest.raises(CliError, match="--to"):
        moment_of(text, "--to", end=True)


@pytest.mark.parametrize("text", ["9999-12-31", "9000-01-01", "9999-12-31T23:59:59-12:00"])
def test_a_day_that_no_decision_could_look_beyond_is_called_too_far_ahead(text: str) -> None:
    with pytest.raises(CliError, match=f"--to {text} lies too far ahead"):
        moment_of(text, "--to", end=True)


@pytest.fixture
def published() -> list[SequencePublished]:
    return trial.shipped(LIBRARY, TENANTS)


def test_a_name_is_tried_in_its_newest_version_whatever_its_status(
    published: list[SequencePublished],
) -> None:
    first = next(each for each in published if each.sequence_id == "acme.first-touch")
    draft = replace(first, version=7, status="draft")
    for name in ("first-touch", "acme.first-touch"):
        [tried] = trial.choose(name, [*published, draft], TENANTS, LIBRARY).tried
        assert (tried.version, tried.status) == (7, "active")


def test_beside_it_stand_the_others_and_none_if_it_is_tried_alone(
    published: list[SequencePublished],
) -> None:
    chosen = trial.choose("first-touch", published, TENANTS, LIBRARY)
    assert len(chosen.beside) == len(published) - 1
    assert trial.choose("first-touch", published, TENANTS, LIBRARY, alone=True).beside == ()


def test_without_a_running_leadflow_the_shipped_library_is_what_is_live(
    published: list[SequencePublished],
) -> None:
    chosen = trial.choose("first-touch", None, TENANTS, LIBRARY)
    assert {each.sequence_id for each in (*chosen.tried, *chosen.beside)} == {
        each.sequence_id for each in published
    }


def test_a_name_that_nobody_has_says_which_there_are() -> None:
    with pytest.raises(CliError, match=r"no sequence moon .* first-touch"):
        trial.choose("moon", None, TENANTS, LIBRARY)


def test_a_file_takes_the_place_of_the_published_sequence_of_its_id(
    published: list[SequencePublished], tmp_path: Path
) -> None:
    text = (LIBRARY / "sequences/first-touch.yaml").read_text()
    file = tmp_path / "draft.yaml"
    file.write_text(text.replace("status: active", "status: draft"))
    chosen = trial.choose(str(file), published, TENANTS, LIBRARY)
    assert chosen.ids == {"acme.first-touch"}
    assert "acme.first-touch" not in {each.sequence_id for each in chosen.beside}
    assert chosen.sequences().active("acme.first-touch") == chosen.tried[0]


def test_a_tenant_whose_pipeline_lacks_the_stage_is_named() -> None:
    other = {"north": Tenant(tenant_id="north", pipeline=("lead", "won", "lost"))}
    chosen = trial.choose("first-touch", None, other, LIBRARY)
    assert (chosen.tried, chosen.without) == ((), ("north",))


def test_definitions_are_the_last_word_on_each_version(
    message: Any, published: list[SequencePublished]
) -> None:
    first = replace(published[0], event_id="1")
    paused = replace(first, status="paused", event_id="2")
    key = f"{first.sequence_id}:{first.version}".encode()
    codec = Codec()
    messages = [
        message("sequence-definitions", codec.encode(each), key=key) for each in (first, paused)
    ]
    assert [each.status for each in trial.of_topic(messages)] == ["paused"]


@pytest.fixture
def result() -> Callable[..., Result]:
    def make(*lines: bytes, wanted: str = "first-touch") -> Result:
        found = given(*lines)
        chosen = trial.choose(wanted, None, TENANTS, LIBRARY)
        period = Period(BEGIN, datetime(2027, 2, 18, tzinfo=UTC))
        report = Report(chosen.ids, keeps_rows=True)
        with Progress(disable=True) as progress:
            live_all(report, chosen, found, period, TENANTS, progress)
        return Result(wanted, "a file", chosen, found, period, report, 0.5)

    return make


def test_the_page_says_what_is_sent_when_and_what_is_not(
    result: Callable[..., Result],
) -> None:
    refused = raw(2, email="eve@mail.example.com", name="Eve Moss", consent={"email": False})
    out = Console(file=io.StringIO(), width=160, markup=False, highlight=False)
    show(out, result(raw(1), refused))
    said = out.file.getvalue()  # type: ignore[attr-defined]
    assert "2 entered, 5 messages, 2 calls and tasks; 0 still under way at the end" in said
    assert "every message is accepted at once, no new answer comes" in said
    # T+0, and after 1, 3, 7 and 14 days (library/sequences/first-touch.yaml).
    for day in ("2026-11-20", "2026-11-21", "2026-11-23", "2026-11-27", "2026-12-04"):
        assert f"\n{day} " in said
    assert "hello: consent_refused 1" in said
    assert "completed 2" in said
    assert "hash of all decisions  " in said
    assert said.endswith("2 leads through 90 days of simulated time; that took 0.5 s\n")


def test_clashes_name_the_live_sequences_that_take_the_same_leads(
    result: Callable[..., Result],
) -> None:
    quote = raw(1, "quote_request", email="ada@mail.example.com", name="Ada Byron", scope="Roof")
    found = list(clashes(result(quote)))
    assert any(each.startswith("acme.quote-request: 1 lead in both at one time") for each in found)


def test_what_is_paused_now_is_a_clash(result: Callable[..., Result]) -> None:
    made = result(raw(1))
    pauses = AutomationPauses(Codec())
    for scope in ("channel:acme:email", "channel:acme:sms", "tenant:other"):
        pauses.apply(scope.encode(), b"not readable: paused")
    scopes = trial.paused(made.trial, pauses)  # First touch has no SMS
    assert scopes == ("channel:acme:email",)
    assert next(clashes(replace(made, paused=scopes))) == (
        "paused now: channel:acme:email; here it counts as resumed"
    )


def test_a_sequence_that_nobody_entered_says_by_what_it_is_entered(
    result: Callable[..., Result],
) -> None:
    out = Console(file=io.StringIO(), width=160)
    show(out, result(raw(1), wanted="proposal-reminders"))
    said = out.file.getvalue()  # type: ignore[attr-defined]
    assert "nobody entered: it is entered by stage proposal-sent" in said


def test_json_and_csv_hold_every_decision_and_no_address(
    result: Callable[..., Result],
) -> None:
    made = result(raw(1))
    text, table = io.StringIO(), io.StringIO()
    write_json(text, made)
    write_csv(table, made)
    told = json.loads(text.getvalue())
    lines = list(csv.DictReader(io.StringIO(table.getvalue())))
    assert len(told["decisions"]) == len(lines) == len(made.report.all_rows)
    assert told["hash"] == made.report.hash()
    assert "ada1@" not in text.getvalue() + table.getvalue()
    sent = [each for each in told["decisions"] if each["what"] == "send"]
    assert (sent[0]["at"], sent[0]["local"]) == (
        "2026-11-20T09:00:00.000Z",
        "2026-11-20T03:00:00-06:00",
    )


def test_two_runs_of_the_command_share_one_hash(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "leads.jsonl"
    file.write_bytes(b"\n".join(raw(number) for number in range(5)))
    monkeypatch.setenv("LEADFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LEADFLOW_KAFKA_BOOTSTRAP", raising=False)
    arguments = ["simulate", "first-touch", "--leads", str(file), "--from", "2026-11-20", "--json"]
    hashes = set()
    for _ in range(2):
        ended = CliRunner().invoke(app, arguments)
        assert ended.exit_code == 0, ended.output
        hashes.add(json.loads(ended.stdout)["hash"])
    assert len(hashes) == 1


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_control_that_cannot_be_read_is_told_beside_the_data(
    form: str, tmp_path: Path, monkeypatch: Any
) -> None:
    def running() -> tuple[None, AutomationPauses]:
        pauses = AutomationPauses(Codec())
        pauses.apply(b"everything", b"no record")
        return None, pauses

    monkeypatch.setattr(simulate, "running", running)
    file = tmp_path / "leads.jsonl"
    file.write_bytes(raw(1))
    ended = run(monkeypatch, tmp_path, "--leads", str(file), "--from", "2026-11-20", form)
    assert ended.exit_code == 0, ended.output
    assert "automation control not readable: paused" in ended.stderr
    if form == "--json":
        assert json.loads(ended.stdout)["sequence"] == "first-touch"
    else:
        assert ended.stdout.startswith("at,local,what,")


def test_where_the_leads_come_from_has_to_be_said() -> None:
    ended = CliRunner().invoke(app, ["simulate", "first-touch"])
    assert ended.exit_code == 1
    assert "give either --leads FILE or --from-topic" in ended.stderr


def run(monkeypatch: Any, tmp_path: Path, *arguments: str) -> Any:
    monkeypatch.setenv("LEADFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LEADFLOW_KAFKA_BOOTSTRAP", raising=False)
    return CliRunner().invoke(app, ["simulate", "first-touch", *arguments])


def test_leads_may_come_through_a_pipe(tmp_path: Path, monkeypatch: Any) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as writer:
        written = writer.submit(pipe.write_bytes, raw(1))
        ended = run(monkeypatch, tmp_path, "--leads", str(pipe))
        written.result(10)
    assert ended.exit_code == 0, ended.output
    assert "1 entered" in ended.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xd8 a picture\nof a roof", "holds no raw event; line 1: not JSON"),
        (b'\n{"event_id": 1}', "holds no raw event; line 2: event_id is missing or not a text"),
        (b"", "there are no leads in it"),
        (raw(1, at="9999-12-30T00:00:00Z"), "its first event is of 9999-12-30, too far ahead"),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_holds_no_leads_is_told_in_a_sentence(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: Any
) -> None:
    file = tmp_path / "leads.jsonl"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    ended = run(monkeypatch, tmp_path, "--leads", str(file))
    assert ended.exit_code == 1
    assert said in " ".join(ended.stderr.split())


def test_an_event_far_beyond_the_period_ends_no_run(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "leads.jsonl"
    file.write_bytes(b"\n".join([raw(1), raw(2, at="9999-12-30T00:00:00Z")]))
    ended = run(monkeypatch, tmp_path, "--leads", str(file))
    assert ended.exit_code == 0, ended.output
    assert "1 entered" in ended.stdout
