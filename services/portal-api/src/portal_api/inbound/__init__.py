"""Mail that comes in: read, told apart, and passed on as raw events."""
