"""The options in config.yaml of every HTTP collector, and the limits that the client enforces."""

from __future__ import annotations

import os
from pathlib import Path  # noqa: TC003  pydantic reads the annotations at run time
from urllib.parse import urlsplit

from pydantic import Field

from scanner.config import Section


class HttpConfig(Section):
    """Base class for the ``Config`` of HTTP collectors, accepted by `scanner.collect.rest.RestClient`."""

    ca_bundle: Path | None = None
    """PEM file of the certificate authorities to trust. Default: the file in REQUESTS_CA_BUNDLE or SSL_CERT_FILE, or
    the authorities that come with the program."""
    workers: int = Field(default=4, ge=1, le=32)
    """Parallel requests for each target."""
    seconds_between_requests: float = Field(default=0.0, ge=0)
    """Maximum request rate of one credential, over all workers."""
    retries: int = Field(default=3, ge=0)
    """Number of retries after a lost connection or a server error."""
    timeout_seconds: float = Field(default=30, gt=0)
    """Read timeout: the longest time without data."""
    answer_seconds: float = Field(default=120, gt=0)
    """The longest time for one complete response."""
    largest_answer_mb: float = Field(default=64, gt=0)
    """The largest response in bytes, decompressed. Larger ones fail."""
    throttled_wait_seconds: float = Field(default=60, ge=0)
    """First wait after a rate limit without a reset time. It doubles each time."""
    longest_wait_seconds: float = Field(default=900, ge=0)
    """The longest wait for one request. A rate limit that resets later is reported as a Gap immediately."""
    max_pages: int = Field(default=10_000, ge=1)
    """The maximum number of pages of a list. Longer lists are truncated."""


def authorities(ca_bundle: Path | None) -> str | bool:
    """Return the file of trusted certificate authorities; True for those that come with certifi.

    Without ``ca_bundle``, the variables that requests, curl and OpenSSL read are heeded: REQUESTS_CA_BUNDLE,
    CURL_CA_BUNDLE, SSL_CERT_FILE.
    """
    if ca_bundle:
        return str(ca_bundle)
    named = (os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"))
    return next((path for path in named if path), True)


def origin_url(value: str, example: str) -> str:
    """Return a base URL without a trailing slash. Raises ValueError if invalid, for use in ``field_validator``."""
    url = urlsplit(value)
    bad = url.username or url.password or url.query or url.fragment
    if url.scheme not in {"http", "https"} or not url.hostname or bad:
        raise ValueError(f"must be a URL such as {example}")
    return value.rstrip("/")
