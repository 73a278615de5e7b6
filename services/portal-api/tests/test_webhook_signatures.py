"""Signatures of webhooks, against values that the providers have published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leadflow.errors import SettingError
from leadflow.settings import Environment
from leadflow.tenants import Tenant
from portal_api.webhooks.secrets import WebhookSecrets
from portal_api.webhooks.signatures import (
    is_from_twilio,
    standard_id,
    standard_key,
    standard_signature,
    twilio_signature,
)

# Twilio's own vectors: twilio-python, tests/unit/test_request_validator.py.
TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
PARAMS = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]

# The vector of Standard Webhooks (libraries/python/tests/test_webhooks.py) and of Svix.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = "1614265330"
SIGNED_AT = datetime.fromtimestamp(int(TIMESTAMP), UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
KEY = standard_key(SECRET)


def headers(name: str = "webhook", **changes: str) -> dict[str, str]:
    told = {"id": ID, "timestamp": TIMESTAMP, "signature": SIGNATURE, **changes}
    return {f"{name}-{part}": value for part, value in told.items() if value}


def test_twilios_example_has_twilios_signature() -> None:
    assert twilio_signature(TOKEN, URL, PARAMS) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_a_parameter_that_comes_twice_counts_with_each_of_its_values() -> None:
    params = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234")]
    for more in ([], [("Digits", "1234")]):
        assert twilio_signature(TOKEN, URL, params + more) == "IK+Dwps556ElfBT0I3Rgjkr1wJU="


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        (URL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),  # signed with port 443
        (URL.replace(".com", ".com:1234"), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (URL.replace("https", "http"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),  # with port 80
        (
            URL.replace("https", "http").replace(".com", ".com:1234"),
            "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=",
        ),
    ],
)
def test_twilio_signs_with_the_port_or_without_it(url: str, signature: str) -> None:
    assert is_from_twilio([TOKEN], url, PARAMS, signature)


@pytest.mark.parametrize(
    ("token", "url", "params", "signature"),
    [
        ("54321", URL, PARAMS, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (TOKEN, URL + "&baz=3", PARAMS, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (TOKEN, URL, [*PARAMS[:1], ("Digits", "9"), *PARAMS[2:]], "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (TOKEN, URL, [*PARAMS, ("More", "1")], "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (TOKEN, URL, PARAMS, ""),
        (TOKEN, URL, PARAMS, "王 RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    ],
)  # fmt: skip
def test_what_twilio_did_not_sign_is_not_twilios(
    token: str, url: str, params: list[tuple[str, str]], signature: str
) -> None:
    assert not is_from_twilio([token], url, params, signature)


def test_while_a_token_is_replaced_both_hold() -> None:
    assert is_from_twilio(["new", TOKEN], URL, PARAMS, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")


def test_the_standards_example_has_the_standards_signature() -> None:
    assert standard_signature(KEY, ID, TIMESTAMP, BODY) == SIGNATURE
    assert standard_key(SECRET.removeprefix("whsec_")) == KEY


@pytest.mark.parametrize("name", ["webhook", "svix"])
def test_a_webhook_is_known_under_both_names_of_its_headers(name: str) -> None:
    assert standard_id([KEY], headers(name), BODY, SIGNED_AT) == ID


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_within_five_minutes_a_webhook_holds(seconds: int) -> None:
    assert standard_id([KEY], headers(), BODY, SIGNED_AT + timedelta(seconds=seconds)) == ID


@pytest.mark.parametrize("seconds", [-86_400, -301, 301, 86_400])
def test_a_webhook_from_another_time_is_a_replay(seconds: int) -> None:
    assert standard_id([KEY], headers(), BODY, SIGNED_AT + timedelta(seconds=seconds)) is None


def test_one_of_several_signatures_is_enough() -> None:
    several = headers(signature=f"{OTHER} v2,{SIGNATURE[3:]} {SIGNATURE} {OTHER}")
    assert standard_id([KEY], several, BODY, SIGNED_AT) == ID
    assert standard_id([b"another key of 32 bytes, or more.", KEY], headers(), BODY, SIGNED_AT)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"timestamp": ""},
        {"signature": ""},
        {"id": "msg_another"},
        {"timestamp": "hello"},
        {"timestamp": "1614265331"},
        {"timestamp": "9" * 400},
        {"timestamp": "١٦١٤٢٦٥٣٣٠"},
        {"signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA="},
        {"signature": "v2," + SIGNATURE[3:]},
        {"signature": SIGNATURE[3:]},
        {"signature": "v1,"},
        {"signature": " ".join([OTHER] * 10 + [SIGNATURE])},
    ],
)
def test_what_was_not_signed_so_is_nobodys(changes: dict[str, str]) -> None:
    assert standard_id([KEY], headers(**changes), BODY, SIGNED_AT) is None


def test_another_body_or_secret_is_nobodys() -> None:
    assert standard_id([KEY], headers(), BODY + b" ", SIGNED_AT) is None
    assert standard_id([b"another key of 32 bytes, or more."], headers(), BODY, SIGNED_AT) is None
    assert standard_id([], headers(), BODY, SIGNED_AT) is None


# --- where the secrets come from -------------------------------------------------------------

ACME = Tenant(tenant_id="acme", webhook_secrets={"resend": "LEADFLOW_ACME_RESEND"})
NORTH = Tenant(tenant_id="north")


def read(**variables: str) -> WebhookSecrets:
    environment = {f"LEADFLOW_{name}": value for name, value in variables.items()}
    return WebhookSecrets.read(Environment(environment), {"acme": ACME, "north": NORTH})


def test_a_tenants_own_secret_goes_before_that_for_all() -> None:
    known = read(ACME_RESEND=SECRET, WEBHOOK_SECRET_RESEND="whsec_" + "A" * 32)
    assert known.of("resend", "acme") == (SECRET,)
    assert known.of("resend", "north") == ("whsec_" + "A" * 32,)


def test_the_secret_for_all_is_for_nobody_beside_the_tenants_of_the_file() -> None:
    for_all = "whsec_" + "A" * 32
    (nobodys,) = read(ACME_RESEND=SECRET, WEBHOOK_SECRET_RESEND=for_all).of("resend", "nobody")
    assert nobodys not in (for_all, SECRET)
    without_a_file = WebhookSecrets.read(
        Environment({"LEADFLOW_WEBHOOK_SECRET_RESEND": for_all}), {}
    )
    assert without_a_file.of("resend", "nobody") == (for_all,)


def test_a_secret_can_be_replaced_while_the_old_one_holds() -> None:
    known = read(ACME_RESEND=f"{SECRET}, whsec_{'A' * 32}")
    assert known.of("resend", "acme") == (SECRET, "whsec_" + "A" * 32)


def test_without_a_secret_no_signature_holds() -> None:
    known = read(ACME_RESEND=SECRET)
    (nobodys,) = known.of("resend", "north")
    assert nobodys not in ("", SECRET)
    assert WebhookSecrets().of("resend", "north") != (nobodys,)
    assert len(standard_key(nobodys)) == 32


@pytest.mark.parametrize(
    "value", ["hunter2", "whsec_QUJD", "whsec_c2hvcnQ=", "whsec_not base64 at all"]
)
def test_a_secret_that_is_none_is_named_and_not_shown(value: str) -> None:
    with pytest.raises(SettingError, match="LEADFLOW_ACME_RESEND takes") as caught:
        read(ACME_RESEND=value)
    assert value not in str(caught.value)


def test_a_variable_that_is_missing_is_named() -> None:
    with pytest.raises(SettingError, match="LEADFLOW_ACME_RESEND is not set"):
        read()


def test_secrets_do_not_show_themselves() -> None:
    assert SECRET not in repr(read(ACME_RESEND=SECRET))
