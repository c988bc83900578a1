"""A make-believe Azure DevOps organization: served on the loopback interface, with all its hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.azure_devops.server import AzureDevOpsSandbox

if TYPE_CHECKING:
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.provider import Size

__all__ = ["VARIANTS", "AzureDevOpsSandbox", "open_sandbox"]

VARIANTS = ("user", "reader")


def open_sandbox(
    size: Size = "small", variant: str = "", *, authority: CertificateAuthority | None = None
) -> AzureDevOpsSandbox:
    """Return Lantern Pay's organization, small in either size; a ``reader`` does not see how connections sign in."""
    return AzureDevOpsSandbox(reader=variant == "reader", authority=authority)
