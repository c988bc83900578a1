"""The projects of Lantern Pay on Google Cloud."""

from __future__ import annotations

import msgspec

from sandbox.gcp.organization import GoogleProject  # noqa: TC001  msgspec reads the annotations at run time


class Projects(msgspec.Struct, frozen=True, kw_only=True):
    """The projects that are in use."""

    shop: GoogleProject
    data: GoogleProject
    build: GoogleProject
    lab: GoogleProject
    sec: GoogleProject
