"""The client for GitHub's API. It sends GET requests, GraphQL queries, and the exchange for an App's installation
token, nothing else. This module has what is particular to GitHub; the rest is in `scanner.collect.rest` and
`scanner.collect.graphql`. https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.github.dialect import GitHubDialect
from scanner.collect.graphql import GraphqlClient
from scanner.collect.paging import LinkHeader
from scanner.collect.rest import RestClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collectors.github.config import Config
    from collectors.github.tokens import GitHubAuth
    from scanner.collect.collector import Run
    from scanner.collect.memory import Memory


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
