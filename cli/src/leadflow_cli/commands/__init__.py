"""The commands of `leadflow`, a module each."""
