"""Lists of permissions and roles, read 2026-11-30."""
