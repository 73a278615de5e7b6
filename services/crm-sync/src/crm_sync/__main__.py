"""python -m crm_sync"""

from crm_sync.main import PARTS, SERVICE, main
from leadflow import service

service.run(SERVICE, main, health_port=8094, parts=PARTS)
