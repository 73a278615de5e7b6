"""`python -m intake`."""

from intake.main import PARTS, SERVICE, main
from leadflow.service import run

if __name__ == "__main__":
    run(SERVICE, main, health_port=8091, parts=PARTS)
