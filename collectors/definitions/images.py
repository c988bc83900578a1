"""How container images are pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collectors.definitions.definition import Pin


def image_pin(image: str) -> Pin:
    """Return how a container image is pinned: digest, tag, or not (``latest`` or no tag)."""
    if "@sha256:" in image:
        return "digest"
    if "${{" in image or "$" in image:
        return "expression"
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    return "tag" if tag and tag != "latest" else "none"
