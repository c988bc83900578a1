"""GitLab's merge of a project's pipeline definition, by the CI lint API: https://docs.gitlab.com/api/lint/"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.definitions import (
    DefinitionError,
    MergedPipeline,
    read_merged,
    without_secrets,
)
from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from collectors.gitlab.facts import ProjectFacts
    from collectors.gitlab.scope import GitLabScope


_BLOB = re.compile(r"(?P<sha>[0-9a-f]{40}|[0-9a-f]{64})/(?P<path>.+)")


_SPEAKS_OF_FILES = re.compile(
    r"(?:Project|Local file|Remote file|Included file|Template file|Component|Maximum of|Request timed out|Please provide)\b"
)
"""Prefixes of GitLab's error messages that do not repeat file content."""


class MergedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file that GitLab merged."""

    kind: str
    """``local``, ``file`` (of another project), ``remote``, ``template`` or ``component``."""
    location: str
    included_by: str
    """Full path, in lower case, of the project whose file includes it."""
    by_commit: str
    project: str = ""
    """Full path of the project that contains it; empty if it is not in a repository."""
    ref: str = ""
    """The commit, or the ref if GitLab does not return the commit."""
    path: str = ""
    requested_ref: str = ""
    """The ref in the include statement."""


class MergedDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition as GitLab merged it."""

    merged: MergedPipeline
    valid: bool
    files: list[MergedFile] | None
    """None if this GitLab version does not list the files."""


def merged_definition(scope: GitLabScope, project: ProjectFacts) -> MergedDefinition:
    """Ask GitLab to merge the definition on the default branch. Raises `SourceError` if GitLab cannot merge it; the
    message repeats GitLab's errors only if they are about files.
    """
    path = scope.at(project.place).path("/projects/:id/ci/lint")
    body = scope.client.one(path)
    text, listed, errors = body.get("merged_yaml"), body.get("includes"), body.get("errors") or []
    if not isinstance(errors, list) or (listed is not None and not _is_rows(listed)):
        raise SourceError("malformed", f"{path}: expected lists of errors and includes")
    if not isinstance(text, str):
        known = [str(error) for error in errors if _SPEAKS_OF_FILES.match(str(error))]
        words = without_secrets(known[0])[:300] if known else "it names no file as the reason"
        denied = any("access denied" in error for error in known)
        raise SourceError(
            "denied" if denied else "unsupported", f"GitLab could not merge the definition: {words}"
        )
    try:
        merged = read_merged(text)
    except DefinitionError as exc:
        raise SourceError(exc.reason, f"the merged definition cannot be read: {exc}") from None
    return MergedDefinition(
        merged=merged,
        valid=body.get("valid") is True,
        files=None if listed is None else [_merged_file(row) for row in listed],
    )


def _is_rows(listed: object) -> bool:
    return isinstance(listed, list) and all(isinstance(row, dict) for row in listed)


def _merged_file(row: dict[str, Any]) -> MergedFile:
    kind, location = str(row.get("type")), str(row.get("location") or "")
    by, commit = str(row.get("context_project") or "").lower(), str(row.get("context_sha") or "")
    merged_file = MergedFile(kind=kind, location=location, included_by=by, by_commit=commit)
    web, _, blob = str(row.get("blob") or "").partition("/-/blob/")
    found = _BLOB.fullmatch(blob)
    if kind == "local":
        return msgspec.structs.replace(merged_file, project=by, ref=commit, path=location)
    if kind == "file":
        extra = row.get("extra")
        extra = extra if isinstance(extra, dict) else {}
        asked = str(extra.get("ref") or "HEAD")
        other = str(extra.get("project") or "").lower()
        ref = found["sha"] if found else asked
        return msgspec.structs.replace(
            merged_file, project=other, ref=ref, path=location, requested_ref=asked
        )
    if kind == "component" and found:
        # gitlab.example.com/group/project/name@1.0 stands in group/project.
        other = location.partition("@")[0].partition("/")[2].rpartition("/")[0]
        if other and web.lower().endswith(f"/{other.lower()}"):
            return msgspec.structs.replace(
                merged_file, project=other.lower(), ref=found["sha"], path=found["path"]
            )
    return merged_file
