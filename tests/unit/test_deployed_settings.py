"""What the code asks the environment for is what the compose file passes and the docs name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from dispatcher.providers.registry import PROVIDERS
from dispatcher.settings import Settings
from leadflow.settings import Environment
from portal_api.settings import PortalSettings

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs/providers.md").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
REQUIRED = {
    "LEADFLOW_DATABASE_URL": "postgresql://x@127.0.0.1/x",
    "LEADFLOW_SECRET": "x",
    "LEADFLOW_LINK_SECRET": "x",
    "LEADFLOW_RESEND_API_KEY": "re_x",
    "LEADFLOW_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "LEADFLOW_TWILIO_AUTH_TOKEN": "x",
    "LEADFLOW_TWILIO_SMS_FROM": "+15125550100",
    "LEADFLOW_TWILIO_WHATSAPP_FROM": "+15125550100",
    "LEADFLOW_WEBHOOK_URL": "https://hooks.example",
    "LEADFLOW_WEBHOOK_SECRET": "whsec_" + "A" * 43 + "=",
}
# They name what this process is, and so have no say in a container of its own.
OF_THE_IMAGE = {"LEADFLOW_GROUP", "LEADFLOW_LIBRARY", "LEADFLOW_PORTAL_PORT"}


class Asked(Mapping[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return REQUIRED[name]

    def __iter__(self) -> Iterator[str]:
        return iter(REQUIRED)

    def __len__(self) -> int:
        return len(REQUIRED)


@pytest.mark.parametrize(
    ("channel", "via"), [(channel, via) for channel, ways in PROVIDERS.items() for via in ways]
)
def test_every_setting_of_a_provider_is_passed_on_and_explained(channel: str, via: str) -> None:
    asked = Asked()
    PROVIDERS[channel][via](Environment(asked), channel)
    assert asked.names <= COMPOSE["services"]["dispatcher"]["environment"].keys()
    for name in asked.names - {"LEADFLOW_PUBLIC_URL"}:
        assert f"`{name.removeprefix('LEADFLOW_')}`" in DOCS, name


def test_every_setting_of_the_dispatcher_and_the_portal_is_passed_on() -> None:
    for service, settings in (("dispatcher", Settings), ("portal-api", PortalSettings)):
        asked = Asked()
        settings.read(Environment(asked))
        passed = COMPOSE["services"][service]["environment"].keys()
        assert asked.names - OF_THE_IMAGE <= passed
