"""`python -m intake`."""

from intake.main import PART, SERVICE, main
from leadflow.service import run

if __name__ == "__main__":
    run(SERVICE, main, health_port=8091, parts=(PART,))
