"""Makes URLs from providers safe to use as links."""

from __future__ import annotations

from urllib.parse import urlsplit

ADDRESS = 2000
"""The longest URL that becomes a link."""


def web_address(text: str | None) -> str | None:
    """Return a URL if it is safe as a link (http or https, with a host, printable), or None."""
    if text is None or len(text) > ADDRESS or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.hostname else None
