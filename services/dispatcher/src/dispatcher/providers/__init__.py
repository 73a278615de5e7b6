"""Ways out, one file each; adding a provider is one file."""
