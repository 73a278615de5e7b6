"""`leadflow simulate SEQUENCE`: what a sequence would do with given or past leads."""

from __future__ import annotations

import gc
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from leadflow import tenants as tenant_settings
from leadflow.codec import Codec
from leadflow.records import SequencePublished
from leadflow.tenants import Tenant
from leadflow.topics import AUTOMATION_CONTROLS, LEAD_EVENTS, SEQUENCE_DEFINITIONS
from leadflow_cli import given_leads, simulated, trial
from leadflow_cli.errors import CliError
from leadflow_cli.given_leads import Given
from leadflow_cli.period import TOO_FAR, moment_of
from leadflow_cli.reading import reader
from leadflow_cli.repository import shipped_settings
from leadflow_cli.targets import Target
from leadflow_cli.terminal import console
from sequencer.dryrun import NoPauses, Period, by_hand, live
from sequencer.dryrun_report import Report
from sequencer.model import Setting
from sequencer.pauses import AutomationPauses

DAYS = 90


def simulate(
    sequence: Annotated[
        str, typer.Argument(help="A published sequence, or a YAML file of the library's format.")
    ],
    leads: Annotated[
        Path | None, typer.Option(help="Given leads: JSON raw events, one a line.")
    ] = None,
    from_topic: Annotated[
        bool, typer.Option("--from-topic", help="Past leads: what lead-events holds.")
    ] = False,
    begin: Annotated[
        str | None, typer.Option("--from", help="The first day (UTC), or a time.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help=f"The last day; {DAYS} days unless said.")
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="With no other sequence beside it.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything as JSON, every decision among it.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Every decision as a line of CSV.")] = False,
) -> None:
    """Run a sequence over leads in simulated time: what would be sent when, and what not.

    The decisions are the sequencer's own. Nothing is written to Kafka and no provider is
    called. Every message counts as sent, and nobody answers but by the events that are given.
    """
    if (leads is None) != from_topic:
        raise CliError("give either --leads FILE or --from-topic")
    if as_json and as_csv:
        raise CliError("give --json or --csv, not both")
    began = time.monotonic()
    gc.freeze()  # what is alive stays, and what follows is freed by counting: a tenth of the time
    gc.set_threshold(100_000, 20, 100)
    settings = tenants()
    with _progress() as progress:
        given, period = _leads(leads, begin, end, settings, progress)
        if not given.events:
            raise CliError("there are no leads in it")
        used = {name: settings.get(name) or Tenant(tenant_id=name) for name in given.tenants()}
        published, pauses = running()
        chosen = trial.choose(sequence, published, used, library_folder(), alone=alone)
        report = Report(chosen.ids, keeps_rows=as_json or as_csv)
        _live(report, chosen, given, period, used, progress)
    result = simulated.Result(
        wanted=sequence,
        origin="the lead-events topic" if leads is None else str(leads),
        trial=chosen,
        given=given,
        period=period,
        report=report,
        paused=trial.paused(chosen, pauses),
        seconds=time.monotonic() - began,
    )
    if as_json:
        simulated.write_json(sys.stdout, result)
    elif as_csv:
        simulated.write_csv(sys.stdout, result)
    else:
        simulated.show(console(), result)


def tenants() -> dict[str, Tenant]:
    """The tenants of LEADFLOW_TENANTS_FILE, else the shipped ones."""
    name = "LEADFLOW_TENANTS_FILE"
    file = os.environ.get(name) or shipped_settings().get(name)
    return dict(tenant_settings.load(Path(file) if file else None))


def library_folder() -> Path:
    """LEADFLOW_LIBRARY, else the shipped one."""
    name = "LEADFLOW_LIBRARY"
    return Path(os.environ.get(name) or shipped_settings().get(name) or "library")


def running() -> tuple[list[SequencePublished] | None, AutomationPauses]:
    """What the running leadflow has published, None where none runs; what is paused in it."""
    pauses = AutomationPauses(Codec())
    target = Target.find(os.environ)
    if target.running is None and not os.environ.get("LEADFLOW_KAFKA_BOOTSTRAP"):
        return None, pauses
    with reader(target.kafka_bootstrap) as log:
        published = trial.of_topic(log.to_end(log.partitions(SEQUENCE_DEFINITIONS.name)))
        for message in log.to_end(log.partitions(AUTOMATION_CONTROLS.name)):
            pauses.apply(message.key or b"", message.value)
    return published, pauses


def _leads(
    file: Path | None,
    begin: str | None,
    end: str | None,
    settings: dict[str, Tenant],
    progress: Progress,
) -> tuple[Given, Period]:
    wanted = None if begin is None else moment_of(begin, "--from")
    task = progress.add_task("read", total=None)

    def read(count: int) -> None:
        progress.update(task, completed=count)

    if file is None:
        with reader(Target.find(os.environ).kafka_bootstrap) as log:
            given = given_leads.of_topic(log.to_end(log.partitions(LEAD_EVENTS.name)), read)
        moments = (each[0].recorded_at for each in given.events.values())
        first = wanted or min(moments, default=None)
    else:
        lines = _lines(file)
        happened = given_leads.first_moment(lines)
        if happened is None and (wrong := given_leads.first_wrong(lines)) is not None:
            raise CliError(f"{file} holds no raw event; {wrong}")
        first = wanted or happened
        if first is not None:
            given = given_leads.of_file(lines, settings, first, read)
    if first is None:
        raise CliError("there are no leads in it")
    if first >= TOO_FAR:
        raise CliError(f"its first event is of {first:%Y-%m-%d}, too far ahead: say --from")
    last = first + timedelta(days=DAYS) if end is None else moment_of(end, "--to", end=True)
    if last <= first:
        raise CliError("--to is not after --from")
    progress.update(task, total=given.read)
    return given, Period(first, last)


def _lines(file: Path) -> list[bytes]:
    """Of a file or a pipe. Raises CliError."""
    try:
        return file.read_bytes().splitlines()
    except FileNotFoundError:
        raise CliError(f"there is no file {file}") from None
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from None


def _live(
    report: Report,
    chosen: trial.Trial,
    given: Given,
    period: Period,
    used: dict[str, Tenant],
    progress: Progress,
) -> None:
    setting = Setting(chosen.sequences(), NoPauses(), used)
    manual = {
        each.tenant_id: each.sequence_id for each in chosen.tried if each.trigger.kind == "manual"
    }
    for lead_id in progress.track(sorted(given.events), description="leads lived"):
        events = given.events[lead_id]
        if (by := manual.get(events[0].tenant_id)) is not None:
            events = [*by_hand(events, by, period)]
        life = live(events, setting, period)
        if life is not None:
            report.add(life)


def _progress() -> Progress:
    """On standard error: what is printed may go to a file or into a pipe."""
    return Progress(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
