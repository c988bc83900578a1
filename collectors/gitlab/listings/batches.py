"""Many projects a GraphQL query: asked by their ids, and of fewer where GitLab cannot answer for so many.

https://docs.gitlab.com/api/graphql/#limits : 100 nodes a page, 30 seconds, a complexity of 250.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab.client import QueryError
from collectors.gitlab.failures import GitLabError, explain, refusals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collectors.gitlab.client import Client

PAGE = 100
_SMALLEST = 12
"""Where GitLab fails even for so few projects, REST is asked about each."""
_GIVEN_UP = 8
"""After so many such failures in a row, GraphQL is not asked again: a whole page is lost."""


class Batches:
    """One target's GraphQL questions about many projects. Used by one thread at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._size = PAGE
        self._failed = 0

    def halve(self, asked: int) -> bool:
        """Ask of half as many projects from now on; False when even one is too much, which says nothing of other fields."""
        size = min(self._size, asked)
        self._size = size // 2 or PAGE
        return size > 1

    def asked(
        self, selection: str, numbers: Sequence[str], paths: Sequence[str] = ()
    ) -> dict[str, dict[str, Any]]:
        """Return what GraphQL tells of projects, by number. A project that is missing was not told of: REST knows why.

        ``selection`` are fields of ``Project``; ``$paths`` in it are files of the repository. Raises `QueryError` where
        this GitLab lacks one of the fields, and where they are too many for one query.
        """
        told: dict[str, dict[str, Any]] = {}
        for at in range(0, len(numbers), self._size):
            told |= self._halving(selection, numbers[at : at + self._size], paths)
        return told

    def _halving(
        self, selection: str, numbers: Sequence[str], paths: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        if self._failed >= _GIVEN_UP or not numbers:
            return {}
        try:
            told = self._page(selection, numbers, paths)
        except refusals() as exc:
            if isinstance(exc, QueryError) and (exc.unknown or exc.too_much):
                raise
            failure = explain(exc)
            if failure is not None and failure.reason not in {"unreachable", "malformed"}:
                # Refused, throttled to the end, stopped, or no GraphQL at all: fewer projects change nothing.
                self._failed = _GIVEN_UP
                return {}
            if len(numbers) <= _SMALLEST:
                self._failed += 1
                return {}
        else:
            self._failed = 0
            return told
        half = len(numbers) // 2
        return self._halving(selection, numbers[:half], paths) | self._halving(
            selection, numbers[half:], paths
        )

    def _page(
        self, selection: str, numbers: Sequence[str], paths: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        variables: Mapping[str, Any] = {"ids": [f"gid://gitlab/Project/{number}" for number in numbers]}
        head = "$ids: [ID!], $paths: [String!]!" if paths else "$ids: [ID!]"
        data = self._client.query(
            f"query Projects({head}) {{ projects(ids: $ids, first: {len(numbers)}) {{ nodes {{ id {selection} }} }} }}",
            {**variables, "paths": list(paths)} if paths else variables,
            partial=True,
        )
        nodes = rows(data.get("projects"), whole=False)
        if nodes is None:
            raise GitLabError("unreachable", "GraphQL: no projects were returned")
        return {number_of(node): node for node in nodes}


def number_of(node: Mapping[str, Any]) -> str:
    """Return the number at the end of a node's global id: ``gid://gitlab/Project/9001``."""
    return str(node.get("id")).rpartition("/")[2]


def rows(connection: Any, *, whole: bool = True) -> list[dict[str, Any]] | None:
    """Return the nodes of a connection; None when it is null.

    With ``whole``, None also when it has more of them, or when one is null: withheld, or lost to an error of its own.
    """
    nodes = connection.get("nodes") if isinstance(connection, dict) else None
    if not isinstance(nodes, list):
        return None
    shown = [node for node in nodes if isinstance(node, dict)]
    if whole and (len(shown) < len(nodes) or (connection.get("pageInfo") or {}).get("hasNextPage")):
        return None
    return shown
