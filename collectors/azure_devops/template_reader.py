"""Reads the files of a pipeline's templates, also from other repositories, projects and refs of the organization.

https://learn.microsoft.com/rest/api/azure/devops/git/items/get
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.azure_devops.calls import VERSION
from collectors.definitions import DefinitionError
from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from collectors.azure_devops.scope import DevOpsScope
    from collectors.definitions import CalledRepository

ITEM = "/{project}/_apis/git/repositories/{repository}/items"
LARGEST = 2**20
_SHA = re.compile(r"[0-9a-f]{40}")


def file_text(scope: DevOpsScope, project: str, repository: str, path: str, ref: str | None) -> str:
    """Return a file of a repository at a ref; None is the default branch. Raises `SourceError`."""
    return scope.client.text(
        scope.path(ITEM, project=project, repository=repository),
        {**VERSION, "path": f"/{path}", "$format": "text", **_version(ref)},
        largest=LARGEST,
    )


def _version(ref: str | None) -> dict[str, str]:
    if not ref:
        return {}
    if _SHA.fullmatch(ref):
        return {"versionDescriptor.version": ref, "versionDescriptor.versionType": "commit"}
    if ref.startswith("refs/tags/"):
        return {
            "versionDescriptor.version": ref.removeprefix("refs/tags/"),
            "versionDescriptor.versionType": "tag",
        }
    return {"versionDescriptor.version": ref.removeprefix("refs/heads/")}


class TemplateFiles:
    """The templates of one pipeline. What was read for another pipeline is not read again."""

    def __init__(
        self,
        scope: DevOpsScope,
        project: str,
        repository: str,
        ref: str | None,
        note: Callable[[tuple[str, str, str | None]], None],
    ) -> None:
        """``note`` is told each project, repository and ref before it is read."""
        self._note = note
        self._scope = scope
        self._project = project
        self._own = (repository, ref)
        self.failures: list[SourceError] = []
        """What was refused or lost; not what can never be read."""

    def read(self, repository: CalledRepository, path: str) -> str:
        """Return a file's text. Raises `DefinitionError` if it cannot be read."""
        if repository.kind.lower() != "git":
            raise DefinitionError("unsupported", f"it is in a repository of {repository.kind}")
        project, _, name = repository.name.rpartition("/")
        ref = repository.ref
        if not repository.name:
            name, ref = self._own
        place = (project or self._project, name, path, ref)
        self._note((project or self._project, name, ref))
        known = self._scope.clients.templates
        found = known.get(place)
        if found is None:
            try:
                found = file_text(self._scope, *place)
            except SourceError as exc:
                found = exc
            known.keep(place, found)
        if isinstance(found, SourceError):
            self.failures.append(found)
            raise DefinitionError(found.reason, str(found))
        return found
