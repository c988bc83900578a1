"""A make-believe GitHub: stateful, served on the loopback interface over REST and GraphQL."""

from __future__ import annotations

from sandbox.github.server import AppKey, Call, GitHubSandbox

__all__ = ["AppKey", "Call", "GitHubSandbox"]
