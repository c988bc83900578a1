"""Which commits a pipeline's definition was read at, so that it is read again only when one of them changed.

https://learn.microsoft.com/rest/api/azure/devops/git/refs/list : the commit of a branch, one request for each branch that
definitions are read from, instead of one for each file. Records are kept, never a file's text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure_devops.calls import VERSION
from collectors.azure_devops.nights import digest_of
from collectors.azure_devops.scope import pipeline
from scanner.collect.failures import SourceError
from scanner.records import Gap, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from collectors.azure_devops.facts import KnownResources
    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

REFS = "/{project}/_apis/git/repositories/{repository}/refs"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_VOLATILE = frozenset(("latestBuild", "latestCompletedBuild", "_links"))
"""What a list of pipelines says of them that is not part of their definition."""

Source = tuple[str, str, str | None]
"""Project, repository and ref."""
_SOURCES = msgspec.json.Decoder(list[Source])


class KeptDefinitions:
    """The definitions of one project's pipelines, kept by the commits that they were read at."""

    def __init__(
        self,
        scope: DevOpsScope,
        known: KnownResources,
        last_used: Callable[[dict[str, Any]], datetime | None],
    ) -> None:
        """``last_used`` returns when a listed pipeline last ran."""
        self._scope = scope
        self._known = known
        self._last_used = last_used
        self._read: dict[Source, str | None] = {}
        self._resources = ""

    def note(self, source: Source) -> None:
        """Say, before it is read, that the definition at hand is read from a branch, tag or commit."""
        if self._scope.nights.rotate:
            self._read[source] = self._commit(source)

    def kept(self, item: dict[str, Any], read: Iterable[Record]) -> Iterator[Record]:
        """Yield what ``read`` yields of a listed pipeline, or what it yielded at the same commits on an earlier night."""
        if not self._scope.nights.rotate:
            yield from read
            return
        memory, name = self._scope.nights.memory, f"pipeline {self._known.project.id}/{item['id']}"
        earlier = memory.blob(name)
        if earlier is not None:
            commits = {source: self._commit(source) for source in _SOURCES.decode(earlier)}
            found = None if None in commits.values() else memory.definition(self._key(name, item, commits))
            if found is not None:
                yield from self._tonight(item, found)
                return
        self._read = {}
        records: list[Record] = []
        for record in read:
            records.append(record)
            yield record
        failed = any(isinstance(one, Gap) and one.reason != "unsupported" for one in records)
        if not failed and None not in self._read.values():
            memory.keep_blob(name, msgspec.json.encode(sorted(self._read, key=str)))
            memory.keep_definition(self._key(name, item, self._read), records)

    def _tonight(self, item: dict[str, Any], records: list[Record]) -> Iterator[Record]:
        me = pipeline(self._known.project.id, item["id"])
        for record in records:
            if isinstance(record, Identity) and record.id == me:
                yield msgspec.structs.replace(record, last_used_at=self._last_used(item))
            else:
                yield record

    def _key(self, name: str, item: dict[str, Any], commits: dict[Source, str | None]) -> str:
        """Return what the records depend on: the definition, what it may name, and the commits."""
        if not self._resources:
            known = self._known
            self._resources = digest_of(known.project, known.connections, known.library)
        listed = {key: value for key, value in item.items() if key not in _VOLATILE}
        return f"{name} {digest_of(listed, self._resources, sorted(commits.items(), key=str))}"

    def _commit(self, source: Source) -> str | None:
        """Return the commit of a ref; None if it is not known, so that nothing is kept."""
        known = self._scope.clients.commits
        if source not in known:
            known[source] = self._asked(*source)
        return known[source]

    def _asked(self, project: str, repository: str, ref: str | None) -> str | None:
        if ref is None:
            return None
        if _COMMIT.fullmatch(ref):
            return ref
        full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
        path = self._scope.path(REFS, project=project, repository=repository)
        try:
            # The filter is a prefix: there may be other branches that begin with the name.
            for item in self._scope.client.items(path, {**VERSION, "filter": full.removeprefix("refs/")}):
                if item["name"] == full:
                    return str(item["objectId"])
        except SourceError:
            return None
        return None
