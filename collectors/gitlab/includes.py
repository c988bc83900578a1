"""The files that a pipeline includes: from its own project, other projects, GitLab's templates, or any URL. GitLab
itself is asked to merge a project's definition, once for each project that includes anything: `GET
/projects/:id/ci/lint <https://docs.gitlab.com/api/lint/#validate-an-existing-cicd-configuration>`_ returns the merged
configuration with inputs, nested files and wildcards resolved, and a list of the files. That is the pipeline. Files in
a repository of this GitLab are also read directly, for three things that the merged answer lacks: line numbers, which
file includes which, and includes whose conditions did not hold at the time of the request (``$CI_COMMIT_TAG``). URLs
that a definition names are never fetched: their content is known only from GitLab's answer.

The call works on a file of the project's own repository. A definition in another project (``ci.yml@group/project``) is
read from there, with what it includes from repositories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from collectors.definitions import (
    Include,
    IncludedText,
    IncludeRead,
    IncludeSource,
    Unresolved,
    fill,
    gitlab_pipeline,
    has_includes,
    matches,
    pin_of,
    without_secrets,
)
from collectors.gitlab.merged import MergedDefinition, MergedFile, merged_definition
from collectors.gitlab.texts import text_of
from scanner.collect.failures import Failure, SourceError
from scanner.collect.listings import gap, with_coverage

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from collectors.definitions import Definition, IncludeBranch
    from collectors.gitlab.facts import ProjectFacts
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Reason, Record


FILLS = ("grants/gitlab-pipeline", "links/gitlab-pipeline", "secrets/ci-file", "weaknesses")
"""Tables that a pipeline's definition fills, other than its identity."""


def definition_of(
    scope: GitLabScope, project: ProjectFacts, path: str, text: str, repository: IncludeSource
) -> Generator[Record, None, Definition]:
    """Return a pipeline's definition with its includes, and yield the Coverage or Gaps of the calls. ``repository`` is
    where the file is, if not in the project. Raises `DefinitionError` for the file itself.
    """
    home = repository == IncludeSource()
    answer: MergedDefinition | None = None

    def ask() -> Generator[Record, None, MergedDefinition]:
        yield from ()
        return merged_definition(scope, project)

    if home and has_includes(text):
        request = scope.at(project.place).request(
            "identities",
            "GET /projects/:id/ci/lint",
            kind="gitlab-pipeline",
            needs="Developer of the project and of the projects it includes from",
        )
        answer = yield from with_coverage(ask(), request, fills=FILLS)
    reader = _Reader(scope, project, answer, path, repository)
    definition, branches = gitlab_pipeline(
        path if home else f"{path}@{repository.project}",
        text,
        scope.run.fingerprint,
        reader,
        owner=project.place.address.split("/", 1)[0],
        repository=repository,
        merged=answer.merged if answer else None,
    )
    unseen = _not_read(branches)
    if unseen is not None:
        for name in ("identities/gitlab-pipeline", *FILLS):
            table, _, kind = name.partition("/")
            lost = scope.at(project.place).request(
                table,
                "GET /projects/:id/repository/files/:file_path/raw (included)",
                kind=kind or None,
                needs="Developer of the projects it includes from",
            )
            yield gap(lost, unseen)
    if answer is not None and not answer.valid:
        why = Unresolved(line=1, what="GitLab reports the merged definition as invalid, so it may not run")
        return msgspec.structs.replace(definition, unresolved=[*definition.unresolved, why])
    return definition


def _not_read(branches: list[IncludeBranch]) -> Failure | None:
    """Return what was seen neither in the file nor in what GitLab merged."""
    unseen = [
        branch.read
        for branch in branches
        if branch.tree is None
        and branch.include.kind != "artifact"
        and (branch.read.reason is not None or not branch.read.merged)
    ]
    if not unseen:
        return None
    names = list(dict.fromkeys(f"{read.shown} ({read.why})" if read.why else read.shown for read in unseen))
    reason: Reason = next((read.reason for read in unseen if read.reason is not None), "unsupported")
    detail = f"not read, of {len(branches)} included files: {', '.join(names[:10])}"
    return Failure(reason=reason, detail=detail)


