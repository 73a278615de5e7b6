"""crm-sync as `python -m crm_sync` starts it; --single writes contact by contact, --each every
change by itself."""

from __future__ import annotations

import runpy
import sys

from crm_sync.crm import sandbox
from crm_sync.work import LeadWork

if "--single" in sys.argv:
    sandbox.BATCH = 1
if "--each" in sys.argv:
    LeadWork._standing_together = lambda work: (work.waiting[0],)  # type: ignore[method-assign]
sys.argv[1:] = []
runpy.run_module("crm_sync", run_name="__main__")
