"""`python -m leadflow_cli` is `leadflow`."""

from leadflow_cli.main import app

app()
