from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest

from leadflow.database import role_url
from leadflow_cli.errors import CliError
from leadflow_cli.ports import Ports
from leadflow_cli.services import (
    Surroundings,
    sandbox_program,
    service_of,
    service_program,
)

ADMIN = "postgresql://postgres:top@127.0.0.1:15432/leadflow"


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(
        folder=tmp_path,
        ports=Ports(),
        environment={
            "PATH": "/bin",
            "LEADFLOW_DATABASE_URL": ADMIN,
            "LEADFLOW_SECRET": "s3cret",
            "LEADFLOW_LOG_LEVEL": "debug",
        },
        kafka_bootstrap="127.0.0.1:19092",
        database_url=ADMIN,
        secret="s3cret",
    )


@pytest.mark.parametrize(
    ("name", "package", "role"),
    [
        ("intake", "intake", "intake"),
        ("dispatcher", "dispatcher", "dispatcher"),
        ("crm-sync", "crm_sync", "crm_sync"),
        ("portal", "portal_api", "portal"),
    ],
)
def test_a_service_gets_its_own_role_and_never_the_administrators(
    around: Surroundings, name: str, package: str, role: str
) -> None:
    program = service_program(name, 9999, around)
    assert program.command[-2:] == ["-m", package]
    assert program.environment["LEADFLOW_DATABASE_URL"] == role_url(ADMIN, role, "s3cret")
    assert program.environment["LEADFLOW_HEALTH_PORT"] == "9999"
    assert program.environment["LEADFLOW_KAFKA_BOOTSTRAP"] == "127.0.0.1:19092"
    assert program.environment["LEADFLOW_LOG_LEVEL"] == "debug"
    assert ADMIN not in program.environment.values()


def test_only_the_portal_knows_the_secret(around: Surroundings) -> None:
    assert service_program("portal", 8080, around).environment["LEADFLOW_SECRET"] == "s3cret"
    for name in ("intake", "sequencer", "dispatcher", "crm-sync"):
        assert "LEADFLOW_SECRET" not in service_program(name, 9999, around).environment


def test_only_crm_sync_can_open_the_secrets_of_crm_accounts(around: Surroundings) -> None:
    told = service_program("crm-sync", 8094, around).environment["LEADFLOW_ACCOUNT_SECRET"]
    assert len(b64decode(told, validate=True)) == 32
    given = replace(around, environment={"LEADFLOW_ACCOUNT_SECRET": "given"})
    for name in ("intake", "sequencer", "dispatcher", "crm-sync", "portal"):
        found = service_program(name, 9999, given).environment.get("LEADFLOW_ACCOUNT_SECRET")
        assert found == ("given" if name == "crm-sync" else None)


def test_the_sequencer_has_no_database_and_each_instance_a_folder_of_its_own(
    around: Surroundings, tmp_path: Path
) -> None:
    first, second = (service_program(name, 1, around) for name in ("sequencer", "sequencer-2"))
    assert "LEADFLOW_DATABASE_URL" not in first.environment
    assert first.environment["LEADFLOW_DATA_DIR"] == str(tmp_path / "sequencer")
    assert second.environment["LEADFLOW_DATA_DIR"] == str(tmp_path / "sequencer-2")
    assert second.log == tmp_path / "logs" / "sequencer-2.log"


def test_the_sandbox_is_where_messages_go_unless_a_setting_says_otherwise(
    around: Surroundings,
) -> None:
    told = service_program("dispatcher", 8093, around).environment
    assert told["LEADFLOW_PROVIDERS_URL"] == "http://127.0.0.1:8081/providers"
    assert told["LEADFLOW_SMTP_URL"] == "smtp://127.0.0.1:8025"
    assert told["LEADFLOW_CRM_URL"] == "http://127.0.0.1:8081/crm"
    sandbox = sandbox_program(around.folder, Ports(), around.environment).environment
    assert sandbox["LEADFLOW_SANDBOX_PORT"] == "8081"
    assert sandbox["LEADFLOW_SMTP_SINK_PORT"] == "8025"


def test_an_instance_belongs_to_its_service() -> None:
    assert service_of("crm-sync-2").name == "crm-sync"
    assert service_of("crm-sync").name == "crm-sync"
    for wrong in ("crm", "intake2", "intake-", "-2", "kafka"):
        with pytest.raises(CliError, match="there is no service"):
            service_of(wrong)


def test_only_the_portal_can_connect_as_the_client(around: Surroundings) -> None:
    url = role_url(ADMIN, "portal_client", "s3cret")
    told = service_program("portal", 8080, around).environment
    assert told["LEADFLOW_CLIENT_DATABASE_URL"] == url
    for name in ("intake", "sequencer", "dispatcher", "crm-sync"):
        assert url not in service_program(name, 9999, around).environment.values()


def test_services_know_the_shipped_files_unless_a_setting_names_others(
    around: Surroundings,
) -> None:
    root = Path(__file__).resolve().parents[2]
    told = service_program("intake", 8091, around).environment
    assert told["LEADFLOW_TENANTS_FILE"] == str(root / "demo/tenants.toml")
    assert told["LEADFLOW_LIBRARY"] == str(root / "library")
    own = replace(around, environment={"LEADFLOW_TENANTS_FILE": "/mine.toml"})
    assert service_program("intake", 8091, own).environment["LEADFLOW_TENANTS_FILE"] == "/mine.toml"
