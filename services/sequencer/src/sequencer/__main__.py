"""`python -m sequencer`"""

from leadflow.service import run
from sequencer.main import PARTS, main

if __name__ == "__main__":
    run("sequencer", main, health_port=8092, parts=PARTS)
