"""A simulated Entra ID tenant: its token service and Microsoft Graph, over TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.entra.server import EntraSandbox

if TYPE_CHECKING:
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.provider import Size

__all__ = ["VARIANTS", "EntraSandbox", "open_sandbox"]

VARIANTS = ("licensed", "free")


def open_sandbox(
    size: Size = "small", variant: str = "", *, authority: CertificateAuthority | None = None
) -> EntraSandbox:
    """Return Lantern Pay's tenant, small in either size; ``free`` has no license of Entra ID and no agents."""
    free = variant == "free"
    return EntraSandbox(licensed=not free, agents=not free, authority=authority)
