"""The definition files of a page of repositories: their texts, and the facts in them. A text is fetched once for each
object id; its facts are remembered from night to night, the text is not.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

import msgspec

from collectors.definitions import DefinitionError, Job, parse
from scanner.collect.failures import Failure, SourceError

if TYPE_CHECKING:
    from collectors.github.facts import DefinitionFile, RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.collect.memory import Memory
    from scanner.secrets.detectors import Fingerprint

_LARGEST = 10_000_000
"""Bytes. Longer files are not read."""
_MINTS = re.compile(r"""id-token["']?\s*:\s*["']?write|write-all""")


class DefinitionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered about a file's content."""

    mints: bool = False
    """Whether a workflow requests ``id-token: write``."""
    owner: str | None = None
    """For a CODEOWNERS file, the owner of the whole repository."""
    jobs: list[Job] | None = None
    """The jobs of a reusable workflow: their environments appear in the callers' tokens."""


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
            learn(scope.memory, file, held, scope.run.fingerprint)
        return held

    def reusable_jobs(self, repository: RepositoryFacts) -> dict[str, list[Job]]:
        """Return the jobs of the repository's reusable workflows, by path."""
        known = {
            file.path: self.facts.get(file.oid, DefinitionFacts()).jobs for file in repository.files or ()
        }
        return {path: jobs for path, jobs in known.items() if jobs is not None}

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


def learn(memory: Memory, file: DefinitionFile, text: str, fingerprint: Fingerprint) -> DefinitionFacts:
    """Return the facts in a file's text, and remember them."""
    if file.path.endswith("CODEOWNERS"):
        facts = DefinitionFacts(owner=_owner(text))
    else:
        facts = DefinitionFacts(mints=bool(_MINTS.search(text)), jobs=_reusable(file, text, fingerprint))
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


def _reusable(file: DefinitionFile, text: str, fingerprint: Fingerprint) -> list[Job] | None:
    """Return the jobs of a reusable workflow; None for other files, and for one that cannot be parsed."""
    if "workflow_call" not in text:
        return None
    try:
        return parse(file.path, text, fingerprint).jobs
    except DefinitionError:
        return None


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
