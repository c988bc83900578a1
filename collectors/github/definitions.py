"""The CI definition files of repositories: their texts by GraphQL, fifty a request, and what the parser says of them.

A text is fetched once for each object id: what it says is remembered, the text is not.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.failures import GitHubError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.github.memory import Memory
    from collectors.github.oidc import Template
    from collectors.github.repositories import Facts
    from collectors.github.scope import Scope
    from collectors.github.structure import File, Repository
    from scanner.records import Record

_BATCH = 50
_BATCH_BYTES = 4_000_000
_INLINE = 400_000
"""GraphQL cuts longer texts: they are read by REST."""
_LARGEST = 10_000_000
_MINTS = re.compile(r"""id-token["']?\s*:\s*["']?write|write-all""")
_BLOB = "{ ... on Blob { oid byteSize isTruncated isBinary text } }"


class BlobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a file's content."""

    mints: bool = False
    """Whether a workflow asks for ``id-token: write``."""
    owner: str | None = None
    """The owner of everything, of a CODEOWNERS file."""


class Definitions:
    """The definition files of one page of repositories. Thread-safe once `prefetch` is done."""

    def __init__(self, scope: Scope, memory: Memory) -> None:
        self._scope = scope
        self._memory = memory
        self._texts: dict[str, str] = {}
        self._facts: dict[str, BlobFacts] = {}

    def prefetch(self, repositories: Iterable[Repository]) -> Iterator[Record]:
        """Fetch the texts that no earlier night has seen. Yields a Gap when a batch fails."""
        unseen: dict[str, tuple[Repository, File]] = {}
        for repository in repositories:
            for file in (*(repository.files or ()), *((repository.owners,) if repository.owners else ())):
                known = self._memory.blob(file.oid)
                if known is not None:
                    self._facts[file.oid] = msgspec.json.decode(known, type=BlobFacts)
                elif file.oid not in unseen:
                    unseen[file.oid] = (repository, file)
        for batch in _batches(unseen):
            yield from self._scope.told(
                self._fetch(batch),
                self._scope.asked(
                    "identities",
                    f"POST /graphql repository.object ({batch[0][1].oid[:12]})",
                    kind="github-workflow",
                    needs="contents: read",
                ),
            )

    def _fetch(self, batch: list[tuple[Repository, File]]) -> Iterator[Record]:
        by_repository: dict[str, list[File]] = {}
        for repository, file in batch:
            by_repository.setdefault(repository.name, []).append(file)
        parts = []
        for index, (name, files) in enumerate(by_repository.items()):
            blobs = " ".join(
                f"b{number}: object(oid: {json.dumps(file.oid)}) {_BLOB}" for number, file in enumerate(files)
            )
            parts.append(f"r{index}: repository(owner: $org, name: {json.dumps(name)}) {{ {blobs} }}")
        answer = self._scope.client.query(
            f"query Blobs($org: String!) {{ {' '.join(parts)} }}", {"org": self._scope.login}
        )
        for index, files in enumerate(by_repository.values()):
            shown: dict[str, Any] = answer.data.get(f"r{index}") or {}
            for number, file in enumerate(files):
                blob = shown.get(f"b{number}") or {}
                if blob.get("text") is not None and not blob.get("isTruncated") and not blob.get("isBinary"):
                    self._learn(file, str(blob["text"]))
        yield from ()

    def _learn(self, file: File, text: str) -> None:
        if file.path.endswith("CODEOWNERS"):
            facts = BlobFacts(owner=_owner(text))
        else:
            self._texts[file.oid] = text
            facts = BlobFacts(mints=bool(_MINTS.search(text)))
        self._facts[file.oid] = facts
        self._memory.keep_blob(file.oid, msgspec.json.encode(facts))

    def owner(self, repository: Repository) -> str | None:
        """Return who CODEOWNERS says answers for the whole repository."""
        facts = self._facts.get(repository.owners.oid) if repository.owners else None
        return facts.owner if facts else None

    def mints(self, repository: Repository) -> bool:
        """Tell whether a workflow of the repository may ask for an OIDC token; True where that is not known."""
        if repository.files is None:
            return True
        return any(
            self._facts.get(file.oid, BlobFacts(mints=True)).mints
            for file in repository.files
            if file.path.startswith(".github/")
        )

    def _text(self, repository: Repository, file: File) -> str:
        """Return a file's text: fetched before, or now, by REST.

        https://docs.github.com/en/rest/git/blobs#get-a-blob
        """
        held = self._texts.get(file.oid)
        if held is not None:
            return held
        if file.size > _LARGEST:
            raise GitHubError("truncated", f"{file.path} is larger than {_LARGEST} bytes")
        body = self._scope.client.one(f"/repos/{self._scope.login}/{repository.name}/git/blobs/{file.oid}")
        try:
            raw = base64.b64decode(body.get("content") or "")
            text = raw.decode("utf-8")
        except (binascii.Error, UnicodeDecodeError, TypeError):
            raise GitHubError("malformed", f"{file.path} is not text") from None
        self._learn(file, text)
        return text

    def records(
        self,
        repository: Repository,
        facts: Facts,
        organisation: dict[str, str],
        template: Template | None,
    ) -> Iterator[Record]:
        """Yield what the parser says of a repository's definition files."""
        if repository.files is None:
            yield from self._scope.told(
                _refused(repository),
                self._scope.asked(
                    "identities",
                    "POST /graphql repository.object",
                    kind="github-workflow",
                    needs="contents: read",
                    account_id=repository.account_id,
                ),
                fills={"grants": "github-workflow", "links": "uses", "secrets": "ci-file"},
            )
            return
        for file in repository.files:
            yield from self._scope.told(
                self._parsed(repository, file, facts, organisation, template),
                self._scope.asked(
                    "identities",
                    f"POST /graphql repository.object ({file.path})",
                    kind="github-workflow",
                    needs="contents: read",
                    account_id=repository.account_id,
                ),
                fills={"grants": "github-workflow", "links": "uses", "secrets": "ci-file"},
            )

    def _parsed(
        self,
        repository: Repository,
        file: File,
        facts: Facts,
        organisation: dict[str, str],
        template: Template | None,
    ) -> Iterator[Record]:
        self._text(repository, file)
        yield from ()


def _refused(repository: Repository) -> Iterator[Record]:
    raise GitHubError("denied", f"{repository.full_name}: its files are not shown")
    yield  # a generator, so that the refusal is met where it is read


def _batches(unseen: dict[str, tuple[Repository, File]]) -> Iterator[list[tuple[Repository, File]]]:
    """Yield files fifty at a time, and not too many bytes at once; long ones are left for REST."""
    batch: list[tuple[Repository, File]] = []
    size = 0
    for repository, file in unseen.values():
        if file.size > _INLINE:
            continue
        if batch and (len(batch) == _BATCH or size + file.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((repository, file))
        size += file.size
    if batch:
        yield batch


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
