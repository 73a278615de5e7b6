"""`python -m sandbox`: the provider and CRM sandbox until SIGTERM."""

from __future__ import annotations

import logging
import os
import sys

import uvloop

from sandbox.server import PortTaken, serve
from sandbox.settings import BadSetting, read_settings


def main() -> None:
    """Run the sandbox; exits 0 after SIGTERM or SIGINT, 1 with one sentence where it cannot."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # aiosmtpd logs each connection and command.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    try:
        uvloop.run(serve(read_settings(os.environ)))
    except (BadSetting, PortTaken) as error:
        sys.exit(f"sandbox: {error}")


if __name__ == "__main__":
    main()
