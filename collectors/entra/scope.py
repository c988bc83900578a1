"""The context of one tenant's listings, and the ids of its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.collect.failures import SourceError, classify_error
from scanner.collect.listings import with_coverage
from scanner.collect.scope import SourceScope
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from collectors.entra.client import GraphClient
    from collectors.entra.config import Config
    from scanner.collect.failures import Classify
    from scanner.records import Record

MICROSOFT = frozenset(("f8cdef31-a31e-4b4a-93e4-5f571e91255a", "72f988bf-86f1-41af-91ab-2d7cd011db47"))
"""The tenants in which Microsoft registers its own applications.
https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in"""


class EntraScope(SourceScope, frozen=True, kw_only=True):
    """What every listing of one tenant needs."""

    client: GraphClient
    config: Config

    @property
    def tenant(self) -> str:
        """The tenant's ID."""
        return str(self.config.tenant)

    @property
    def own(self) -> dict[str, Any]:
        """The fields that all records of the tenant share."""
        return {"provider": self.provider, "account_id": self.account_id}

    def list_of_each(
        self,
        paths: Mapping[str, str],
        convert: Callable[[str, list[dict[str, Any]]], Iterable[Record]],
        call: str,
        *,
        table: str,
        kind: str,
        needs: str,
        classify: Classify = classify_error,
        fills: Sequence[str] = (),
    ) -> Iterator[Record]:
        """Yield what ``convert`` makes of the list at each path, and the coverage of each as a listing of one item.

        ``paths`` are the objects by path; ``convert`` gets the object and its list. A list that failed costs itself.
        """
        for path, answer in self.client.lists(paths):
            item = paths[path]
            request = self.request(table, call, kind=kind, needs=needs, item=item)
            yield from with_coverage(_converted(answer, item, convert), request, classify, fills=fills)


def _converted(
    answer: list[dict[str, Any]] | SourceError,
    item: str,
    convert: Callable[[str, list[dict[str, Any]]], Iterable[Record]],
) -> Iterator[Record]:
    if isinstance(answer, SourceError):
        raise answer
    yield from convert(item, answer)


def principal(object_id: str) -> str:
    """Return the id of a user, group or service principal. All share one space of object IDs."""
    return record_id("entra", "principal", object_id.lower())


def application(app_id: str) -> str:
    """Return the address of an application's service principal: pipelines know only the client ID."""
    return record_id("entra", "application", app_id.lower())
