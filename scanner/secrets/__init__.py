"""Recognizes secrets by value and by name, fingerprints them, and removes them from text."""
