"""The client for GitLab's API. It sends GET requests and GraphQL queries, nothing else.

python-gitlab's own client is not used for requests: it follows a ``next`` link to any host with the token, sleeps
through a rate limit of any length, and reads a response of any size.
https://python-gitlab.readthedocs.io/en/stable/api-usage.html#pagination
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.graphql import GraphqlClient
from scanner.collect.paging import LinkHeader
from scanner.collect.rest import RestClient

if TYPE_CHECKING:
    from collectors.gitlab.config import Config
    from scanner.collect.collector import Run

PAGES = LinkHeader(total="x-total", query_only=True)
"""Behind a proxy, GitLab may write links with its internal address. Above 10,000 items it returns no total.

https://docs.gitlab.com/api/rest/#pagination"""


class GitLabClient(RestClient):
    """Reads one GitLab instance with one token."""

    def __init__(self, config: Config, run: Run) -> None:
        graphql = f"{config.base_url}/api/graphql"
        super().__init__(
            f"{config.base_url}/api/v4",
            config,
            run,
            # https://docs.gitlab.com/api/rest/authentication/
            auth=TokenAuth(lambda: IssuedToken(value=config.token.read()), header="PRIVATE-TOKEN", prefix=""),
            origins=[graphql],
            posts=[graphql],
            paginator=PAGES,
        )
        self.graphql = GraphqlClient(self, graphql)
        """https://docs.gitlab.com/api/graphql/ : rate limits are reported as in REST."""
