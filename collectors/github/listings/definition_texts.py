"""The texts of definition files, by GraphQL, fifty per request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github import queries
from collectors.github.texts import DefinitionFacts, KnownFiles, learn, remembered
from scanner.collect.failures import Failure, SourceError
from scanner.collect.graphql import QueryError
from scanner.collect.listings import preflight

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from collectors.github.facts import DefinitionFile, RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Record

_BATCH = 50
_BATCH_BYTES = 4_000_000
_INLINE = 400_000
"""Bytes. GraphQL truncates longer texts, so they are read by REST."""


def definition_texts(
    scope: OrganizationScope, repositories: Iterable[RepositoryFacts]
) -> Generator[Record, None, KnownFiles]:
    """Fetch the texts that no earlier night has read. Yields a Gap for each batch that fails."""
    texts: dict[str, str] = {}
    facts: dict[str, DefinitionFacts] = {}
    failed: dict[str, Failure] = {}
    unseen: dict[str, tuple[RepositoryFacts, DefinitionFile]] = {}
    for repository in repositories:
        for file in (*(repository.files or ()), *((repository.owners,) if repository.owners else ())):
            if file.oid in facts or file.oid in unseen:
                continue
            known = remembered(scope.memory, file)
            if known is None:
                unseen[file.oid] = (repository, file)
            else:
                facts[file.oid] = known
    for batch in _batches(unseen):
        fetched = yield from preflight(
            _fetch(scope, batch, failed),
            scope.request(
                "identities",
                f"POST /graphql repository.object ({batch[0][1].oid[:12]})",
                kind="github-workflow",
                needs="contents: read",
            ),
        )
        for file, text in fetched or ():
            facts[file.oid] = learn(scope.memory, file, text)
            texts[file.oid] = text
    return KnownFiles(texts=texts, facts=facts, failed=failed)


def _fetch(
    scope: OrganizationScope,
    batch: Sequence[tuple[RepositoryFacts, DefinitionFile]],
    failed: dict[str, Failure],
) -> Generator[Record, None, list[tuple[DefinitionFile, str]]]:
    """Yield no record. Return the texts that GitHub returns in full. A failure is noted for each file."""
    yield from ()
    try:
        return _texts(scope, batch)
    except SourceError as exc:
        failure = Failure(reason=exc.reason, detail=exc.detail)
        failed |= {file.oid: failure for _, file in batch}
        raise


def _texts(
    scope: OrganizationScope, batch: Sequence[tuple[RepositoryFacts, DefinitionFile]]
) -> list[tuple[DefinitionFile, str]]:
    """Return the texts of a batch. A batch that exceeds GitHub's limit of ten seconds is split in halves."""
    files: dict[str, list[DefinitionFile]] = {}
    for repository, file in batch:
        files.setdefault(repository.name, []).append(file)
    half = len(batch) // 2
    try:
        answer = scope.client.graphql.query(
            queries.blobs(files), {"org": scope.login}, retries=0 if half else None
        )
        if half and any(error.too_slow for error in answer.errors):
            raise QueryError(answer.errors)
    except SourceError as exc:
        if not half or exc.reason != "unreachable":
            raise
        return _texts(scope, batch[:half]) + _texts(scope, batch[half:])
    texts = []
    for index, chosen in enumerate(files.values()):
        shown: dict[str, Any] = answer.data.get(f"r{index}") or {}
        for number, file in enumerate(chosen):
            blob = shown.get(f"b{number}") or {}
            if blob.get("text") is not None and not blob.get("isTruncated") and not blob.get("isBinary"):
                texts.append((file, str(blob["text"])))
    return texts


def _batches(
    unseen: Mapping[str, tuple[RepositoryFacts, DefinitionFile]],
) -> Iterator[list[tuple[RepositoryFacts, DefinitionFile]]]:
    """Yield batches of at most fifty files and of limited size in bytes; long files are left for REST."""
    batch: list[tuple[RepositoryFacts, DefinitionFile]] = []
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
