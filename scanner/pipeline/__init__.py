"""One night from end to end: the lock, the deadline, the stages, notifications and exit codes."""
