"""What providers report over HTTP: signatures checked, payloads read. No effects."""
