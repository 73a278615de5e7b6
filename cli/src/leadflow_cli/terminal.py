"""Where commands print."""

from __future__ import annotations

import os
import sys

from rich.console import Console

WIDTH_OF_A_FILE = 160


def console() -> Console:
    """Standard output: as wide as the terminal, and wide enough where it is a file or a pipe.

    Nothing is read as markup and no number is coloured: what is printed is data.
    """
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_FILE
    return Console(width=width, markup=False, highlight=False, soft_wrap=False)
