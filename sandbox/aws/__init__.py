"""Lantern Pay's AWS organization on loopback: moto, and answers of our own where moto has none."""
