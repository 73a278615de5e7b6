"""`python -m crm_sync` serves; `python -m crm_sync account …` says which account a tenant has, and
`python -m crm_sync verify` whether the CRMs are what the log says."""

import os
import sys

if sys.argv[1:2] == ["account"]:
    from crm_sync.command import run
    from leadflow.settings import Environment

    sys.exit(run(sys.argv[2:], Environment(os.environ)))
elif sys.argv[1:2] == ["verify"]:
    from crm_sync import verify_command
    from leadflow.settings import Environment

    sys.exit(verify_command.run(sys.argv[2:], Environment(os.environ)))
else:
    from crm_sync.main import PARTS, SERVICE, main
    from leadflow import service

    service.run(SERVICE, main, health_port=8094, parts=PARTS)
