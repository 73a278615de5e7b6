"""Dead letters: their bytes in the log, and runs that replay or discard them."""
