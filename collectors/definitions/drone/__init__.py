"""Drone and Woodpecker."""
