import pytest
from sqlalchemy.exc import DBAPIError

from leadflow.database import role_password
from leadflow.errors import DatabaseDown, SettingError
from leadflow_cli.errors import CliError
from leadflow_cli.prepare import (
    derived_passwords,
    given_passwords,
    prepare_database,
    roles,
    url_of,
)

GIVEN = {
    "LEADFLOW_INTAKE_PASSWORD": "i",
    "LEADFLOW_DISPATCHER_PASSWORD": "d",
    "LEADFLOW_CRM_SYNC_PASSWORD": "c",
    "LEADFLOW_PORTAL_PASSWORD": "p",
    "LEADFLOW_PORTAL_CLIENT_PASSWORD": "pc",
}


def test_each_role_gets_the_password_of_its_setting() -> None:
    assert given_passwords(GIVEN) == {
        "intake": "i",
        "dispatcher": "d",
        "crm_sync": "c",
        "portal": "p",
        "portal_client": "pc",
    }


def test_what_no_setting_names_follows_from_the_secret() -> None:
    passwords = given_passwords({"LEADFLOW_SECRET": "s", "LEADFLOW_INTAKE_PASSWORD": "i"})
    assert passwords["intake"] == "i"
    assert passwords["portal_client"] == role_password("s", "portal_client")
    assert set(passwords) == set(roles()) == set(derived_passwords("s"))


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_a_missing_password_is_named(missing: str) -> None:
    with pytest.raises(SettingError, match=f"{missing} is not set"):
        given_passwords({name: value for name, value in GIVEN.items() if name != missing})


def test_a_role_connects_where_the_administrator_does() -> None:
    admin = "postgresql://postgres:top@db.example:5432/leadflow"
    assert url_of(admin, "intake", "p@ss") == "postgresql://intake:p%40ss@db.example:5432/leadflow"


def test_what_the_database_refused_is_told_without_the_statement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_arguments: object) -> None:
        statement = "ALTER ROLE intake LOGIN PASSWORD 'hush'"
        raise DBAPIError(statement, None, Exception("permission denied to alter role"))

    monkeypatch.setattr("leadflow.database.provision", refused)
    with pytest.raises(CliError, match="permission denied to alter role") as caught:
        prepare_database("postgresql://postgres:top@db.example:5432/leadflow", {})
    assert "hush" not in str(caught.value)
    assert "top" not in str(caught.value)


def test_a_database_that_is_down_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_arguments: object) -> None:
        raise DatabaseDown("the database intake at db.example:5432/leadflow: Connection refused")

    monkeypatch.setattr("leadflow.database.provision", lambda *_arguments: None)
    monkeypatch.setattr("leadflow.database.migrate", down)
    with pytest.raises(CliError, match=r"db\.example:5432/leadflow: Connection refused"):
        prepare_database(
            "postgresql://postgres:top@db.example:5432/leadflow", derived_passwords("s")
        )
