"""Errors between a collector and its source, and what each means for completeness.

A source is what a collector reads: a provider's API, a cluster, a folder. The client raises `SourceError` for
every error response. `classify_error` turns it, and the exceptions of the HTTP library and the operating system, into
a `Failure`, which becomes a `Gap` row. An unknown exception is a bug of sprawlscan and is reported as one.

A provider extends it with a function of the same signature that falls back to `classify_error`::

    def classify(exc: Exception) -> Failure | None:
        match exc:
            case jwt.PyJWTError():
                return Failure(reason="denied", detail="the App's private key cannot sign")
        return classify_error(exc)
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from scanner.config import SecretMissingError
from scanner.records import Reason  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Collection


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a listing could not be read, as recorded in its `Gap`."""

    reason: Reason
    detail: str
    """The source's error message. Redacted when it becomes a `Gap`."""
    needs: str | None = None
    """The missing permission, if the source named one."""


Classify: TypeAlias = Callable[[Exception], Failure | None]
"""Returns the failure for an exception; None if only a bug can cause it."""


class SourceError(Exception):
    """The source's response is unusable: denied, rate limited, truncated or malformed."""

    def __init__(
        self, reason: Reason, detail: str, *, status: int | None = None, needs: str | None = None
    ) -> None:
        """``status`` is the HTTP status, if any; ``needs`` is a permission that the source named."""
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail
        self.status = status
        self.needs = needs


def reason_of(status: int) -> Reason:
    """Return the reason for an HTTP status. 403 and 404 both mean "not visible", never "does not exist"."""
    match status:
        case 401 | 402 | 403 | 404 | 407 | 410 | 451:
            return "denied"
        case 429:
            return "throttled"
        case 405 | 409 | 422 | 501:
            return "unsupported"
        case 408 | 425:
            return "unreachable"
        case _ if status >= 500:
            return "unreachable"
        case _:
            return "malformed"


def classify_error(exc: Exception) -> Failure | None:
    """Return the failure for an exception; None if only a bug of sprawlscan can cause it."""
    import requests

    match exc:
        case SourceError():
            return Failure(reason=exc.reason, detail=exc.detail, needs=exc.needs)
        case SecretMissingError():
            return Failure(reason="denied", detail=str(exc))
        case requests.exceptions.SSLError():
            return Failure(
                reason="unreachable", detail=f"{exc} (behind a proxy that inspects TLS, set ca_bundle)"
            )
        case requests.RequestException() | OSError():
            return Failure(reason="unreachable", detail=f"{type(exc).__name__}: {exc}")
        case _:
            return None


def unsupported_on(statuses: Collection[int], why: str, classify: Classify = classify_error) -> Classify:
    """Return a `Classify` for a listing that some editions or versions lack, where 404 can mean "not offered"."""

    def classified(exc: Exception) -> Failure | None:
        failure = classify(exc)
        if failure is not None and isinstance(exc, SourceError) and exc.status in statuses:
            return Failure(reason="unsupported", detail=f"{failure.detail}. {why}", needs=failure.needs)
        return failure

    return classified


def bug(exc: Exception) -> Failure:
    """Return the failure for an unexpected exception, with the end of its traceback."""
    return Failure(reason="bug", detail="".join(traceback.format_exception(exc, limit=-4)).strip())
