"""Incidents: something is uncertain, so what depends on it is paused until somebody verified it."""
