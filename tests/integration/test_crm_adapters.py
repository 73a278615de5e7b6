"""The adapters of crm-sync against the CRMs that the sandbox plays, over real connections.

Answers are lost after the CRM has applied the call, and calls fail: whoever asks again until
there is an answer must find each thing once, and never an older value over a newer one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from crm_sync.crm.base import ContactWrite, Crm, CrmError, CrmLimited, CrmNever, CrmSignIn
from crm_sync.crm.providers import Access, open_crm
from crm_sync.model import Note, Task
from leadflow.clock import SystemClock

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LEADS = [f"lead-{n}" for n in range(15)]
STAGES = ("new", "qualified", "won")
SECRET = "whsec_bGVhZGZsb3cgc2FuZGJveCB3ZWJob29rcw=="


@dataclass(frozen=True)
class Played:
    """A CRM that the sandbox plays: where, and the kinds of what it keeps."""

    provider: str
    path: str
    secret: str
    target: str
    contacts: str
    kinds: dict[str, str]


CRMS = [
    Played(
        "hubspot",
        "/hubspot",
        "pat-na1-ACCOUNT",
        "hubspot",
        "contacts",
        {
            "contacts": "leadflow_lead_id",
            "deals": "leadflow_lead_id",
            "notes": "leadflow_note_id",
            "tasks": "leadflow_task_id",
        },
    ),
    Played(
        "followupboss",
        "/followupboss/v1",
        "fka_ACCOUNT",
        "followupboss",
        "people",
        {"people": "customLeadflowLeadId", "notes": "body", "tasks": "name"},
    ),
    Played(
        "webhook",
        "/webhook-crm/ACCOUNT",
        SECRET,
        "webhook-crm",
        "contacts",
        {"contacts": "external_id", "notes": "note_id", "tasks": "task_id"},
    ),
]


class Sandbox:
    """The sandbox as a process, and what the account `acme` of a CRM looks like."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.url = str(client.base_url).rstrip("/")

    def account(self, provider: str, path: str = "") -> Any:
        return self._client.get(f"/accounts/{provider}/acme{path}").raise_for_status().json()

    def set_up(self, provider: str, **how: Any) -> None:
        self._client.post(f"/accounts/{provider}/acme", json=how).raise_for_status()

    def fail(self, **rule: Any) -> None:
        self._client.post("/faults", json=rule).raise_for_status()

    def stop_failing(self) -> int:
        """How often calls were made to fail."""
        rules = self._client.get("/faults").json()["items"]
        self._client.delete("/faults")
        return sum(rule["hits"] for rule in rules)

    def forget(self) -> None:
        self._client.delete("/accepted")

    def call(self, path: str, body: Any, token: str) -> Any:
        signed = {"Authorization": f"Bearer {token}"}
        return self._client.post(path, json=body, headers=signed).raise_for_status().json()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environ = {**os.environ, "LEADFLOW_SANDBOX_PORT": str(port), "LEADFLOW_SMTP_SINK_PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox"], env=environ, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert b"listening on" in process.stderr.readline()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield Sandbox(client)
        process.kill()


@pytest.fixture(params=CRMS, ids=lambda played: played.provider)
def played(request: pytest.FixtureRequest) -> Played:
    found: Played = request.param
    return found


@pytest.fixture
async def crm(sandbox: Sandbox, played: Played) -> AsyncIterator[Crm]:
    sandbox.forget()
    # As many calls as the test makes: quotas have a test of their own.
    limits = {"burst": 10_000, "global": 10_000, "people": 10_000, "notes": 10_000}
    sandbox.set_up(played.provider, limits=limits)
    crm = opened(sandbox, played)
    yield crm
    await crm.close()


def opened(sandbox: Sandbox, played: Played) -> Crm:
    access = Access(
        secret=played.secret.replace("ACCOUNT", "acme"),
        url=sandbox.url + played.path.replace("ACCOUNT", "acme"),
        timeout_seconds=5,
    )
    return open_crm(played.provider, access, SystemClock())


def fields(number: int, revision: int) -> dict[str, Any]:
    return {
        "tenant_id": "acme",
        "first_name": f"Ada {number}",
        "email": f"ada-{number}@example.com",
        "phone": f"+1555123{number:04}",
        "stage": STAGES[revision],
        "source": "web-form",
        "revision": revision,
    }


async def write_until_done(crm: Crm, revision: int, ids: dict[str, str]) -> None:
    waiting = list(enumerate(LEADS))
    for _ in range(60):
        writes = [
            ContactWrite(lead, f"{lead}:{revision}", fields(number, revision), ids.get(lead))
            for number, lead in waiting
        ]
        answers = dict(zip(waiting, await crm.upsert(writes), strict=True))
        ids |= {lead: answer for (_, lead), answer in answers.items() if isinstance(answer, str)}
        waiting = [each for each, answer in answers.items() if isinstance(answer, CrmError)]
        if not waiting:
            return
    raise AssertionError(f"still not written: {answers}")


