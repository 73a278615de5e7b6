"""One command for each of many leads: who is meant, what to expect, what came of it."""
