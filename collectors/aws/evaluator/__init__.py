"""Evaluates policies and trusts from documents. Imports no client and no SDK."""
