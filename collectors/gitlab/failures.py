"""What can go wrong between us and GitLab, and what each failure means for completeness."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from scanner.collect.failures import Failure
from scanner.config import SecretMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scanner.records import Reason


class GitLabError(Exception):
    """A listing could not be read. ``reason`` is the `Gap` reason."""

    def __init__(self, reason: Reason, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.status = status


def reason_of(status: int | None) -> Reason:
    """Tell what a status means. 403 and 404 both say "you may not see this": never "there is none"."""
    match status:
        case 401 | 402 | 403 | 404 | 410 | 451:
            return "denied"
        case 429:
            return "throttled"
        case 405 | 409 | 422 | 501:
            return "unsupported"
        case None:
            return "unreachable"
        case _ if status >= 500:
            return "unreachable"
        case _:
            return "malformed"


def explain(exc: Exception) -> Failure | None:
    """Say what an exception means; None for what only a bug can cause."""
    import gitlab
    import requests

    match exc:
        case GitLabError():
            return Failure(reason=exc.reason, detail=str(exc))
        case SecretMissingError():
            return Failure(reason="denied", detail=str(exc))
        case gitlab.exceptions.RedirectError():
            return Failure(reason="malformed", detail="redirected")
        case gitlab.exceptions.GitlabError():
            return Failure(reason=reason_of(exc.response_code), detail=f"HTTP {exc.response_code}")
        case requests.RequestException() | OSError():
            return Failure(reason="unreachable", detail=f"{type(exc).__name__}: {exc}")
        case _:
            return None


def explain_unsupported(why: str) -> Callable[[Exception], Failure | None]:
    """Return an `explain` for a listing that whole tiers or versions lack: there, 404 can mean "not offered"."""

    def explained(exc: Exception) -> Failure | None:
        failure = explain(exc)
        if isinstance(exc, GitLabError) and exc.status == 404:
            return Failure(reason="unsupported", detail=f"{exc}. {why}")
        return failure

    return explained


def refusals() -> tuple[type[Exception], ...]:
    """Return what is raised where GitLab refuses or fails; anything else is a bug."""
    import gitlab
    import requests

    return (
        GitLabError,
        SecretMissingError,
        gitlab.exceptions.GitlabError,
        requests.RequestException,
        OSError,
    )


@contextlib.contextmanager
def readable() -> Iterator[list[Failure]]:
    """Let what GitLab refuses pass, and note it; a bug is raised."""
    failed: list[Failure] = []
    try:
        yield failed
    except refusals() as exc:
        failure = explain(exc)
        if failure is not None:
            failed.append(failure)
