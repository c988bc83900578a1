"""Turns a sealed snapshot into findings: pure functions of the snapshot, the configuration and two files."""
