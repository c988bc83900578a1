"""Jenkins pipelines."""
