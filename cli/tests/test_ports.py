import pytest

from leadflow_cli import ports as ports_module
from leadflow_cli.errors import CliError
from leadflow_cli.ports import Ports, check_ports, port_problems
from leadflow_cli.processes import Owner


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 8080 is held by `nginx`, pid 123; every other one is free."""
    monkeypatch.setattr(ports_module, "port_is_free", lambda port: port != 8080)
    monkeypatch.setattr(ports_module, "listener", lambda port: Owner(123, "nginx"))


def test_the_ports_are_those_of_the_design() -> None:
    assert Ports.from_environment({}) == Ports(
        portal=8080,
        sandbox=8081,
        smtp_sink=8025,
        intake=8091,
        sequencer=8092,
        dispatcher=8093,
        crm_sync=8094,
        kafka=19092,
        kafka_controller=19093,
        postgres=15432,
    )


def test_each_port_has_a_setting() -> None:
    chosen = Ports.from_environment({"LEADFLOW_PORTAL_PORT": "9000", "LEADFLOW_CRM_SYNC_PORT": "1"})
    assert (chosen.portal, chosen.crm_sync, chosen.intake) == (9000, 1, 8091)


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "-1", "8080 ", "٣"])
def test_a_malformed_port_names_its_setting(text: str) -> None:
    with pytest.raises(CliError, match="LEADFLOW_KAFKA_PORT is "):
        Ports.from_environment({"LEADFLOW_KAFKA_PORT": text})


@pytest.mark.usefixtures("taken")
def test_a_port_in_use_is_said_in_one_sentence_with_its_owner_and_its_setting() -> None:
    assert port_problems([("intake", 8091), ("portal", 8080)]) == [
        "port 8080 is in use by another program (pid 123, nginx): "
        "stop it, or set LEADFLOW_PORTAL_PORT"
    ]
    with pytest.raises(CliError, match="port 8080 is in use"):
        check_ports([("portal", 8080)])


@pytest.mark.usefixtures("taken")
def test_a_port_wanted_twice_names_both_settings() -> None:
    assert port_problems([("intake", 8091), ("sandbox", 8091)]) == [
        "port 8091 is wanted twice: change LEADFLOW_INTAKE_PORT or LEADFLOW_SANDBOX_PORT"
    ]


@pytest.mark.usefixtures("taken")
def test_free_ports_pass() -> None:
    check_ports([("intake", 8091), ("sandbox", 8081)])
