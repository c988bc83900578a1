"""Runs one night from end to end: lock, deadline, stages, notifications and exit codes."""
