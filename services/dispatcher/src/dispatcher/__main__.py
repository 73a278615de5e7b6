"""`python -m dispatcher`"""

from __future__ import annotations

from dispatcher.main import HEALTH_PORT, PARTS, SERVICE, main
from leadflow import service

if __name__ == "__main__":
    service.run(SERVICE, main, health_port=HEALTH_PORT, parts=PARTS)
