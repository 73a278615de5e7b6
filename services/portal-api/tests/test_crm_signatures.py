"""Signatures of CRMs' webhooks, against what HubSpot and Follow Up Boss have published."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from leadflow.errors import SettingError
from leadflow.settings import Environment
from leadflow.tenants import Tenant
from portal_api.webhooks.secrets import WebhookSecrets
from portal_api.webhooks.signatures import (
    follow_up_boss_signature,
    hubspot_signature,
    is_from_follow_up_boss,
    is_from_hubspot,
)

# HubSpot's own vector: hubspot-api-python, tests/spec/utils/test_signature.py.
SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
BODY = b"{'example_field':'example_value'}"
URL = "https://www.example.com/webhook_uri"
TIMESTAMP = "15000000"
SIGNED_AT = datetime.fromtimestamp(15_000, UTC)
SIGNATURE = "HPW73RUtKmcYoEDADG0s6MmGFWUzWJKAW07r8RDgcQw="


def holds(
    url: str = URL,
    body: bytes = BODY,
    *,
    signature: str = SIGNATURE,
    timestamp: str = TIMESTAMP,
    seconds: float = 0,
    secrets: tuple[str, ...] = (SECRET,),
) -> bool:
    now = SIGNED_AT + timedelta(seconds=seconds)
    return is_from_hubspot(secrets, url, body, signature=signature, timestamp=timestamp, now=now)


def test_hubspots_example_has_hubspots_signature() -> None:
    assert hubspot_signature(SECRET, "POST", URL, BODY, TIMESTAMP) == SIGNATURE
    assert holds()


def signed(url: str) -> str:
    """What HubSpot says to sign, written down anew: POST, URL, body, timestamp."""
    said = b"POST" + url.encode() + BODY + TIMESTAMP.encode()
    return base64.b64encode(hmac.new(SECRET.encode(), said, hashlib.sha256).digest()).decode()


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        ("%3A", ":"), ("%2F", "/"), ("%3F", "?"), ("%40", "@"), ("%21", "!"), ("%24", "$"),
        ("%27", "'"), ("%28", "("), ("%29", ")"), ("%2A", "*"), ("%2C", ","), ("%3B", ";"),
        ("%3a", ":"), ("%3b", ";"),
    ],
)  # fmt: skip
def test_of_the_url_hubspot_signs_these_characters_decoded(encoded: str, decoded: str) -> None:
    assert holds(f"{URL}/a{encoded}b?x=1", signature=signed(f"{URL}/a{decoded}b?x=1"))


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [("%20", " "), ("%20", "+"), ("%26", "&"), ("%3D", "="), ("%C3%A4", "ä"), ("%253A", ":")],
)
def test_other_characters_stay_as_they_were_called(encoded: str, decoded: str) -> None:
    assert holds(f"{URL}?x={encoded}", signature=signed(f"{URL}?x={encoded}"))
    assert not holds(f"{URL}?x={encoded}", signature=signed(f"{URL}?x={decoded}"))


def test_a_url_that_was_signed_as_it_was_called_holds_as_well() -> None:
    assert holds(f"{URL}?next=https%3A%2F%2Fa", signature=signed(f"{URL}?next=https%3A%2F%2Fa"))


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_within_five_minutes_hubspots_webhook_holds(seconds: float) -> None:
    assert holds(seconds=seconds)


@pytest.mark.parametrize("seconds", [-86_400, -300.5, 300.5, 86_400])
def test_hubspots_webhook_from_another_time_is_a_replay(seconds: float) -> None:
    assert not holds(seconds=seconds)


@pytest.mark.parametrize(
    "timestamp", ["", "15000", "15000001", "15000000.0", "-15000000", "9" * 400, "١٥٠٠٠٠٠٠", "now"]
)
def test_another_timestamp_is_not_what_hubspot_signed(timestamp: str) -> None:
    assert not holds(timestamp=timestamp)


def test_what_hubspot_did_not_sign_so_is_not_hubspots() -> None:
    assert not holds(body=BODY + b" ")
    assert not holds(URL + "/other")
    assert not holds(URL.replace("https", "http"))
    assert not holds(secrets=("zzzzzzzz-yyyy-yyyy-yyyy-yyyyyyyyyyyy",))
    assert not holds(secrets=())
    for signature in ("", SIGNATURE[:-1], SIGNATURE.lower(), "王" + SIGNATURE):
        assert not holds(signature=signature)


def test_while_a_client_secret_is_replaced_both_hold() -> None:
    assert holds(secrets=("a-new-one-of-theirs", SECRET))


# As the guide shows it in PHP: hash_hmac("sha256", base64_encode($content), $systemKey). The
# value was made with openssl.
KEY = "560270f7914b5b4a5f4dc1793ebc2796"
PEOPLE = b'{"eventId":"152d60c0-79db-4a28-a30c-d9dbe5e9a8a7","event":"peopleUpdated"}'
PEOPLES = "f085649773296e7b7ddd75c58b067ff6fdec722cebdf312afc26032059e2f46f"


def test_follow_up_boss_signs_the_body_in_base64() -> None:
    assert follow_up_boss_signature(KEY, PEOPLE) == PEOPLES
    assert is_from_follow_up_boss([KEY], PEOPLE, PEOPLES)
    assert is_from_follow_up_boss(["another system's key", KEY], PEOPLE, PEOPLES)


def test_what_follow_up_boss_did_not_sign_is_not_theirs() -> None:
    assert not is_from_follow_up_boss([KEY], PEOPLE + b"\n", PEOPLES)
    assert not is_from_follow_up_boss([KEY[::-1]], PEOPLE, PEOPLES)
    assert not is_from_follow_up_boss([], PEOPLE, PEOPLES)
    plain = hmac.new(KEY.encode(), PEOPLE, hashlib.sha256).hexdigest()
    for signature in ("", PEOPLES[:-1], plain, "王"):
        assert not is_from_follow_up_boss([KEY], PEOPLE, signature)


# --- where the secrets come from -------------------------------------------------------------

ACME = Tenant(tenant_id="acme", webhook_secrets={"hubspot": "LEADFLOW_ACME_HUBSPOT"})


def read(**variables: str) -> WebhookSecrets:
    environment = {f"LEADFLOW_{name}": value for name, value in variables.items()}
    return WebhookSecrets.read(Environment(environment), {"acme": ACME})


def test_a_crm_has_secrets_of_each_tenant_and_for_all() -> None:
    known = read(ACME_HUBSPOT=SECRET, WEBHOOK_SECRET_FOLLOWUPBOSS=KEY)
    assert known.of("hubspot", "acme") == (SECRET,)
    assert known.of("followupboss", "acme") == (KEY,)
    assert known.of("hubspot", "north") not in ((SECRET,), ("",))


@pytest.mark.parametrize("value", ["hunter2", "x" * 15, "with a blank in its middle", "ä" * 32])
def test_a_key_that_is_none_is_named_and_not_shown(value: str) -> None:
    with pytest.raises(SettingError, match="LEADFLOW_ACME_HUBSPOT takes") as caught:
        read(ACME_HUBSPOT=value)
    assert value not in str(caught.value)
