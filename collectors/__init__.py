"""One module or package a system: `Config`, `targets`, `collect`."""
