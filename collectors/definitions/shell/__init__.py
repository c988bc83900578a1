"""Shell text inside pipeline steps, whatever system runs it."""
