"""Lantern Pay's AWS organisation on loopback: moto, and answers of our own where moto has none."""
