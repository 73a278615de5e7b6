"""`python -m dispatcher`"""

from __future__ import annotations

from leadflow import service

from dispatcher.main import HEALTH_PORT, PARTS, SERVICE, main

if __name__ == "__main__":
    service.run(SERVICE, main, health_port=HEALTH_PORT, parts=PARTS)
