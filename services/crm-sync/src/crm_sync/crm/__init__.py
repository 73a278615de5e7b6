"""CRMs: one file each."""
