"""The listings of one organization or project."""
