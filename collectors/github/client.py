"""The client for GitHub's API. It sends GET requests, GraphQL queries, and the exchange for an App's installation
token, nothing else. This module has what is particular to GitHub; the rest is in `scanner.collect.rest` and
`scanner.collect.graphql`. https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.github.tokens import API_VERSION
from scanner.collect.answers import words_of
from scanner.collect.graphql import GraphqlClient
from scanner.collect.paging import LinkHeader
from scanner.collect.rest import Dialect, RestClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collectors.github.config import Config
    from collectors.github.tokens import GitHubAuth
    from scanner.collect.answers import Answer
    from scanner.collect.collector import Run
    from scanner.collect.memory import Memory

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


class GitHubClient(RestClient):
    """Reads one GitHub server with one credential. Thread-safe; each thread has its own connections."""

    def __init__(self, config: Config, run: Run, *, auth: GitHubAuth, memory: Memory | None = None) -> None:
        """``memory`` caches pages by ETag. An ETag is valid for one token only, so this helps only a token that stays
        the same. An unchanged page (304) does not count against the primary rate limit.
        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
        """
        super().__init__(
            config.base_url,
            config,
            run,
            auth=auth,
            dialect=GitHubDialect(),
            origins=(config.graphql_url,),
            posts=(config.graphql_url,),
            paginator=LinkHeader(total="total_count"),
            memory=memory,
        )
        self._signed = auth
        self.graphql = GraphqlClient(self, config.graphql_url)

    @property
    def permissions(self) -> Mapping[str, str]:
        """Permissions of the App's installation (``members: read``); empty for other tokens."""
        return self._signed.permissions