class _Reader:
    """Returns the files that GitLab merged, and files of its repositories that it left out."""

    def __init__(
        self,
        scope: GitLabScope,
        project: ProjectFacts,
        answer: MergedDefinition | None,
        path: str,
        repository: IncludeSource,
    ) -> None:
        self._scope = scope
        self._project = project
        self._own = project.place.address.lower()
        listed = answer.files if answer else None
        self._listed = listed is not None
        self._merges = answer is not None
        self._merged_files = listed or []
        self._claimed: set[int] = set()
        self._source = None if repository == IncludeSource() else (path, repository)
        base, issuer = (urlsplit(url).netloc for url in (scope.config.base_url, scope.config.issuer))
        self._hosts = {base.lower(), issuer.lower()}
        namespace, _, name = project.place.address.rpartition("/")
        branch = project.branch or "HEAD"
        self._variables = {
            "CI_PROJECT_PATH": project.place.address,
            "CI_PROJECT_NAMESPACE": namespace,
            "CI_PROJECT_ROOT_NAMESPACE": project.place.address.split("/", 1)[0],
            "CI_PROJECT_NAME": name,
            "CI_DEFAULT_BRANCH": branch,
            "CI_COMMIT_BRANCH": branch,
            "CI_COMMIT_REF_NAME": branch,
            "CI_SERVER_FQDN": issuer,
            "CI_SERVER_HOST": issuer.partition(":")[0],
        }

    def files(
        self, includes: Sequence[Include], repository: IncludeSource, *, merged: bool
    ) -> list[list[IncludeRead]]:
        """Return the files that each statement of one file names."""
        wanted = [(include, name) for include in includes for name in _names(include)]
        taken = [self._merged(include, name, repository) if merged else [] for include, name in wanted]
        for places in taken:
            self._claimed.update(places)
        # One file included under several conditions: GitLab does not say which of the statements it applied.
        statements = [{self._merged_files[place] for place in places} for places in taken]
        reads: dict[int, list[IncludeRead]] = {id(include): [] for include in includes}
        for (include, name), places in zip(wanted, taken, strict=True):
            for file in dict.fromkeys(self._merged_files[place] for place in places):
                times = sum(self._merged_files[place] == file for place in places)
                sure = not include.conditional or times >= sum(file in others for others in statements)
                reads[id(include)].append(self._read(file, merged=sure))
            # A path with wildcards for which GitLab found no file.
            plain = merged and not include.conditional
            nothing = plain and self._listed and include.kind == "local" and "*" in name
            if not places and not nothing:
                read = self._direct(include, name, repository)
                unlisted = plain and self._merges and not self._listed
                reads[id(include)].append(msgspec.structs.replace(read, merged=unlisted))
        return [reads[id(include)] for include in includes]

    def reported(self) -> list[Include]:
        """Return the includes of files that were not read. A definition outside the project counts as included
        itself.
        """
        found = [
            _statement(file)
            for number, file in enumerate(self._merged_files)
            if number not in self._claimed and file.kind in {"file", "remote", "component"}
        ]
        if self._source is not None:
            path, repository = self._source
            ref = None if repository.ref == "HEAD" else repository.ref
            found.append(
                Include(
                    kind="project",
                    name=repository.project,
                    files=[path],
                    ref=ref,
                    pin=pin_of(ref),
                    line=1,
                )
            )
        return found

    def _merged(self, include: Include, name: str, repository: IncludeSource) -> list[int]:
        """Return the positions in GitLab's list that a statement can refer to."""
        by = repository.project or self._own
        found: list[int] = []
        for number, file in enumerate(self._merged_files):
            if file.included_by != by or repository.ref not in {"", "HEAD", file.by_commit}:
                continue
            match include.kind, file.kind:
                case ("local", "local") | ("remote", "remote") | ("template", "template"):
                    same = matches(name, file.location, computed=True)
                case ("component", "component"):
                    same = matches(f"{name}@{include.ref or ''}", file.location, computed=True)
                case ("project", "file"):
                    same = (
                        matches(include.name.lower(), file.project, computed=True)
                        and matches(include.ref or "HEAD", file.requested_ref, computed=True)
                        and matches(name, file.location, computed=True)
                    )
                case _:
                    same = False
            if same:
                found.append(number)
        return found

    def _read(self, file: MergedFile, *, merged: bool) -> IncludeRead:
        if file.kind == "remote":
            return IncludeRead(shown=without_secrets(file.location), merged=merged)
        if not file.project:
            return IncludeRead(shown=file.location, merged=merged)
        own = file.project == self._own
        return self._file(
            IncludeSource() if own else IncludeSource(project=file.project, ref=file.ref), file.path, merged
        )

    def _direct(self, include: Include, name: str, repository: IncludeSource) -> IncludeRead:
        """Read a file that GitLab did not merge or was not asked about."""
        written = fill(name, self._variables)
        ref = fill(include.ref or "HEAD", self._variables)
        other = fill(include.name, self._variables)
        if include.kind == "remote":
            return IncludeRead(shown=include.shown, why="remote URLs are not fetched")
        if include.kind in {"template", "artifact"}:
            return IncludeRead(
                shown=name, why="it is a GitLab template" if include.kind == "template" else None
            )
        if not written:
            return IncludeRead(shown=include.name, why="the include names no file")
        if "*" in written or "$" in f"{written}{ref}{other}":
            return IncludeRead(shown=name, why="it is computed, and GitLab did not merge it")
        if include.kind == "component":
            return self._component(written, ref)
        if include.kind == "project":
            own = other.lower() == self._own and ref == "HEAD"
            repository = IncludeSource() if own else IncludeSource(project=other.lower(), ref=ref)
        return self._file(repository, written, merged=False)

    def _component(self, address: str, version: str) -> IncludeRead:
        """Read a component by a commit, tag or branch: https://docs.gitlab.com/ci/components/#component-versions."""
        shown = f"{address}@{version}"
        host, _, path = address.partition("/")
        project, _, name = path.rpartition("/")
        if host.lower() not in self._hosts or not project or version.startswith("~") or version == "HEAD":
            return IncludeRead(
                shown=shown, why="its version is not a single ref of a repository on this instance"
            )
        repository = IncludeSource(project=project.lower(), ref=version)
        first = self._file(repository, f"templates/{name}.yml", merged=False)
        if first.file is not None:
            return first
        second = self._file(repository, f"templates/{name}/template.yml", merged=False)
        return second if second.file is not None else msgspec.structs.replace(first, shown=shown)

    def _file(self, repository: IncludeSource, path: str, merged: bool) -> IncludeRead:
        path = path.lstrip("/")
        client, own = self._scope.client, not repository.project
        shown = path if own else f"{path}@{repository.project}"
        try:
            if own:
                text = text_of(client, self._project.place.number, path, "HEAD")
            else:
                text = self._scope.texts.read(client, repository.project, path, repository.ref)
        except SourceError as exc:
            return IncludeRead(shown=shown, why=exc.detail, reason=exc.reason, merged=merged)
        return IncludeRead(
            shown=shown,
            file=IncludedText(repository=repository, path=path, shown=shown, text=text),
            merged=merged,
        )


def _names(include: Include) -> list[str]:
    """Return the files that a statement names."""
    if include.kind == "project":
        return [file.lstrip("/") for file in include.files] or [""]
    return [include.name.lstrip("/") if include.kind == "local" else include.name]


def _statement(file: MergedFile) -> Include:
    """Return the statement that included a file, as far as it follows from GitLab's list."""
    statement = Include(kind="remote", name=file.location, pin="expression", line=1)
    if file.kind == "file":
        ref = None if file.requested_ref == "HEAD" else file.requested_ref
        return msgspec.structs.replace(
            statement, kind="project", name=file.project, files=[file.path], ref=ref, pin=pin_of(ref)
        )
    if file.kind == "component":
        name, _, version = file.location.partition("@")
        ref = version or None
        return msgspec.structs.replace(statement, kind="component", name=name, ref=ref, pin=pin_of(ref))
    # Only the including file says whether a remote file is pinned by a checksum.
    return statement
