"""GitHub Actions workflows."""
