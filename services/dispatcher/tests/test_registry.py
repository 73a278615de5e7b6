"""Which provider a channel has, and what a setting that is missing or wrong says at start."""

from __future__ import annotations

from base64 import b64encode

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from dispatcher.model import OPT_IN_CHANNELS
from dispatcher.providers.base import Around
from dispatcher.providers.registry import PROVIDERS, accounts
from dispatcher.providers.smtp import SmtpAccount
from leadflow import providers
from leadflow.clock import SystemClock
from leadflow.errors import SettingError
from leadflow.settings import Environment


def told(**settings: str) -> Environment:
    return Environment({f"LEADFLOW_{name}": value for name, value in settings.items()})


def test_every_channel_that_is_sent_on_has_a_provider() -> None:
    assert PROVIDERS.keys() == {"email"} | OPT_IN_CHANNELS


async def test_the_names_that_limits_and_scopes_may_have_are_those_of_all_providers() -> None:
    env = told(
        RESEND_API_KEY="re_1",
        TWILIO_ACCOUNT_SID=f"AC{0:032}",
        TWILIO_AUTH_TOKEN="secret",
        TWILIO_SMS_FROM="+15551234567",
        TWILIO_WHATSAPP_FROM="+15551234567",
        WEBHOOK_URL="https://hooks.example",
        WEBHOOK_SECRET=f"whsec_{b64encode(bytes(24)).decode()}",
    )
    around = Around(
        timeout_seconds=1, clock=SystemClock(), engine=create_async_engine("postgresql+asyncpg://")
    )
    opened = [
        read(env, channel).open(around) for channel, ways in PROVIDERS.items()
        for read in ways.values()
    ]  # fmt: skip
    for provider in opened:
        await provider.close()
    assert {provider.name for provider in opened} == set(providers.PROVIDERS)


def test_without_a_choice_it_is_the_api_of_the_channel() -> None:
    chosen = accounts(told(PROVIDERS_URL="http://providers.example"))
    assert {channel: type(account).__name__ for channel, account in chosen.items()} == {
        "email": "EmailApiAccount",
        "sms": "HttpApiAccount",
        "whatsapp": "HttpApiAccount",
    }
    assert "http://providers.example/sms" in repr(chosen["sms"])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"EMAIL_VIA": "pigeon"}, "LEADFLOW_EMAIL_VIA takes one of api, smtp, resend, webhook"),
        ({"SMS_VIA": "smtp"}, "LEADFLOW_SMS_VIA"),
        ({"EMAIL_VIA": "resend"}, "LEADFLOW_RESEND_API_KEY"),
        ({"SMS_VIA": "twilio"}, "LEADFLOW_TWILIO_ACCOUNT_SID"),
        ({"WHATSAPP_VIA": "webhook"}, "LEADFLOW_WEBHOOK_URL"),
        ({"EMAIL_VIA": "smtp", "SMTP_URL": "http://mail.example"}, "LEADFLOW_SMTP_URL"),
        ({"EMAIL_VIA": "smtp", "SMTP_USERNAME": "me"}, "LEADFLOW_SMTP_PASSWORD"),
        ({"EMAIL_VIA": "smtp", "SMTP_CA_FILE": "/nowhere.pem"}, "LEADFLOW_SMTP_CA_FILE"),
        (
            {
                "EMAIL_VIA": "smtp",
                "SMTP_USERNAME": "me",
                "SMTP_PASSWORD": "secret",
                "SMTP_TLS": "offered",
            },
            "LEADFLOW_SMTP_TLS",
        ),
    ],
)
def test_what_is_missing_or_wrong_names_itself(settings: dict[str, str], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        accounts(told(**settings))


def test_only_what_is_chosen_has_to_be_told() -> None:
    accounts(told(EMAIL_VIA="resend", RESEND_API_KEY="re_1"))


@pytest.mark.parametrize(
    ("settings", "port", "tls", "implicit"),
    [
        ({"SMTP_URL": "smtp://mail.example"}, 25, "offered", False),
        ({"SMTP_URL": "smtp://mail.example", "SMTP_TLS": "starttls"}, 587, "starttls", False),
        ({"SMTP_URL": "smtps://me:secret@mail.example"}, 465, "starttls", True),
        ({"SMTP_URL": "smtp://me:se%40cret@mail.example:26"}, 26, "starttls", False),
    ],
)
def test_a_password_is_only_for_a_connection_that_is_encrypted(
    settings: dict[str, str], port: int, tls: str, implicit: bool
) -> None:
    account = SmtpAccount.read(told(**settings), "email")
    assert (account.port, account.tls, account.implicit_tls) == (port, tls, implicit)
    assert "cret" not in repr(account)


def test_a_password_in_the_url_is_read_as_it_was_before_it_was_escaped() -> None:
    account = SmtpAccount.read(told(SMTP_URL="smtps://me%40x:se%40cret@mail.example"), "email")
    assert (account.username, account.password) == ("me@x", "se@cret")
