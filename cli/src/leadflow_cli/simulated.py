"""The outcome of a dry run, printed: a page for people, JSON or CSV with every decision."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from leadflow_cli.given_leads import Given
from leadflow_cli.trial import Trial
from portal_api.local_time import zone_of
from sequencer.decide.timing import TO_THE_LEAD
from sequencer.dryrun import Period
from sequencer.dryrun_report import Report, Row

ASSUMED = (
    "every message is accepted at once, no new answer comes, "
    "tasks that block are done at once, nothing is paused"
)
COLUMNS = (
    "at",
    "local",
    "what",
    "tenant_id",
    "lead_id",
    "sequence_id",
    "step_id",
    "channel",
    "due_at",
    "rule",
    "inputs",
)


@dataclass(frozen=True, slots=True)
class Result:
    """A run: what was tried over what, and what came of it."""

    wanted: str
    origin: str
    trial: Trial
    given: Given
    period: Period
    report: Report
    seconds: float
    paused: tuple[str, ...] = ()


def show(out: Console, result: Result) -> None:
    """The page: what would be sent by day and step, what not and why, clashes, the hash."""
    report = result.report
    for line in _head(result):
        out.print(line, soft_wrap=True)
    if report.by_day:
        out.print("\nSent, by day (UTC) and step; calls and tasks are for people:")
        out.print(_days(report))
    for title, counted in (
        ("Passed over:", _by_step(report.skipped)),
        ("Moved to another time:", _by_step(report.shifted)),
        ("Did not enter:", _plain(report.refused)),
        ("Ended:", _plain(report.ended)),
        ("Clashes with live sequences:", list(clashes(result))),
    ):
        if counted:
            out.print(f"\n{title}")
            for line in counted:
                out.print(f"  {line}", soft_wrap=True)
    out.print()
    out.print(f"hash of all decisions  {report.hash()}", soft_wrap=True)
    days = (result.period.end - result.period.begin).days
    out.print(
        f"{_leads(report.leads)} through {days:,} days of simulated time; "
        f"that took {result.seconds:.1f} s",
        soft_wrap=True,
    )


def _head(result: Result) -> Iterator[str]:
    report, trial = result.report, result.trial
    versions = ", ".join(f"{each.sequence_id} version {each.version}" for each in trial.tried)
    yield f"{result.wanted}: {versions or 'no tenant can run it'}"
    yield (
        f"over {report.leads:,} leads of {result.origin}, "
        f"{_moment(result.period.begin)} to {_moment(result.period.end)} UTC; "
        f"{len({each.sequence_id for each in trial.beside})} other sequences beside it"
    )
    yield f"assumed: {ASSUMED}"
    for tenant in trial.without:
        yield f"{tenant}: its pipeline has no stage that triggers this sequence"
    if result.given.refused:
        yield f"not taken in: {', '.join(_plain(result.given.refused))}"
    if report.not_carried_out:
        yield f"commands that cannot be carried out: {', '.join(_plain(report.not_carried_out))}"
    sent = sum(
        count
        for day in report.by_day.values()
        for step, count in day.items()
        if report.steps[step] in TO_THE_LEAD
    )
    others = sum(day.total() for day in report.by_day.values()) - sent
    yield (
        f"{report.entered:,} entered, {sent:,} messages, {others:,} calls and tasks; "
        f"{report.unfinished:,} still under way at the end"
    )
    if not report.entered and not report.refused:
        wanted = {f"{each.trigger.kind} {each.trigger.value}".strip() for each in trial.tried}
        for each in sorted(wanted):
            yield f"nobody entered: it is entered by {each}, and no lead came to that"


def _days(report: Report) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("day")
    counted = {step for day in report.by_day.values() for step in day}
    steps = [step for step in report.steps if step in counted]
    for step in steps:
        table.add_column(f"{step} ({report.steps[step]})", justify="right", overflow="fold")
    table.add_column("all", justify="right")
    total: Counter[str] = Counter()
    for day, counts in sorted(report.by_day.items()):
        total += counts
        table.add_row(day.isoformat(), *_numbers(counts, steps))
    table.add_row("all", *_numbers(total, steps))
    return table


def _numbers(counts: Counter[str], steps: Iterable[str]) -> list[str]:
    return [f"{counts[step]:,}" if counts[step] else "" for step in steps] + [f"{counts.total():,}"]


def _plain(counted: Counter[str]) -> list[str]:
    return [f"{name} {count:,}" for name, count in _most(counted)]


def _by_step(counted: Counter[tuple[str, str]]) -> list[str]:
    return [f"{step}: {rule} {count:,}" for (step, rule), count in _most(counted)]


def _most(counted: Counter[Any]) -> list[tuple[Any, int]]:
    """The most frequent first; the same order each time."""
    return sorted(counted.items(), key=lambda each: (-each[1], each[0]))


def clashes(result: Result) -> Iterator[str]:
    """How what is tried and what is live get into each other's way, a sentence each."""
    report, ours = result.report, result.trial.ids
    for scope in result.paused:
        yield f"paused now: {scope}; here it counts as resumed"
    for (kept_out, by), count in _most(report.exclusive):
        if kept_out in ours or by in ours:
            yield f"exclusive: {by} kept {_leads(count)} out of {kept_out}"
    for (ended, by), count in _most(report.superseded):
        if ended in ours or by in ours:
            yield f"exclusive: {by} took {_leads(count)} over from {ended}"
    for name, count in _most(report.capped):
        if name in ours or report.in_both[name]:
            yield f"cap: messages of {name} moved {count:,} times"
    for name, count in _most(report.in_both):
        if not count:
            continue
        words = f"{name}: {_leads(count)} in both at one time"
        if report.messages_beside[name]:
            words += f", {report.messages_beside[name]:,} messages of it meanwhile"
        if report.same_day[name]:
            words += f", messages of both on one day for {_leads(report.same_day[name])}"
        yield words


