"""The engine: configuration, collection, snapshots, rules, trust, reach. Knows no provider by name."""

__version__ = "0.1.0"
