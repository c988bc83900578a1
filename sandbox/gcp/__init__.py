"""A make-believe Google Cloud organization: REST APIs and the gRPC API of IAM, over TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.gcp.server import GcpSandbox

if TYPE_CHECKING:
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.provider import Size

__all__ = ["VARIANTS", "GcpSandbox", "open_sandbox"]

VARIANTS = ("organization", "projects")


def open_sandbox(
    size: Size = "small", variant: str = "", *, authority: CertificateAuthority | None = None
) -> GcpSandbox:
    """Return Lantern Pay's organization, small in either size.

    ``projects`` is read project by project, without the organization, where Cloud Asset Inventory is off.
    """
    return GcpSandbox(inventory=variant != "projects", authority=authority)
