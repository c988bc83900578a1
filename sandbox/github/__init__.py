"""A simulated GitHub, served on the loopback interface over REST and GraphQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.github.estate import build
from sandbox.github.large import build_large
from sandbox.github.limits import UNLIMITED
from sandbox.github.server import GitHubSandbox
from sandbox.github.tokens import AppKey

if TYPE_CHECKING:
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.provider import Size

__all__ = ["VARIANTS", "AppKey", "GitHubSandbox", "build", "build_large", "open_sandbox"]

VARIANTS = ("token", "app")
SMALL = ("payments-api", "pr-preview")
"""Repositories that together have items for every listing."""


def open_sandbox(
    size: Size = "small", variant: str = "", *, authority: CertificateAuthority | None = None
) -> GitHubSandbox:
    """Return github.com with Lantern Pay's organization; ``app`` signs in as the read-only inventory App."""
    return GitHubSandbox(
        limits=UNLIMITED,
        repositories=SMALL if size == "small" else (),
        signs_in=variant or VARIANTS[0],
        authority=authority,
    )
