"""Which custom resources a cluster has, and in which version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.kubernetes.calls import GROUPS
from scanner.collect.failures import SourceError
from scanner.collect.paging import list_in

if TYPE_CHECKING:
    from collectors.kubernetes.calls import Resource
    from collectors.kubernetes.client import KubeClient


class Installed:
    """What discovery says: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api"""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._groups: dict[str, tuple[str, ...]] | SourceError | None = None
        self._names: dict[str, frozenset[str] | SourceError] = {}

    def version(self, resource: Resource) -> str | None:
        """Return the version in which to ask for a resource; None if it is not installed. Raises `SourceError`.

        It is the preferred version of its group, or the first other one that has it: not every version has every resource.
        """
        if not resource.custom:
            return resource.version
        return next(
            (one for one in self._versions(resource.group) if resource.name in self._in(resource.group, one)),
            None,
        )

    def names(self, group: str) -> dict[str, str]:
        """Return the resources of a group with their version; none if it is not installed. Raises `SourceError`."""
        found: dict[str, str] = {}
        for version in self._versions(group):
            for name in self._in(group, version):
                found.setdefault(name, version)
        return found

    def _in(self, group: str, version: str) -> frozenset[str]:
        """Return the resources of a version, without subresources."""
        path = f"/apis/{group}/{version}"
        if path not in self._names:
            try:
                rows = list_in(self._client.one(path), "resources", path)
                self._names[path] = frozenset(
                    str(row.get("name")) for row in rows if "/" not in str(row.get("name") or "/")
                )
            except SourceError as exc:
                self._names[path] = _named(exc, path)
        found = self._names[path]
        if isinstance(found, SourceError):
            raise found
        return found

    def _versions(self, group: str) -> tuple[str, ...]:
        """Return the versions of a group, the preferred one first. Raises `SourceError`."""
        if self._groups is None:
            try:
                rows = list_in(self._client.one(GROUPS), "groups", GROUPS)
                self._groups = {str(row["name"]): _versions(row) for row in rows}
            except SourceError as exc:
                self._groups = _named(exc, GROUPS)
        if isinstance(self._groups, SourceError):
            raise self._groups
        return self._groups.get(group, ())


def _versions(row: dict[str, Any]) -> tuple[str, ...]:
    every = [row.get("preferredVersion"), *(row.get("versions") or ())]
    found = dict.fromkeys(str(one.get("version") or "") for one in every if isinstance(one, dict))
    if not found or any(not version or "/" in version for version in found):
        raise SourceError("malformed", "a group of the API has no version")
    return tuple(found)


def _named(exc: SourceError, path: str) -> SourceError:
    return SourceError(exc.reason, f"GET {path}: {exc.detail}", status=exc.status, needs=exc.needs)
