"""What can go wrong between us and GitHub, and what each failure means for completeness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.collect.failures import Failure, SourceError
from scanner.config import SecretMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scanner.records import Reason


class GitHubError(SourceError):
    """A listing could not be read. ``reason`` is the `Gap` reason, ``needs`` a permission that GitHub named."""

    def __init__(self, reason: Reason, detail: str, needs: str | None = None) -> None:
        super().__init__(reason, detail, needs=needs)


class StatusError(GitHubError):
    """GitHub answered with an HTTP status of 400 or more, or one that was not asked for."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(
            _reason(status),
            f"HTTP {status}: {message}",
            headers.get("x-accepted-github-permissions") or None,
        )
        self.status = status


class QueryError(GitHubError):
    """A GraphQL query gave errors and no data at all."""

    def __init__(self, types: list[str], message: str) -> None:
        denied = bool({"FORBIDDEN", "NOT_FOUND", "INSUFFICIENT_SCOPES"} & set(types))
        super().__init__("denied" if denied else "unreachable", f"{'/'.join(types)}: {message}".strip("/: "))
        self.denied = denied


def _reason(status: int) -> Reason:
    """Tell what a status means. 403 and 404 both say "you may not see this": never "there is none"."""
    match status:
        case 401 | 403 | 404 | 410 | 451:
            return "denied"
        case 429:
            return "throttled"
        case 409 | 422 | 501:
            return "unsupported"
        case _ if status >= 500:
            return "unreachable"
        case _:
            return "malformed"


def explain(exc: Exception) -> Failure | None:
    """Say what an exception means; None for what only a bug can cause."""
    import github
    import requests

    match exc:
        case SourceError():
            return Failure(reason=exc.reason, detail=str(exc), needs=exc.needs)
        case SecretMissingError():
            return Failure(reason="denied", detail=str(exc))
        case github.GithubException():
            return Failure(reason=_reason(exc.status), detail=f"HTTP {exc.status}: {exc.message or ''}")
        case requests.RequestException() | OSError():
            return Failure(reason="unreachable", detail=f"{type(exc).__name__}: {exc}")
        case RuntimeError() if "redirected" in str(exc):
            return Failure(reason="malformed", detail=str(exc))
        case _:
            return None


def explain_unsupported(why: str) -> Callable[[Exception], Failure | None]:
    """Return an `explain` for a listing that whole editions lack: there, 404 can mean "not offered"."""

    def explained(exc: Exception) -> Failure | None:
        failure = explain(exc)
        if isinstance(exc, StatusError) and exc.status == 404:
            return Failure(reason="unsupported", detail=f"{exc}. {why}", needs=exc.needs)
        return failure

    return explained
