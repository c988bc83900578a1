"""Google Cloud Build."""
