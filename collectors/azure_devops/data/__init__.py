"""Types of service connections, read 2026-11-30."""