def _leads(count: int) -> str:
    return f"{count:,} lead" + ("" if count == 1 else "s")


def write_csv(file: TextIO, result: Result) -> None:
    """Every decision, by time; of every sequence, for the others are what may clash."""
    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    table.writeheader()
    for row in _in_order(result.report.all_rows):
        values = _row(row)
        values["inputs"] = json.dumps(values["inputs"], sort_keys=True, ensure_ascii=False)
        table.writerow(values)


def write_json(file: TextIO, result: Result) -> None:
    """One object; a decision is one line of it."""
    report = result.report
    head = {
        "sequence": result.wanted,
        "tried": [
            {"sequence_id": each.sequence_id, "version": each.version}
            for each in result.trial.tried
        ],
        "beside": sorted({each.sequence_id for each in result.trial.beside}),
        "from": _iso(result.period.begin),
        "to": _iso(result.period.end),
        "assumed": ASSUMED,
        "leads": report.leads,
        "not_taken_in": dict(_most(result.given.refused)),
        "entered": report.entered,
        "unfinished": report.unfinished,
        "sent": [
            {"day": day.isoformat(), "step": step, "channel": report.steps[step], "count": count}
            for day, counts in sorted(report.by_day.items())
            for step, count in sorted(counts.items())
        ],
        "skipped": _rules(report.skipped),
        "shifted": _rules(report.shifted),
        "refused": dict(_most(report.refused)),
        "ended": dict(_most(report.ended)),
        "clashes": list(clashes(result)),
        "hash": report.hash(),
    }
    text = json.dumps(head, indent=1, ensure_ascii=False)
    file.write(text.removesuffix("\n}") + ',\n "decisions": [')
    for number, row in enumerate(_in_order(report.all_rows)):
        file.write(",\n  " if number else "\n  ")
        file.write(json.dumps(_row(row), sort_keys=True, ensure_ascii=False))
    file.write("\n ]\n}\n")


def _rules(counted: Counter[tuple[str, str]]) -> list[Mapping[str, Any]]:
    return [{"step": step, "rule": rule, "count": count} for (step, rule), count in _most(counted)]


def _in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.at, row.lead_id))


def _row(row: Row) -> dict[str, Any]:
    return {
        "at": _iso(row.at),
        "local": _local(row.at, row.zone),
        "what": row.what,
        "tenant_id": row.tenant_id,
        "lead_id": row.lead_id,
        "sequence_id": row.sequence_id,
        "step_id": row.step_id,
        "channel": row.channel,
        "due_at": None if row.due_at is None else _iso(row.due_at),
        "rule": row.rule,
        "inputs": dict(row.inputs),
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _local(at: datetime, zone: str) -> str:
    return at.astimezone(zone_of(zone)).isoformat(timespec="seconds")


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
