"""A make-believe Azure tenant: Resource Manager, Resource Graph and the token service, over TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.azure.server import AzureSandbox

if TYPE_CHECKING:
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.provider import Size

__all__ = ["VARIANTS", "AzureSandbox", "open_sandbox"]

VARIANTS = ("licensed", "free")


def open_sandbox(
    size: Size = "small", variant: str = "", *, authority: CertificateAuthority | None = None
) -> AzureSandbox:
    """Return Lantern Pay's tenant, small in either size; ``free`` has no license for eligible assignments."""
    return AzureSandbox(licensed=variant != "free", authority=authority)
