"""Calls to Follow Up Boss and what its answers mean, by examples after its documentation."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from crm_sync.crm.base import (
    ContactWrite,
    CrmError,
    CrmLimited,
    CrmMissing,
    CrmNever,
    CrmOdd,
    CrmSignIn,
    CrmUnavailable,
)
from crm_sync.crm.defaults import FOLLOW_UP_BOSS
from crm_sync.crm.followupboss import FollowUpBossCrm
from crm_sync.crm.mapping import read_mapping
from crm_sync.model import Note, Task

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NOTE = Note("s-1", "Wants a roof", AT)
TASK = Task("m-1", "call", "Call Ada", "About the roof", AT, "rita")
NONE = "followupboss.people-get-none"
FOUND = "followupboss.people-get"
ADA = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.com",
    "phone": "+15551230000",
    "stage": "new",
    "attribution": {"channel": "google", "campaign": "roofs", "medium": "cpc"},
}


@pytest.fixture
def crm(recorded: Any) -> FollowUpBossCrm:
    # As few fields as the examples have.
    given = ("stage", "owner", "attribution.channel", "attribution.campaign", "attribution.medium")
    names = ("first_name", "last_name", *given)
    contact = {name: FOLLOW_UP_BOSS.contact[name] for name in names}
    mapping = replace(read_mapping({"owners": {"rita": "7"}}, FOLLOW_UP_BOSS), contact=contact)
    return FollowUpBossCrm(
        "fka_secret",
        system="leadflow",
        system_key="syskey",
        url="http://fub.test",
        mapping=mapping,
        transport=recorded.transport,
    )


def write(crm_id: str | None = None, name: str = "lead-1", **fields: Any) -> ContactWrite:
    return ContactWrite(name, f"{name}:0", {**ADA, **fields}, crm_id)


async def answer(crm: FollowUpBossCrm, wanted: ContactWrite) -> str | CrmError:
    (found,) = await crm.upsert([wanted])
    return found


async def test_a_new_lead_comes_in_as_an_event_of_nobody_whom_we_know(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.answer(NONE, NONE, NONE, "followupboss.events-post", "followupboss.people-id-put")
    assert await answer(crm, write()) == "1381"
    assert recorded.asked() == [
        "GET /people",
        "GET /people",
        "GET /people",
        "POST /events",
        "PUT /people/1381",
    ]
    recorded.assert_is(0, FOUND)
    assert recorded.requests[1].url.params["email"] == "ada@example.com"
    assert recorded.requests[2].url.params["phone"] == "+15551230000"
    recorded.assert_is(3, "followupboss.events-post")
    # What the event did not do, by its answer.
    assert recorded.body(4) == {
        "customLeadflowChannel": "google",
        "customLeadflowCampaign": "roofs",
        "customLeadflowMedium": "cpc",
    }


async def test_every_call_names_the_system_and_the_key(crm: FollowUpBossCrm, recorded: Any) -> None:
    recorded.answer("followupboss.customfields-get")
    await crm.canary()
    recorded.assert_is(0, "followupboss.customfields-get")
    (request,) = recorded.requests
    assert request.headers["X-System"] == "leadflow"
    assert request.headers["X-System-Key"] == "syskey"
    assert request.headers["Authorization"] == "Basic " + b64encode(b"fka_secret:").decode()


async def test_a_lost_answer_to_an_event_makes_no_second_person(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.answer(NONE, NONE, NONE, httpx.ReadTimeout("lost"))
    assert isinstance(await answer(crm, write()), CrmUnavailable)
    recorded.answer(FOUND, "followupboss.people-id-put")
    assert await answer(crm, write()) == "1381"
    assert recorded.asked().count("POST /events") == 1
    assert "POST /people" not in recorded.asked()


async def test_a_person_of_another_lead_is_left_alone(crm: FollowUpBossCrm, recorded: Any) -> None:
    recorded.answer(NONE, FOUND, "followupboss.people-post", "followupboss.people-id-put")
    assert await answer(crm, write(name="lead-2")) == "1400"
    assert recorded.asked()[2] == "POST /people"
    assert recorded.body(2)["customLeadflowLeadId"] == "lead-2"


async def test_a_known_person_is_written_by_its_id_and_only_what_differs(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.answer("followupboss.people-id-get", "followupboss.people-id-put")
    assert await answer(crm, write("1381", stage="won", owner="rita")) == "1381"
    recorded.assert_is(0, "followupboss.people-id-get")
    assert recorded.body(1) == {
        "stage": "Closed",
        "assignedUserId": 7,
        "customLeadflowStage": "won",
        "customLeadflowOwner": "rita",
        "customLeadflowChannel": "google",
        "customLeadflowCampaign": "roofs",
        "customLeadflowMedium": "cpc",
    }


async def test_numbers_that_agents_added_stay(crm: FollowUpBossCrm, recorded: Any) -> None:
    recorded.answer("followupboss.people-id-get", "followupboss.people-id-put")
    await answer(crm, write("1381", phone="+15559990000"))
    phones = [each["value"] for each in recorded.body(1)["phones"]]
    assert phones == ["+15559990000", "5551230000"]


async def test_a_person_who_is_as_wanted_is_not_written(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.answer("followupboss.people-id-get")
    wanted = ContactWrite("lead-1", "k", {"first_name": "Ada", "stage": "new"}, "1381")
    assert await answer(crm, wanted) == "1381"
    assert len(recorded.requests) == 1


async def test_a_person_who_was_merged_away_is_looked_for(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.answer("followupboss.error-responses.not-found", FOUND, "followupboss.people-id-put")
    assert await answer(crm, write("99")) == "1381"


@pytest.mark.parametrize(
    ("example", "kind", "wait"),
    [
        ("rate-limiting", CrmLimited, timedelta(seconds=8)),
        ("error-responses.bad-request", CrmNever, timedelta(0)),
        ("error-responses.unknown-field", CrmSignIn, timedelta(0)),
        ("error-responses.unauthorized", CrmSignIn, timedelta(0)),
        ("error-responses.unavailable", CrmUnavailable, timedelta(0)),
        # A new person cannot be reached before it is assigned.
        ("error-responses.not-found", CrmUnavailable, timedelta(0)),
    ],
)
async def test_a_refusal_says_whether_to_try_again(
    crm: FollowUpBossCrm, recorded: Any, example: str, kind: type[CrmError], wait: timedelta
) -> None:
    recorded.answer("followupboss.people-id-get", f"followupboss.{example}")
    error = await answer(crm, write("1381", stage="won"))
    assert type(error) is kind
    assert error.retry_after == wait
    assert "ada@example.com" not in str(error)


@pytest.mark.parametrize(
    ("canary", "kind"),
    [
        ("followupboss.customfields-get", CrmNever),
        ("followupboss.error-responses.forbidden", CrmSignIn),
    ],
)
async def test_a_forbidden_person_is_told_from_a_locked_account(
    crm: FollowUpBossCrm, recorded: Any, canary: str, kind: type[CrmError]
) -> None:
    recorded.answer("followupboss.people-id-get", "followupboss.error-responses.forbidden", canary)
    assert type(await answer(crm, write("1381", stage="won"))) is kind


async def test_a_source_that_the_account_ignores_is_no_retry(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.answer(NONE, NONE, NONE, "followupboss.events-post-archived")
    assert isinstance(await answer(crm, write()), CrmNever)


OWN_404 = {"errorMessage": "This resource does not exist."}


@pytest.mark.parametrize("crm_id", [None, "1381"])
@pytest.mark.parametrize("body", [None, {"message": "Not Found"}])
@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 405, 406, 410, 415, 421, 426])
async def test_an_address_that_is_gone_or_moved_is_about_the_account(
    crm: FollowUpBossCrm, recorded: Any, crm_id: str | None, body: Any, status: int
) -> None:
    recorded.respond(status, body, {"Location": "http://elsewhere.test/"})
    assert type(await answer(crm, write(crm_id))) is CrmSignIn
    assert len(recorded.requests) == 1


async def test_a_search_that_is_said_not_to_exist_is_about_the_account(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.respond(404, OWN_404)
    assert type(await answer(crm, write())) is CrmSignIn


@pytest.mark.parametrize("status", [404, 410])
async def test_a_person_who_is_said_not_to_exist_is_looked_for(
    crm: FollowUpBossCrm, recorded: Any, status: int
) -> None:
    recorded.respond(status, OWN_404)
    recorded.answer(FOUND, "followupboss.people-id-put")
    assert await answer(crm, write("99")) == "1381"


@pytest.mark.parametrize("status", [200, 204])
async def test_a_search_that_is_not_answered_is_about_the_account(
    crm: FollowUpBossCrm, recorded: Any, status: int
) -> None:
    recorded.respond(status, None)
    assert type(await answer(crm, write())) is CrmSignIn
    recorded.answer(FOUND)
    recorded.respond(status, None)
    with pytest.raises(CrmSignIn):
        await crm.add_note("lead-1", NOTE)


async def test_a_search_that_does_not_say_what_it_found_makes_nobody(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.respond(200, {})
    assert type(await answer(crm, write())) is CrmUnavailable
    assert recorded.asked() == ["GET /people"]


async def test_a_note_is_looked_for_before_it_is_written(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.answer(FOUND, "followupboss.notes-get", "followupboss.notes-post")
    await crm.add_note("lead-1", NOTE)
    recorded.assert_is(1, "followupboss.notes-get")
    written = recorded.body(2)
    assert (written["personId"], written["isHtml"]) == (1381, False)
    assert written["body"].startswith("Wants a roof\n\n[leadflow ")
    recorded.answer(FOUND)
    recorded.respond(200, {"notes": [{"id": 20, "body": "Other"}, {"id": 21, **written}]})
    await crm.add_note("lead-1", NOTE)
    assert recorded.asked().count("POST /notes") == 1


async def test_a_task_is_looked_for_before_it_is_written(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.answer(FOUND, "followupboss.tasks-get", "followupboss.tasks-post")
    await crm.add_task("lead-1", TASK)
    written = recorded.body(2)
    assert written["name"].startswith("Call Ada: About the roof [leadflow ")
    del written["name"]
    assert written == {
        "personId": 1381,
        "type": "Call",
        "assignedUserId": 7,
        "dueDateTime": "2026-11-21T09:00:00+00:00",
    }


async def test_a_note_of_nobody_says_so(crm: FollowUpBossCrm, recorded: Any) -> None:
    recorded.answer(NONE)
    with pytest.raises(CrmMissing):
        await crm.add_note("lead-1", NOTE)


async def test_what_is_read_is_comparable_with_what_is_kept(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    recorded.answer(FOUND, NONE)
    read = await crm.read(["lead-1", "lead-2"])
    assert read.keys() == {"lead-1"}
    kept = crm.kept({name: ADA[name] for name in ("first_name", "email", "phone", "stage")})
    assert kept.items() <= read["lead-1"].items()
    assert kept["phone"] == "5551230000"


async def test_an_account_without_our_fields_cannot_be_written_before_they_are_made(
    crm: FollowUpBossCrm, recorded: Any
) -> None:
    known = [{"name": n} for n in ("customLeadflowStage", "customLeadflowOwner")]
    known += [{"name": f"customLeadflow{n}"} for n in ("Channel", "Campaign", "Medium")]
    recorded.respond(200, {"customfields": known})
    with pytest.raises(CrmSignIn, match="customLeadflowLeadId"):
        await crm.canary()
    recorded.respond(200, {"customfields": known})
    recorded.respond(201, {"id": 9, "name": "customLeadflowLeadId", "type": "text"})
    await crm.prepare()
    assert recorded.body(2) == {"label": "Leadflow Lead Id", "type": "text"}


@pytest.mark.parametrize("what", ["fields", "notes"])
async def test_an_address_that_gives_page_after_page_is_not_asked_for_ever(
    what: str, crm: FollowUpBossCrm, recorded: Any
) -> None:
    page = [{"name": "customElse", "body": "Of somebody else"}] * 100
    if what == "notes":
        recorded.answer(FOUND)
    for _ in range(1000):
        recorded.respond(200, {"customfields": page, "notes": page})
    with pytest.raises(CrmOdd, match="without end"):
        await (crm.canary() if what == "fields" else crm.add_note("lead-1", NOTE))
    assert len(recorded.requests) < 50
