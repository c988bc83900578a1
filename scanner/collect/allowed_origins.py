"""The addresses that may receive a source's credential."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")


class AllowedOrigins:
    """A base URL, and further URLs that may receive the same credential."""

    def __init__(self, base_url: str, origins: Sequence[str] = ()) -> None:
        self.base = base_url.rstrip("/")
        self._origins = [_origin(url) for url in (base_url, *origins)]

    def local(self, link: str) -> str:
        """Return a link as a path relative to the base URL if possible. Raises `SourceError` for another host."""
        url = self.url(urljoin(f"{self.base}/", link))
        return url.removeprefix(self.base) if url.startswith(f"{self.base}/") else url

    def url(self, path: str) -> str:
        """Return the URL of a path, or an allowed URL. Raises `SourceError` for another host."""
        url = f"{self.base}{path}" if path.startswith("/") else path
        parts = urlsplit(url)
        dots = any(unquote(part) in {".", ".."} for part in parts.path.split("/"))
        if _UNSAFE.search(url) or dots or parts.username is not None or parts.fragment:
            raise SourceError("malformed", f"not a valid address: {path[:200]!r}")
        scheme, host, _ = _origin(url)
        if not any(
            (scheme, host) == (known_scheme, known_host) and f"{parts.path}/".startswith(f"{prefix}/")
            for known_scheme, known_host, prefix in self._origins
        ):
            same = any((scheme, host) == known[:2] for known in self._origins)
            where = (
                f"outside the configured path: {parts.path[:200]}"
                if same
                else f"to another host: {scheme}://{host}"
            )
            raise SourceError("malformed", f"points {where}")
        return url


def _origin(url: str) -> tuple[str, str, str]:
    """Return scheme, host with port, and base path."""
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        raise SourceError("malformed", f"not a valid address: {url[:200]!r}") from None
    return parts.scheme, f"{(parts.hostname or '').lower()}:{port}", parts.path.rstrip("/")
