"""A simulated AWS: moto on the loopback interface, and what moto lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.aws.estate import build
from sandbox.aws.organization import LEGACY
from sandbox.aws.server import AwsSandbox
from sandbox.aws.small import build_small
from sandbox.estate import MANAGEMENT, PROD, REGION

if TYPE_CHECKING:
    from sandbox.kit.authority import CertificateAuthority
    from sandbox.kit.provider import Size

__all__ = ["VARIANTS", "AwsSandbox", "build", "build_small", "open_sandbox"]

VARIANTS = ("organization",)


def open_sandbox(
    size: Size = "small", variant: str = "", *, authority: CertificateAuthority | None = None
) -> AwsSandbox:
    """Return the organization; ``small`` is one member account with items for every listing."""
    sandbox = AwsSandbox(builder=build_small if size == "small" else build, authority=authority)
    if size == "small":
        sandbox.skips = (MANAGEMENT, PROD, LEGACY)
        sandbox.state.regions = [REGION]
    return sandbox