async def until_done(call: Callable[[], Awaitable[None]]) -> None:
    for _ in range(60):
        try:
            return await call()
        except CrmError as error:
            if not error.retryable:
                raise
    raise AssertionError("still not written")


async def test_lost_answers_and_failures_leave_each_thing_once_and_in_order(
    sandbox: Sandbox, played: Played, crm: Crm
) -> None:
    for seed, (mode, rate) in enumerate((("drop_after_accept", 0.2), ("fail", 0.1)), 1):
        for match in (None, {"to": "lead-7"}):
            sandbox.fail(target=played.target, mode=mode, rate=rate, seed=seed, match=match)
    ids: dict[str, str] = {}
    for revision in range(len(STAGES)):
        await write_until_done(crm, revision, ids)
    for number, lead in enumerate(LEADS[:5]):
        note, task = Note(f"s-{number}", "words", AT), Task(f"m-{number}", "call", "Call", "", AT)
        for _ in range(2):
            await until_done(lambda lead=lead, note=note: crm.add_note(lead, note))
            await until_done(lambda lead=lead, task=task: crm.add_task(lead, task))
    assert sandbox.stop_failing() > 3

    shown = sandbox.account(played.provider)["records"]
    for kind, key in played.kinds.items():
        twice = sandbox.account(played.provider, f"/{kind}/duplicates?by={key}")
        assert twice["items"] == [], kind
        assert shown[kind] == (5 if kind in ("notes", "tasks") else len(LEADS)), kind
    for record in sandbox.account(played.provider, f"/{played.contacts}?limit=1000")["items"]:
        revisions = [revision_of(change["values"]) for change in record["history"]]
        told = [revision for revision in revisions if revision is not None]
        assert told == sorted(told)
        assert told[-1] == len(STAGES) - 1
    if played.provider == "webhook":
        with pytest.raises(CrmNever):
            await crm.read(LEADS)
        return
    kept = await crm.read([*LEADS, "lead-nobody"])
    assert kept.keys() == set(LEADS)
    for number, lead in enumerate(LEADS):
        assert crm.kept(fields(number, 2)).items() <= kept[lead].items()


def revision_of(values: dict[str, Any]) -> int | None:
    found = values.get("leadflow_revision", values.get("customLeadflowRevision"))
    if found is None:
        found = values.get("contact", {}).get("revision")
    return None if found is None else int(found)


async def test_credentials_that_are_taken_away_show_in_the_canary_and_in_writes(
    sandbox: Sandbox, played: Played, crm: Crm
) -> None:
    await crm.canary()
    sandbox.set_up(played.provider, revoked=True)
    with pytest.raises(CrmSignIn):
        await crm.canary()
    (refused,) = await crm.upsert([ContactWrite("lead-1", "k", fields(1, 0))])
    assert isinstance(refused, CrmSignIn)
    sandbox.set_up(played.provider, revoked=False)
    await crm.canary()


@pytest.mark.parametrize(
    ("played", "missing"),
    [(CRMS[0], "leadflow_note_id"), (CRMS[1], "customLeadflowLeadId")],
    indirect=["played"],
    ids=["hubspot", "followupboss"],
)
async def test_an_account_that_lacks_our_fields_is_given_them(
    sandbox: Sandbox, played: Played, crm: Crm, missing: str
) -> None:
    sandbox.set_up(played.provider, without=[missing])
    with pytest.raises(CrmSignIn, match=missing):
        await crm.canary()
    for _ in range(2):
        await crm.prepare()
    await crm.canary()


@pytest.mark.parametrize(
    ("limits", "wait"),
    [({"daily": 0}, timedelta(hours=1)), ({"burst": 0}, timedelta(seconds=10))],
    ids=["daily", "burst"],
)
async def test_hubspots_daily_limit_is_a_long_wait(
    sandbox: Sandbox, limits: dict[str, int], wait: timedelta
) -> None:
    sandbox.forget()
    sandbox.set_up("hubspot", limits=limits)
    crm = opened(sandbox, CRMS[0])
    (limited,) = await crm.upsert([ContactWrite("lead-1", "k", fields(1, 0))])
    await crm.close()
    assert isinstance(limited, CrmLimited)
    assert limited.retry_after == wait


async def test_a_contact_of_somebody_else_becomes_the_leads(sandbox: Sandbox) -> None:
    sandbox.forget()
    crm = opened(sandbox, CRMS[0])
    theirs = {"inputs": [{"idProperty": "email", "id": "ada-1@example.com", "properties": {}}]}
    path = "/hubspot/crm/v3/objects/contacts/batch/upsert"
    existing = sandbox.call(path, theirs, "pat-na1-acme")["results"][0]["id"]
    answers = await crm.upsert(
        [ContactWrite(name, f"{name}:0", fields(1, 0)) for name in ("lead-1", "lead-2")]
    )
    await crm.close()
    assert answers[0] == existing
    found = sandbox.account("hubspot", "/contacts")["items"]
    others = {record["id"]: record["values"] for record in found}
    assert others[existing]["leadflow_lead_id"] == "lead-1"
    assert "email" not in others[str(answers[1])]
