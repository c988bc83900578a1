"""From a sealed snapshot to findings: pure functions of the snapshot, the configuration and two files."""
