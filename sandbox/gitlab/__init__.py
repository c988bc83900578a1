"""A simulated GitLab, served on the loopback interface over REST and GraphQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.gitlab.estate import build
from sandbox.gitlab.server import GitLabSandbox

if TYPE_CHECKING:
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.provider import Size

__all__ = ["VARIANTS", "GitLabSandbox", "build", "open_sandbox"]

VARIANTS = ("current", "old")
OLD = frozenset({"projects", "runUntagged"})
"""GraphQL fields that an old GitLab lacks, so that everything is read by REST."""


def open_sandbox(
    size: Size = "small", variant: str = "", *, authority: CertificateAuthority | None = None
) -> GitLabSandbox:
    """Return an instance with Lantern Pay's group, small in either size; ``old`` has few GraphQL fields."""
    return GitLabSandbox(without=OLD if variant == "old" else frozenset(), authority=authority)
