"""One module for each kind of thing that a GitHub organization lists."""
