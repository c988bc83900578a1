"""A make-believe GitHub: stateful, served on the loopback interface over REST and GraphQL."""

from __future__ import annotations

from sandbox.github.estate import build
from sandbox.github.large import build_large
from sandbox.github.server import GitHubSandbox
from sandbox.github.tokens import AppKey

__all__ = ["AppKey", "GitHubSandbox", "build", "build_large"]
