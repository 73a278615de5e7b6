"""`python -m intake`."""

from leadflow.service import run

from intake.main import PART, SERVICE, main

if __name__ == "__main__":
    run(SERVICE, main, health_port=8091, parts=(PART,))
