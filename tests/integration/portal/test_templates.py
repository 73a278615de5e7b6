"""Templates: refused, shown, tested; and what a reader's clicks and openings become."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from leadflow import ids
from leadflow.tokens import Sealer

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

HOUR = timedelta(hours=1)
LINKS = Sealer("only for tests")
TEMPLATE = {
    "subject": "{{ first_name }}, your roof",
    "body_html": '<p onclick="x()">Hi {{ first_name }} of {{ street | default: "your street" }}</p>'
    "<script>alert(1)</script>",
}


@pytest.fixture(scope="module")
def told(portal: Any, wait_until: Callable[..., Any]) -> Any:
    story = portal.story()
    story.publish_library()
    story.lead(0, HOUR)
    story.tell(portal.bootstrap)
    with portal.client("ops", story.tenant.tenant_id) as ops:
        wait_until(lambda: len(ops.get("/leads").json()["items"]) == 1, "the lead")
    return story


@pytest.fixture
def ops(portal: Any, told: Any) -> Iterator[httpx.Client]:
    with portal.client("ops", told.tenant.tenant_id, "olga@acme.example") as client:
        yield client


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Hi {{ frist_name }}", "there is no variable frist_name"),
        ("{% for i in (1..9) %}{% endfor %}", "there is no tag for"),
        ("{{ first_name | times: 9 }}", "there is no filter times"),
        ("{{" * 5_000, "is not closed by }}"),
    ],
)
def test_the_editor_refuses_what_no_lead_could_get(
    ops: httpx.Client, told: Any, template: str, said: str
) -> None:
    path = f"/sequences/{told.tenant.tenant_id}.first-touch/steps"
    for name in ("template_body", "template_html"):
        step = {"channel": "email", "template_subject": "Hi", name: template}
        answer = ops.post(path, json=step)
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(f"{name}: ")
        assert said in answer.json()["detail"]


def test_a_step_keeps_html_of_its_own(ops: httpx.Client, told: Any) -> None:
    made = ops.post("/sequences", json={"name": f"Nudge {uuid4().hex[:6]}", "trigger_stage": "new"})
    steps = f"/sequences/{made.json()['id']}/steps"
    step = {"channel": "email", "template_subject": "Hi", "template_html": TEMPLATE["body_html"]}
    answer = ops.post(steps, json=step)
    assert answer.status_code == 201, answer.text
    assert answer.json()["steps"][0]["template_html"] == TEMPLATE["body_html"]
    refused = ops.post(steps, json={**step, "channel": "sms"})
    assert refused.json()["detail"] == "template_html: only an e-mail has an HTML part"


def test_a_template_is_shown_as_a_lead_would_get_it(ops: httpx.Client, told: Any) -> None:
    answer = ops.post("/templates/preview", json={**TEMPLATE, "lead_id": told.leads[0]})
    shown = answer.json()
    assert answer.status_code == 200, answer.text
    lead = ops.get(f"/leads/{told.leads[0]}").json()
    name, street = lead["first_name"], lead["address"]["street"]
    assert shown["subject"] == f"{name}, your roof"
    assert shown["html"].startswith(f"<p>Hi {name} of {street}</p><p>400 Congress Ave")
    assert shown["text"].startswith(f"Hi {name} of {street}\n\n400 Congress Ave")
    assert (shown["missing"], shown["refused"]) == ([], None)


def test_a_preview_for_nobody_names_what_would_hold_the_message(
    ops: httpx.Client, told: Any
) -> None:
    shown = ops.post("/templates/preview", json=TEMPLATE).json()
    assert shown["missing"] == ["first_name"]
    assert "Hi [first_name] of your street" in shown["text"]
    refused = ops.post("/templates/preview", json={**TEMPLATE, "body_html": "{{ nobody }}"}).json()
    assert refused["refused"]["rule"] == "template_variable_unknown"
    assert refused["html"] is None


def test_nobody_is_shown_a_strangers_lead(portal: Any, told: Any) -> None:
    with portal.client("ops", told.tenant.tenant_id.replace("acme", "north")) as north:
        answer = north.post("/templates/preview", json={**TEMPLATE, "lead_id": told.leads[0]})
    assert answer.status_code == 404


def test_a_test_goes_to_whoever_asks_and_counts_for_nothing(
    portal: Any, ops: httpx.Client, told: Any, wait_until: Callable[..., Any]
) -> None:
    answer = ops.post("/templates/test-send", json={**TEMPLATE, "lead_id": told.leads[0]})
    assert answer.status_code == 202, answer.text
    made = answer.json()
    tenant = told.tenant.tenant_id
    lead_id = ids.test_lead_id(tenant, "olga@acme.example")
    (queued,) = portal.read("messages", lead_id)
    assert (queued.message_id, queued.recipient) == (made["message_id"], "olga@acme.example")
    assert (queued.purpose, queued.sequence_id, queued.enrollment_id) == ("test", None, None)
    assert queued.variables["first_name"] == ops.get(f"/leads/{told.leads[0]}").json()["first_name"]
    path = f"/templates/test-sends/{made['message_id']}"
    wait_until(lambda: ops.get(path).status_code == 200, "the test to be shown")
    assert ops.get(path).json()["state"] == "queued"
    assert ops.get(f"/leads/{lead_id}").status_code == 404
    assert ops.get(f"/leads/{lead_id}/timeline").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"to": "ceo@elsewhere.example"}, 403, "tests@acme.example"),
        ({"to": "tests@acme.example"}, 202, ""),
        ({"lead_id": None}, 422, "there is no value for first_name"),
        ({"body_html": "{% for %}"}, 422, "there is no tag for"),
        ({"channel": "sms"}, 422, ""),
    ],
)
def test_a_test_goes_nowhere_else_and_with_no_hole(
    ops: httpx.Client, told: Any, body: dict[str, Any], status: int, said: str
) -> None:
    wanted = {**TEMPLATE, "lead_id": told.leads[0], **body}
    answer = ops.post("/templates/test-send", json=wanted)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


# --- clicks and openings --------------------------------------------------------------------


def test_a_link_leads_where_it_says_and_a_click_is_noted_once(portal: Any, told: Any) -> None:
    tenant, message_id = told.tenant.tenant_id, str(uuid4())
    url = "https://book.example.com/acme?a=1&b=2"
    token = LINKS.seal("click", tenant, message_id, url)
    headers = {"User-Agent": "Mail/1.0", "Referer": "https://mail.example.com/inbox"}
    other = httpx.get(f"{portal.url}/c/{token}", headers={"User-Agent": "Other/2.0"})
    assert other.status_code == 302
    for method in ("GET", "GET", "HEAD"):
        answer = httpx.request(method, f"{portal.url}/c/{token}", headers=headers)
        assert answer.status_code == 302
        assert answer.headers["location"] == url
        assert answer.headers["cache-control"] == "no-store, max-age=0"
        assert answer.headers["referrer-policy"] == "no-referrer"
    another, mail = portal.read("raw-events", f"{tenant}:portal:{message_id}", wanted=2)
    assert (mail.kind, mail.source, mail.tenant_id) == ("clicked", "portal", tenant)
    payload = json.loads(mail.payload)
    at = datetime.fromisoformat(payload.pop("at"))
    assert abs(at - mail.occurred_at) < timedelta(milliseconds=1)
    assert payload == {
        "message_id": message_id,
        "user_agent": "Mail/1.0",
        "ip": "127.0.0.1",
        "url": url,
    }
    assert json.loads(another.payload)["user_agent"] == "Other/2.0"


def test_a_picture_tells_of_an_opening(portal: Any, told: Any) -> None:
    tenant, message_id = told.tenant.tenant_id, str(uuid4())
    answer = httpx.get(f"{portal.url}/o/{LINKS.seal('open', tenant, message_id)}.gif")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.headers["cache-control"] == "no-store, max-age=0"
    assert len(answer.content) == 43
    assert answer.content.startswith(b"GIF89a\x01\x00\x01\x00")
    (event,) = portal.read("raw-events", f"{tenant}:portal:{message_id}")
    assert event.kind == "opened"
    assert "url" not in json.loads(event.payload)


@pytest.mark.parametrize(
    "token",
    [
        "x" * 100,
        LINKS.seal("open", "acme", "m"),
        LINKS.seal("unsubscribe", "acme", "lead", "email", "m"),
        LINKS.seal("click", "acme", "m", "javascript:alert(1)"),
        LINKS.seal("click", "acme", "m", "//evil.example"),
        LINKS.seal("click", "acme", "m", "https://ours.example@evil.example/"),
        Sealer("another secret").seal("click", "acme", "m", "https://evil.example"),
    ],
)
def test_nothing_but_our_own_links_leads_anywhere(portal: Any, told: Any, token: str) -> None:
    answer = httpx.get(f"{portal.url}/c/{token}?url=https://evil.example")
    assert answer.status_code == 404
    assert "location" not in answer.headers
    assert httpx.get(f"{portal.url}/o/{LINKS.seal('click', 'a', 'm', 'u')}.gif").status_code == 404
