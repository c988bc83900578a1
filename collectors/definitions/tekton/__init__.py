"""Tekton."""
