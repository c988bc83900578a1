"""A make-believe GitLab: served on the loopback interface over REST and GraphQL."""

from __future__ import annotations

from sandbox.gitlab.estate import build
from sandbox.gitlab.server import GitLabSandbox, settings

__all__ = ["GitLabSandbox", "build", "settings"]
