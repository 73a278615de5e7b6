"""`leadflow prepare`: topics, roles, schemas and migrations, for an installation of your own."""

from __future__ import annotations

import os

from leadflow.settings import Environment
from leadflow_cli.prepare import given_passwords, prepare_database, prepare_topics


def prepare() -> None:
    """Bring about what the services need in LEADFLOW_KAFKA_BOOTSTRAP and LEADFLOW_DATABASE_URL.

    The database URL is an administrator's. Each role gets the password of
    LEADFLOW_<ROLE>_PASSWORD, else one that follows from LEADFLOW_SECRET. May be run again.
    """
    environment = Environment(os.environ)
    bootstrap = environment.text("KAFKA_BOOTSTRAP")
    admin_url = environment.url("DATABASE_URL")
    passwords = given_passwords(os.environ)
    created = prepare_topics(bootstrap)
    print(f"topics   {len(created)} created" if created else "topics   all there", flush=True)
    prepare_database(admin_url, passwords)
    print(f"database {', '.join(passwords)}", flush=True)
