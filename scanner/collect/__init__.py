"""What every collector stands on. A collector author reads `scanner.collect.collector` first, then `listings`."""
