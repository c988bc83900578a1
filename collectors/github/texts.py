"""The definition files of a page of repositories: their texts, and the facts in them. A text is fetched once for each
object id; its facts are remembered from night to night, the text is not.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from typing import TYPE_CHECKING

import msgspec

from scanner.collect.failures import Failure, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collectors.github.facts import DefinitionFile, RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.collect.memory import Memory

_LARGEST = 10_000_000
"""Bytes. Longer files are not read."""
_MINTS = re.compile(r"""id-token["']?\s*:\s*["']?write|write-all""")


class DefinitionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered about a file's content."""

    mints: bool = False
    """Whether a workflow requests ``id-token: write``."""
    owner: str | None = None
    """For a CODEOWNERS file, the owner of the whole repository."""
    calls: list[str] = []
    """The reusable workflows and actions of its own repository that it names."""


_FACTS = msgspec.json.Decoder(DefinitionFacts)
"""Made at import: msgspec crashes when two threads are the first to decode a type at the same time."""


class KnownFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The definition files of one page of repositories, by object id."""

    texts: dict[str, str]
    """Texts fetched tonight; `text` adds to them."""
    facts: dict[str, DefinitionFacts]
    """Facts read tonight or on an earlier night."""
    failed: dict[str, Failure] = {}
    """Why a text could not be fetched."""

    def text(self, scope: OrganizationScope, repository: RepositoryFacts, file: DefinitionFile) -> str:
        """Return a file's text: fetched before, or now, by REST. Raises `SourceError`.

        It is kept because other repositories of the page may have the same file.
        """
        held = self.texts.get(file.oid)
        if held is None:
            held = self.texts[file.oid] = _read(scope, repository, file)
            learn(scope.memory, file, held)
        return held

    def called_by(self, file: DefinitionFile, of: Sequence[DefinitionFile]) -> list[DefinitionFile]:
        """Return the files of its repository that a file calls, directly or through others, by path."""
        files = {one.path: one for one in of}
        found: dict[str, DefinitionFile] = {}
        queue = [file]
        while queue:
            for name in self.facts.get(queue.pop().oid, DefinitionFacts()).calls:
                for path in (name, f"{name}/action.yml", f"{name}/action.yaml"):
                    called = files.get(path.lstrip("/"))
                    if called is not None and called.path not in found:
                        found[called.path] = called
                        queue.append(called)
        return [found[path] for path in sorted(found)]

    def owner(self, repository: RepositoryFacts) -> str | None:
        """Return the owner of the whole repository by CODEOWNERS."""
        facts = self.facts.get(repository.owners.oid) if repository.owners else None
        return facts.owner if facts else None

    def owner_failure(self, repository: RepositoryFacts) -> Failure | None:
        """Return why CODEOWNERS could not be read; None if it was, or does not exist."""
        if repository.owners is None:
            return (
                Failure(reason="denied", detail="its files are not visible")
                if repository.files is None
                else None
            )
        if repository.owners.oid in self.facts:
            return None
        return self.failed.get(repository.owners.oid) or Failure(
            reason="truncated", detail=f"{repository.owners.path} is too large, or not text"
        )

    def mints(self, repository: RepositoryFacts) -> bool:
        """Return whether a workflow of the repository may ask for an OIDC token; True if that is unknown."""
        if repository.files is None:
            return True
        return any(
            self.facts.get(file.oid, DefinitionFacts(mints=True)).mints
            for file in repository.files
            if file.path.startswith(".github/")
        )


def remembered(memory: Memory, file: DefinitionFile) -> DefinitionFacts | None:
    """Return the facts about a file's content from an earlier night."""
    known = memory.blob(file.oid)
    return None if known is None else _FACTS.decode(known)


def learn(memory: Memory, file: DefinitionFile, text: str) -> DefinitionFacts:
    """Return the facts in a file's text, and remember them."""
    if file.path.endswith("CODEOWNERS"):
        facts = DefinitionFacts(owner=_owner(text))
    else:
        facts = DefinitionFacts(mints=bool(_MINTS.search(text)), calls=_calls(text))
    memory.keep_blob(file.oid, msgspec.json.encode(facts))
    return facts


def _read(scope: OrganizationScope, repository: RepositoryFacts, file: DefinitionFile) -> str:
    """Return a file's text, by REST. Raises `SourceError` for a file that is too long or not text.

    https://docs.github.com/en/rest/git/blobs#get-a-blob
    """
    if file.size > _LARGEST:
        raise SourceError("truncated", f"{file.path} is larger than {_LARGEST} bytes")
    body = scope.client.one(
        scope.of(repository).path("/repos/{owner}/{repo}/git/blobs/{file_sha}", file_sha=file.oid)
    )
    try:
        return base64.b64decode(body.get("content") or "").decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, TypeError):
        raise SourceError("malformed", f"{file.path} is not text") from None


_CALLS = re.compile(r"""\buses["']?\s*:\s*["']?[.$]/(?P<path>[^\s"'#,}]*)""")


def _calls(text: str) -> list[str]:
    """Return the paths that a text calls in its own repository, without a slash at the end; empty for its root."""
    paths = {posixpath.normpath(match["path"] or ".") for match in _CALLS.finditer(text)}
    return sorted("" if path == "." else path for path in paths)


def _owner(text: str) -> str | None:
    """Return the first owner that a CODEOWNERS file names for everything.

    https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners
    """
    owner = None
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) > 1 and words[0] == "*":
            owner = words[1].removeprefix("@")
    return owner
