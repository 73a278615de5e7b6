"""Suppression lists over the API, on a real log and database. Rules: 47 CFR 64.1200(d)(6) and
15 U.S.C. 7704(a)(4): an opt-out holds until the person gives a new permission; RFC 4180 for files.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from leadflow import ids
from leadflow.records import SuppressionChanged

pytestmark = [pytest.mark.integration, pytest.mark.either_server]


@pytest.fixture
def ops(portal: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", portal.tenants[0].tenant_id, "priya") as client:
        client.headers["Prefer"] = "wait=10"  # until the list shows what was done
        yield client


@pytest.fixture
def others(portal: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", portal.tenants[1].tenant_id) as client:
        yield client


def add(ops: httpx.Client, address: str, **more: Any) -> dict[str, Any]:
    body = {"address": address, "note": "asked on the phone", **more}
    done = ops.post("/suppressions", json=body)
    assert done.status_code == 201, done.text
    answer: dict[str, Any] = done.json()
    return answer


def lift(ops: httpx.Client, entry: str, **body: Any) -> httpx.Response:
    return ops.request("DELETE", f"/suppressions/{entry}", json=body)


def listed(ops: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = ops.get("/suppressions", params=query).json()["items"]
    return items


def imported(ops: httpx.Client, text: str | bytes, **query: Any) -> httpx.Response:
    return ops.post("/suppressions/import", content=text, params=query)


def done(ops: httpx.Client, import_id: str) -> Callable[[], bool]:
    return lambda: ops.get(f"/suppressions/imports/{import_id}").json()["state"] == "done"


def test_an_address_is_listed_on_every_channel_that_it_has_with_reason_time_and_source(
    portal: Any, ops: httpx.Client
) -> None:
    answer = add(ops, "(512) 555-0142")
    assert (answer["added"], answer["listed"]) == (3, True)
    rows = listed(ops, address="+15125550142")
    assert {row["channel"] for row in rows} == {"sms", "whatsapp", "call"}
    for row in rows:
        assert (row["address"], row["reason"], row["state"]) == ("+15125550142", "manual", "active")
        assert (row["by"], row["source"], row["note"]) == ("priya", "portal", "asked on the phone")
    entry = ids.suppression_id(portal.tenants[0].tenant_id, "sms", "+15125550142", "manual")
    (record,) = portal.read("suppressions", entry)
    assert isinstance(record, SuppressionChanged)
    assert (record.active, record.address) == (True, "+15125550142")


def test_what_stands_on_the_list_keeps_its_first_reason_and_time(ops: httpx.Client) -> None:
    first = add(ops, "Twice@Example.com")["items"][0]
    again = ops.post("/suppressions", json={"address": "twice@example.COM", "note": "later"})
    assert (again.status_code, again.json()["added"]) == (201, 0)
    assert again.json()["items"] == [first]


def test_a_mailbox_that_works_again_is_lifted_with_a_reason(portal: Any, ops: httpx.Client) -> None:
    entry = add(ops, "full@example.com", reason="hard_bounce")["items"][0]["id"]
    assert lift(ops, entry).status_code == 422
    done = lift(ops, entry, reason="the mailbox was emptied")
    assert (done.status_code, done.json()["state"]) == (200, "lifted")
    assert listed(ops, address="full@example.com") == []
    (row,) = listed(ops, address="full@example.com", state="lifted")
    assert row["note"] == "the mailbox was emptied"
    assert lift(ops, entry, reason="again").status_code == 409


@pytest.mark.parametrize("reason", ["opt_out", "complaint"])
def test_a_persons_own_word_is_lifted_only_with_evidence_of_a_new_opt_in(
    portal: Any, ops: httpx.Client, reason: str
) -> None:
    entry = add(ops, f"{reason}@example.com", reason=reason)["items"][0]["id"]
    refused = lift(ops, entry, reason="we would like to")
    assert refused.status_code == 409
    assert "new opt-in" in refused.json()["detail"]
    assert listed(ops, address=f"{reason}@example.com")[0]["state"] == "active"
    done = lift(ops, entry, reason="asks again", evidence="box ticked on form-4711, Nov 20")
    assert (done.status_code, done.json()["state"]) == (200, "lifted")
    # Consent is intake's: it hears of the new yes as of any other.
    (_, record) = portal.read("suppressions", entry, 2)
    assert record.evidence == "box ticked on form-4711, Nov 20"


def test_an_opt_out_that_an_operator_heard_reaches_intake_if_the_address_is_a_leads(
    portal: Any, ops: httpx.Client, wait_until: Callable[..., Any]
) -> None:
    story = portal.story()
    story.lead(7, story.at - story.at)
    story.tell(portal.bootstrap)
    email = "tomas.novak.7@example.com"
    wait_until(lambda: ops.get("/leads", params={"email": email}).json()["items"], "the lead")
    answer = ops.post(
        "/suppressions",
        json={"address": email, "reason": "opt_out", "note": "called in"},
        headers={"Idempotency-Key": "called-in"},
    )
    assert answer.status_code == 201
    received = ops.get("/pipeline").json()["received"]
    wait_until(lambda: ops.get("/pipeline").json()["received"] >= received, "the raw event")

    async def said() -> Any:
        database = await asyncpg.connect(portal.database_url)
        try:
            return await database.fetchval(
                "SELECT external_id FROM raw_events WHERE tenant_id = $1 AND kind = 'opt_out'",
                portal.tenants[0].tenant_id,
            )
        finally:
            await database.close()

    external_id = wait_until(lambda: asyncio.run(said()), "the opt-out in the log")
    key = f"{portal.tenants[0].tenant_id}:portal:{external_id}"
    (record,) = portal.read("raw-events", key)
    assert json.loads(record.payload) == {
        "email": email,
        "channel": "email",
        "evidence": "called in",
    }


def test_nobody_sees_or_changes_the_list_of_another_tenant(
    ops: httpx.Client, others: httpx.Client, portal: Any
) -> None:
    entry = add(ops, "ours@example.com")["items"][0]["id"]
    assert listed(others, address="ours@example.com") == []
    assert others.get(f"/suppressions/{entry}").status_code == 404
    assert lift(others, entry, reason="mine").status_code == 404
    tenant = portal.tenants[0].tenant_id
    for name in ("tenant", "tenant_id"):
        for path in ("/suppressions", "/suppressions/export", "/suppressions/imports"):
            assert others.get(path, params={name: tenant}).status_code == 403
    with portal.client("rep", tenant) as rep:
        assert rep.get("/suppressions").status_code == 403


@pytest.mark.parametrize("path", ["/suppressions", "/suppressions/export", "/suppressions/imports"])
def test_a_parameter_that_is_not_known_is_refused_instead_of_passed_over(
    ops: httpx.Client, path: str
) -> None:
    answer = ops.get(path, params={"tenants": "acme"})
    assert (answer.status_code, "tenants" in answer.text) == (422, True)
    assert ops.get(path, params={"tenant": "acme", "tenant_id": "other"}).status_code == 422


FILE = (
    "\ufeffEmail;Status;Note;Unsubscribed_at\r\n"
    "Ann@Example.com;unsubscribed;old tool;2025-03-01T10:00:00Z\r\n"
    "ann@example.com;unsubscribed;old tool;2025-03-01T10:00:00Z\r\n"
    "+44 20 7946 0018;opt_out;;\r\n"
    "bounced@example.com;cleaned;;\r\n"
    "nonsense;unsubscribed;;\r\n"
    "x@example.com;weather;;\r\n"
    "y@example.com;opt_out;;2999-01-01\r\n"
)


def test_a_dry_run_says_what_would_come_of_a_file_and_changes_nothing(
    ops: httpx.Client,
) -> None:
    tried = imported(ops, FILE.encode(), dry_run=True)
    assert tried.status_code == 200, tried.text
    answer = tried.json()
    # Ann once, a number on three channels, one bounced.
    assert (answer["rows"], answer["new"], answer["refused"], answer["id"]) == (7, 5, 3, None)
    assert [(each["line"], each["address"]) for each in answer["refusals"]] == [
        (6, "nonsense"),
        (7, "x@example.com"),
        (8, "y@example.com"),
    ]
    assert listed(ops, address="ann@example.com") == []
    assert ops.get("/suppressions/imports").json()["items"] == []


def test_a_file_is_imported_and_its_refused_lines_come_back_as_a_file(
    ops: httpx.Client, wait_until: Callable[..., Any]
) -> None:
    began = imported(ops, FILE.encode(), file="newsletter.csv")
    assert began.status_code == 202, began.text
    wait_until(done(ops, began.json()["id"]), "the import to end")
    wait_until(lambda: listed(ops, address="ann@example.com"), "Ann on the list")
    (ann,) = listed(ops, address="ann@example.com")
    assert (ann["reason"], ann["source"], ann["by"]) == ("opt_out", "import", "priya")
    assert (ann["at"], ann["note"]) == ("2025-03-01T10:00:00Z", "old tool")
    progress = ops.get(f"/suppressions/imports/{began.json()['id']}").json()
    assert (progress["told"], progress["new"], progress["refused"]) == (5, 5, 3)
    refused = ops.get(f"/suppressions/imports/{began.json()['id']}/refused")
    assert next(iter(csv.DictReader(io.StringIO(refused.text)))) == {
        "line": "6",
        "address": "nonsense",
        "why": "this is neither an e-mail address nor a number with its country code",
    }
    again = imported(ops, FILE.encode(), dry_run=True).json()
    assert (again["new"], again["known"]) == (0, 5)


def test_an_import_does_not_undo_what_a_person_lifted_since(
    ops: httpx.Client, wait_until: Callable[..., Any]
) -> None:
    entry = add(ops, "back@example.com", reason="hard_bounce")["items"][0]["id"]
    lift(ops, entry, reason="works again")
    line = "address,reason,time\nback@example.com,hard_bounce,2024-01-01\n"
    answer = imported(ops, line, dry_run=True).json()
    assert (answer["new"], answer["refused"]) == (0, 1)
    assert "it was lifted on" in answer["refusals"][0]["why"]


@pytest.mark.parametrize(
    ("data", "status", "why"),
    [
        (b"name\nAnn\n", 422, "one of them `address`"),
        (b"address\n\xff\xfe\n", 422, "not UTF-8"),
        (b"address\n" + b"a@example.com\n" * 50_001, 422, "50000 lines"),
        (b"address\n" + b"x" * 5_000_001, 413, "5 MB"),
        (b'address\n"open', 422, "no CSV"),
    ],
)
def test_a_file_that_is_no_list_or_too_large_is_refused_as_a_whole(
    ops: httpx.Client, data: bytes, status: int, why: str
) -> None:
    answer = imported(ops, data)
    assert answer.status_code == status
    assert why in answer.text


def test_an_export_is_taken_by_an_import_again_and_no_cell_is_a_formula(
    ops: httpx.Client, wait_until: Callable[..., Any]
) -> None:
    add(ops, "+15125550177", channel="sms", note='=HYPERLINK("http://evil.example")')
    told = ops.get("/suppressions/export")
    assert told.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(told.text)))
    (mine,) = [row for row in rows if row["address"] == "+15125550177"]
    assert mine["note"].startswith("'=")
    assert imported(ops, told.content, dry_run=True).json()["refused"] == 0


def test_who_sees_every_tenant_says_whose_list_is_exported(
    portal: Any, ops: httpx.Client, others: httpx.Client
) -> None:
    add(ops, "only.ours@example.com")
    with portal.client("admin", "", "ada") as admin:
        answer = admin.get("/suppressions/export")
        assert (answer.status_code, "say whose list" in answer.text) == (422, True)
        assert admin.get("/suppressions/export?tenant_id=nobody").status_code == 422
        exported = {
            tenant.tenant_id: admin.get(f"/suppressions/export?tenant_id={tenant.tenant_id}").text
            for tenant in portal.tenants
        }
    ours = portal.tenants[0].tenant_id
    assert {each for each, text in exported.items() if "only.ours@" in text} == {ours}


def test_every_write_and_every_export_is_in_the_audit_log_without_an_address(
    portal: Any, ops: httpx.Client
) -> None:
    entry = add(ops, "audited@example.com", reason="opt_out")["items"][0]["id"]
    lift(ops, entry, reason="no")
    ops.get("/suppressions/export")

    async def audited() -> list[Any]:
        database = await asyncpg.connect(portal.database_url)
        try:
            rows = await database.fetch(
                "SELECT action, status, target, detail::text FROM audit_log WHERE subject = 'priya'"
            )
            return [tuple(row) for row in rows]
        finally:
            await database.close()

    rows = asyncio.run(audited())
    written = {(action, status) for action, status, target, _ in rows if target == entry}
    assert written == {("suppression.add", 201), ("suppression.lift", 409)}
    assert ("suppression.export", 200) in {row[:2] for row in rows}
    assert "audited@example.com" not in str(rows)
