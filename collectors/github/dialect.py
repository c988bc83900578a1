"""What is particular to GitHub in requests and answers.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.collect.answers import words_of
from scanner.collect.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.collect.answers import Answer

API_VERSION = "2022-11-28"
"""Pinned, because responses differ between versions. https://docs.github.com/en/rest/about-the-rest-api/api-versions"""

_LIMIT_WORDS = (
    "api rate limit exceeded",
    "secondary rate limit",
    "please retry your request again later",
    "please wait a few minutes",
)


class GitHubDialect(Dialect):
    """GitHub's three rate limits, which a 403 may report only in its message, and refusals that name the missing
    permission.
    """

    headers: Mapping[str, str] = {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": API_VERSION,
    }

    def bucket(self, method: str, path: str) -> str:
        """Return ``core``, ``graphql`` or ``audit_log``: GitHub counts these separately."""
        if method == "POST":
            return "graphql"
        return "audit_log" if path.endswith("/audit-log") else "core"

    def throttled(self, answer: Answer) -> bool:
        """Return whether an answer reports a rate limit. A secondary limit may be a 403 without any header."""
        if super().throttled(answer):
            return True
        words = words_of(answer.content).lower() if answer.status == 403 else ""
        return any(limit in words for limit in _LIMIT_WORDS)

    def needs(self, answer: Answer) -> str | None:
        """Return the missing permission that a refusal names.

        https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#insufficient-permissions-errors
        """
        return answer.headers.get("x-accepted-github-permissions") or None
