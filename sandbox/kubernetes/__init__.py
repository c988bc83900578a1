"""A simulated Kubernetes cluster: its API server, over HTTP or TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.kubernetes.resource_types import VERSIONS
from sandbox.kubernetes.server import KubernetesSandbox

if TYPE_CHECKING:
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.provider import Size

__all__ = ["VARIANTS", "KubernetesSandbox", "open_sandbox"]

VARIANTS = VERSIONS
"""Versions of the API server."""


def open_sandbox(
    size: Size = "small", variant: str = "", *, authority: CertificateAuthority | None = None
) -> KubernetesSandbox:
    """Return Lantern Pay's cluster ``lantern-core`` on EKS. The small one serves three items a page at most."""
    longest = 3 if size == "small" else None
    return KubernetesSandbox(size, variant or VERSIONS[0], longest=longest, authority=authority)
