import os
from pathlib import Path

import pytest

from leadflow_cli.errors import CliError
from leadflow_cli.home import Running
from leadflow_cli.repository import demo_folder
from leadflow_cli.targets import Target

RUNNING = Running(
    name="up",
    pid=os.getpid(),
    started_at=0.0,
    home="/somewhere/up",
    portal_url="http://127.0.0.1:8080",
    sandbox_url="http://127.0.0.1:8081",
    kafka_bootstrap="127.0.0.1:19092",
    database_url="postgresql://postgres:pw@127.0.0.1:15432/leadflow",
    secret="s3cret",
    ports={"portal": 8080},
)
SETTINGS = {
    "LEADFLOW_KAFKA_BOOTSTRAP": "kafka.example:9092",
    "LEADFLOW_PORTAL_URL": "https://portal.example/",
    "LEADFLOW_SANDBOX_URL": "http://sandbox.example:8081",
    "LEADFLOW_API_KEY": "lf_key",
}


def test_the_stack_that_runs_is_found_without_settings() -> None:
    target = Target({}, RUNNING)
    assert target.kafka_bootstrap == "127.0.0.1:19092"
    assert target.portal_url == "http://127.0.0.1:8080"
    assert target.sandbox_url == "http://127.0.0.1:8081"


def test_a_setting_wins_over_the_stack_that_runs() -> None:
    target = Target(SETTINGS, RUNNING)
    assert target.kafka_bootstrap == "kafka.example:9092"
    assert target.portal_url == "https://portal.example"
    assert target.sandbox_url == "http://sandbox.example:8081"
    assert target.api_key("ops", "me") == "lf_key"


def test_a_command_that_means_one_stack_is_not_led_elsewhere_by_settings() -> None:
    target = Target.of(RUNNING, SETTINGS | {"PATH": "/bin"})
    assert target.kafka_bootstrap == "127.0.0.1:19092"
    assert target.portal_url == "http://127.0.0.1:8080"
    assert dict(target.environment) == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("kafka_bootstrap", "LEADFLOW_KAFKA_BOOTSTRAP"),
        ("portal_url", "LEADFLOW_PORTAL_URL"),
        ("sandbox_url", "LEADFLOW_SANDBOX_URL"),
    ],
)
def test_what_neither_knows_names_its_setting_and_the_way_out(name: str, setting: str) -> None:
    with pytest.raises(CliError, match=rf"{setting} is not set .* 'leadflow up'"):
        getattr(Target({}, None), name)


def test_a_key_that_cannot_be_made_here_says_where_it_can() -> None:
    with pytest.raises(CliError, match=r"LEADFLOW_API_KEY is not set .* where the portal runs"):
        Target({}, None).api_key("ops", "me")


def test_the_demos_files_may_be_elsewhere_but_must_be_there(tmp_path: Path) -> None:
    assert demo_folder({"LEADFLOW_DEMO_DIR": str(tmp_path)}) == tmp_path
    with pytest.raises(CliError, match=r"LEADFLOW_DEMO_DIR is .* not a folder"):
        demo_folder({"LEADFLOW_DEMO_DIR": str(tmp_path / "none")})
    assert (demo_folder({}) / "leads.jsonl").is_file()
