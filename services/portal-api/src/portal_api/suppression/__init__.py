"""Suppression lists that people keep: rules, files, and the import that runs."""
