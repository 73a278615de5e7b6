"""A setting that is missing or malformed names itself and says what it takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leadflow.errors import SettingError
from leadflow.settings import Environment, ServiceSettings


def env(**variables: str) -> Environment:
    return Environment({f"LEADFLOW_{name}": value for name, value in variables.items()})


def test_values_are_read_with_their_type() -> None:
    given = env(A=" text ", N="7", F="2.5", C="smtp", U="http://h:1/", P="~/data")
    assert given.text("A") == "text"
    assert given.integer("N") == 7
    assert given.number("F", 0) == 2.5
    assert given.choice("C", ("api", "smtp"), "api") == "smtp"
    assert given.url("U") == "http://h:1"
    assert given.path("P") == Path.home() / "data"


def test_a_missing_value_falls_back_to_its_default() -> None:
    given = env(A="  ")
    assert given.text("A", "x") == "x"
    assert given.text("A", "") == ""
    assert given.integer("N", 3) == 3
    assert given.number("F", 1.5) == 1.5
    assert given.choice("C", ("api", "smtp"), "api") == "api"
    assert given.url("U", "") == ""
    assert given.path("P", "/tmp/x") == Path("/tmp/x")


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda e: e.text("MISSING"), "LEADFLOW_MISSING is not set"),
        (lambda e: e.integer("MISSING"), "LEADFLOW_MISSING is not set"),
        (lambda e: e.url("MISSING"), "LEADFLOW_MISSING is not set"),
        (lambda e: e.integer("WORD"), "LEADFLOW_WORD takes a whole number, not 'word'"),
        (lambda e: e.integer("N", at_least=8), "LEADFLOW_N takes 8 or more, not 7"),
        (lambda e: e.number("WORD", 1), "LEADFLOW_WORD takes a number, not 'word'"),
        (lambda e: e.choice("WORD", ("a", "b"), "a"), "LEADFLOW_WORD takes one of a, b"),
        (lambda e: e.url("WORD"), "LEADFLOW_WORD takes a URL"),
    ],
)
def test_a_wrong_value_names_itself(read: Callable[[Environment], object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        read(env(WORD="word", N="7"))


def test_a_url_that_is_refused_is_not_repeated() -> None:
    # It may hold a password.
    with pytest.raises(SettingError) as caught:
        env(DATABASE_URL="postgres:secret@host").url("DATABASE_URL")
    assert "secret" not in str(caught.value)


def test_a_service_needs_a_broker_and_has_defaults_for_the_rest() -> None:
    with pytest.raises(SettingError, match="LEADFLOW_KAFKA_BOOTSTRAP is not set"):
        ServiceSettings.read("intake", env())
    settings = ServiceSettings.read("intake", env(KAFKA_BOOTSTRAP="k:1"), health_port=8091)
    assert settings.health_host == "127.0.0.1"
    assert settings.health_port == 8091
    assert settings.schema_registry_url == ""
    assert settings.watchdog_seconds == 120
    overridden = ServiceSettings.read("intake", env(KAFKA_BOOTSTRAP="k:1", HEALTH_PORT="0"))
    assert overridden.health_port == 0
