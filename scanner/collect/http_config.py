"""The options that every collector of an HTTP API has in config.yaml, and the bounds that the client keeps to."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotations at run time
from urllib.parse import urlsplit

from pydantic import Field

from scanner.config import Section


class HttpConfig(Section):
    """Base of the ``Config`` of a collector that reads over HTTP: `scanner.collect.rest.RestClient` takes it as it is."""

    ca_bundle: Path | None = None
    """PEM file of the certificate authorities to trust."""
    workers: int = Field(default=4, ge=1, le=32)
    """Requests at the same time, for each target."""
    seconds_between_requests: float = Field(default=0.0, ge=0)
    """Pace of one credential over all workers."""
    retries: int = Field(default=3, ge=0)
    """How often a request is repeated after a cut connection or a server error."""
    timeout_seconds: float = Field(default=30, gt=0)
    """How long the source may be silent."""
    answer_seconds: float = Field(default=120, gt=0)
    """How long one whole answer may take."""
    largest_answer_mb: float = Field(default=64, gt=0)
    """An answer that is larger, decompressed, is given up."""
    throttled_wait_seconds: float = Field(default=60, ge=0)
    """First wait after a rate limit that names no end; doubles each time."""
    longest_wait_seconds: float = Field(default=900, ge=0)
    """A rate limit that ends later than this is a Gap at once; nor does one request wait longer in all."""
    max_pages: int = Field(default=10_000, ge=1)
    """After so many pages a list is given up as truncated."""


def origin_url(value: str, example: str) -> str:
    """Return a base URL without a slash at its end. Raises ValueError for what is none: for ``field_validator``."""
    url = urlsplit(value)
    bad = url.username or url.password or url.query or url.fragment
    if url.scheme not in {"http", "https"} or not url.hostname or bad:
        raise ValueError(f"must be a URL such as {example}")
    return value.rstrip("/")
