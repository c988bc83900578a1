"""The definition files of a page of projects. Their texts are fetched by GraphQL, once for each content not seen
before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.gitlab.texts import text_of
from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collectors.gitlab.facts import ProjectFacts, ProjectFile, ProjectStructure
    from collectors.gitlab.scope import GitLabScope
    from collectors.gitlab.survey import ProjectSurvey

_INLINE = 400_000
"""Longer texts are read by REST."""
_BATCH_BYTES = 4_000_000


class GitLabBlobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered about the content of a definition file."""

    includes: bool = True
    """Whether it may include other files, so that it is not the whole definition."""
    environments: bool = True
    """Whether it may name an environment."""


_FACTS = msgspec.json.Decoder(GitLabBlobFacts)
"""Created at import: msgspec crashes when two threads are the first to decode a type at the same time."""


class DefinitionFiles:
    """The definition files of one page of projects. Thread-safe once `prefetch` is done."""

    def __init__(self, scope: GitLabScope, structures: Mapping[str, ProjectStructure]) -> None:
        self._scope = scope
        self._memory = scope.memory
        self._structures = structures
        self._texts: dict[str, str] = {}

    def prefetch(self, survey: ProjectSurvey, projects: Sequence[ProjectFacts]) -> None:
        """Fetch the texts that are not remembered. A text that GraphQL does not return is read by REST when it is
        needed.
        """
        unseen: dict[str, ProjectFacts] = {}
        for project in projects:
            file = self.file(project)
            if file is None or file.size > _INLINE:
                continue
            if self._facts(file).includes or self._memory.blob(_seen_here(project, file)) is None:
                unseen.setdefault(file.oid, project)
        for part in self._parts(unseen):
            paths = sorted({project.ci_path for project in part.values()})
            texts = survey.texts(list(part.values()), paths)
            for oid, project in part.items():
                for blob in texts.get(project.place.number, []):
                    if blob.get("oid") == oid and isinstance(blob.get("rawTextBlob"), str):
                        self._learn(oid, blob["rawTextBlob"])

    def _parts(self, unseen: Mapping[str, ProjectFacts]) -> Iterator[dict[str, ProjectFacts]]:
        """Yield batches of content ids, each of limited size in bytes."""
        part: dict[str, ProjectFacts] = {}
        size = 0
        for oid, project in unseen.items():
            file = self.file(project)
            assert file is not None
            if part and size + file.size > _BATCH_BYTES:
                yield part
                part, size = {}, 0
            part[oid] = project
            size += file.size
        if part:
            yield part

    def _learn(self, oid: str, text: str) -> None:
        self._texts[oid] = text
        includes = "include" in text
        facts = GitLabBlobFacts(includes=includes, environments=includes or "environment" in text)
        self._memory.keep_blob(oid, msgspec.json.encode(facts))

    def _facts(self, file: ProjectFile) -> GitLabBlobFacts:
        known = self._memory.blob(file.oid)
        return GitLabBlobFacts() if known is None else _FACTS.decode(known)

    def _described(self, project: ProjectFacts) -> bool:
        structure = self._structures[project.place.number]
        return structure.files is not None and project.ci_path in structure.paths

    def file(self, project: ProjectFacts) -> ProjectFile | None:
        """Return a project's definition file, if GraphQL returned it."""
        files = self._structures[project.place.number].files
        return files.get(project.ci_path) if files is not None else None

    def absent(self, project: ProjectFacts) -> bool:
        """Return whether it is known that a project has no definition file."""
        return self._described(project) and self.file(project) is None

    def self_contained(self, project: ProjectFacts) -> bool:
        """Return whether a definition is known to include no other files."""
        file = self.file(project)
        return file is not None and not self._facts(file).includes

    def remembered(self, project: ProjectFacts) -> None:
        """Note that the records of a project's definition are remembered, so that its text is not fetched again."""
        file = self.file(project)
        if file is not None:
            self._memory.keep_blob(_seen_here(project, file), b"")

    def deploys(self, project: ProjectFacts) -> bool:
        """Return whether a project's pipeline may name an environment; True if that is unknown."""
        if project.empty or not project.ci_enabled or self.absent(project):
            return False
        file = self.file(project)
        return file is None or self._facts(file).environments

    def text(self, project: ProjectFacts) -> str | None:
        """Return the text of a project's definition, fetched earlier or now by REST; None if there is no such file.
        GitLab's answer distinguishes a missing file from a missing project.
        """
        file = self.file(project)
        if file is not None and file.oid in self._texts:
            return self._texts[file.oid]
        try:
            text = text_of(self._scope.client, project.place.number, project.ci_path, "HEAD")
        except SourceError as exc:
            if exc.status == 404 and "File Not Found" in str(exc):
                return None
            raise
        if file is not None:
            self._learn(file.oid, text)
        return text


def _seen_here(project: ProjectFacts, file: ProjectFile) -> str:
    """Return a key for a content in a project: the same content in another project is parsed in another context."""
    return f"{file.oid} {project.place.number}"
