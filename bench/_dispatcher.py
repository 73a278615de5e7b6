"""The dispatcher as `python -m dispatcher` starts it; with --single it makes no batch calls."""

from __future__ import annotations

import runpy
import sys

from dispatcher.providers.api_email import EmailApi

if "--single" in sys.argv:
    EmailApi.batch = 1
sys.argv[1:] = []
runpy.run_module("dispatcher", run_name="__main__")
