"""The context of one cluster's listings, and the ids of its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage
from scanner.collect.scope import SourceScope
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    import msgspec

    from collectors.kubernetes.calls import Resource
    from collectors.kubernetes.client import KubeClient
    from collectors.kubernetes.config import Config
    from collectors.kubernetes.installed import Installed
    from scanner.collect.answers import AnswerObject
    from scanner.records import Record

PROVIDER = "kubernetes"


class KubeScope(SourceScope, frozen=True, kw_only=True):
    """What every listing of one cluster needs."""

    client: KubeClient
    config: Config
    installed: Installed
    cluster: str
    """The cluster's name in reports."""
    issuer: str | None = None
    """The issuer of the tokens of its service accounts."""

    def where(self, resource: Resource) -> str | None:
        """Return the path of a list; None if the cluster has no such type. Raises `SourceError` if it may not be listed."""
        version = self.installed.version(resource)
        if version is None:
            return None
        try:
            denied = self.client.review(resource)
        except SourceError:
            denied = None  # The list itself will tell.
        if denied is not None:
            raise SourceError(
                "denied", f"the access review says no: {denied}", needs=f"list {resource.title}"
            )
        return resource.path(version)

    def objects(self, resource: Resource) -> Iterator[AnswerObject]:
        """Yield the objects of a type; none if the cluster does not have it. Raises `SourceError`."""
        path = self.where(resource)
        if path is not None:
            yield from self.client.objects(path)

    def typed(self, resource: Resource, kind: type[Any]) -> Iterator[Any]:
        """Yield the objects of a type as ``kind``. Raises `SourceError`."""
        path = self.where(resource)
        if path is not None:
            yield from self.client.typed(path, kind)

    def listed(
        self,
        resource: Resource,
        convert: Callable[[Any], Iterable[Record]],
        *,
        table: str,
        kind: str | None = None,
        fills: Sequence[str] = (),
        loses: Sequence[str] = (),
        shape: type[msgspec.Struct] | None = None,
    ) -> Generator[Record, None, bool]:
        """Read a list, and return whether it was read to its end."""

        def read() -> Generator[Record, None, bool]:
            rows = self.objects(resource) if shape is None else self.typed(resource, shape)
            for row in rows:
                yield from convert(row)
            return True

        request = self.request(table, f"GET {resource.path()}", kind=kind, needs=f"list {resource.title}")
        return bool((yield from with_coverage(read(), request, fills=fills, loses=loses)))

    def own(self) -> dict[str, Any]:
        """Return the fields that all records share."""
        return {"provider": PROVIDER, "account_id": self.account_id}

    def address(self, namespace: str, kind: str, name: str) -> str:
        """Return the full name of an object."""
        return "/".join(part for part in (self.cluster, namespace, kind, name) if part)


def workload_id(kind: str, uid: str) -> str:
    """Return the id of a workload."""
    return record_id(PROVIDER, kind, uid)
