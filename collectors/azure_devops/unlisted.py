"""Lists that show only what the scanner may see, held against everything else that says there is more.

Azure DevOps answers a list with 200 and what the caller may see. So a list that was read proves nothing as long as an access
control list, a definition, a total or the enablement of a feature names an object that the list lacks: that is a gap.
https://learn.microsoft.com/azure/devops/organizations/security/about-permissions
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from scanner.collect.failures import Failure
from scanner.collect.listings import gap
from scanner.records import Account, Coverage, Gap, Identity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

T = TypeVar("T")
SHOWN = 5
"""How many of the missing objects a gap names."""


class ListedNoun(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of object that a list can leave out."""

    name: str
    """As a `Place` names it: ``connection``, ``repository``."""
    table: str
    kind: str
    """Table and kind of what the list fills."""
    call: str
    needs: str


NOUNS = (
    ListedNoun(
        name="project",
        table="accounts",
        kind="ado-project",
        call="GET /_apis/projects",
        needs="Reader of every project",
    ),
    ListedNoun(
        name="repository",
        table="accounts",
        kind="ado-repository",
        call="GET /{project}/_apis/git/repositories",
        needs="Read of the repositories",
    ),
    ListedNoun(
        name="connection",
        table="identities",
        kind="ado-service-connection",
        call="GET /{project}/_apis/serviceendpoint/endpoints",
        needs="Reader, or User, of the service connections",
    ),
    ListedNoun(
        name="variable group",
        table="secrets",
        kind="ado-variable-group",
        call="GET /{project}/_apis/distributedtask/variablegroups",
        needs="Reader of the library",
    ),
    ListedNoun(
        name="secure file",
        table="secrets",
        kind="ado-secure-file",
        call="GET /{project}/_apis/distributedtask/securefiles",
        needs="Reader of the library",
    ),
    ListedNoun(
        name="environment",
        table="controls",
        kind="environment-approval",
        call="GET /{project}/_apis/pipelines/environments",
        needs="Reader of the environments",
    ),
    ListedNoun(
        name="pipeline",
        table="identities",
        kind="ado-pipeline",
        call="GET /{project}/_apis/build/definitions",
        needs="View builds",
    ),
    ListedNoun(
        name="release",
        table="identities",
        kind="ado-release",
        call="GET /{project}/_apis/release/definitions",
        needs="View releases",
    ),
    ListedNoun(
        name="pool",
        table="identities",
        kind="ado-agent-pool",
        call="GET /_apis/distributedtask/pools",
        needs="Reader of the agent pools",
    ),
)


_BY_KIND = {noun.kind: noun.name for noun in NOUNS if noun.table in {"accounts", "identities"}}


class Watch:
    """What the lists of one project, or of the organization, answered."""

    def __init__(self) -> None:
        self.listed: dict[str, set[str]] = {}
        """Noun -> numbers of the objects that its list has."""
        self._answered: set[tuple[str, str | None]] = set()
        self._failed: set[tuple[str, str | None]] = set()

    def over(self, records: Generator[Record, None, T]) -> Generator[Record, None, T]:
        """Pass records on with the value of their generator, and note which lists were answered."""
        while True:
            try:
                record = next(records)
            except StopIteration as end:
                result: T = end.value
                return result
            match record:
                case Coverage():
                    self._answered.add((record.table, record.kind))
                case Gap():
                    self._failed.add((record.table, record.kind))
                case Account() | Identity() if record.kind in _BY_KIND:
                    number = record.native_id.rpartition("/")[2].lower()
                    self.list(_BY_KIND[record.kind], (number,))
                case _:
                    pass
            yield record

    def list(self, noun: str, numbers: Iterable[str]) -> None:
        """Note the objects that the list of a noun has."""
        self.listed.setdefault(noun, set()).update(numbers)

    def answered(self, noun: ListedNoun) -> bool:
        """Return whether the list of a noun was read to its end. Where it was not, it has a gap of its own."""
        key = (noun.table, noun.kind)
        return key in self._answered and key not in self._failed


def unlisted(
    scope: DevOpsScope,
    watch: Watch,
    mentions: Mapping[str, Mapping[str, str]],
    totals: Mapping[str, int] | None = None,
) -> Iterator[Record]:
    """Yield a gap for each list that lacks what something else names.

    ``mentions`` are the numbers of objects, by noun, each with what names it; ``totals`` how many there are in all.
    """
    for noun in NOUNS:
        if not watch.answered(noun):
            continue
        named, listed = mentions.get(noun.name, {}), watch.listed.get(noun.name, set())
        missing = sorted(named.keys() - listed)
        total = (totals or {}).get(noun.name, 0)
        request = scope.request(noun.table, noun.call, kind=noun.kind, needs=noun.needs, item="unlisted")
        if not missing and total > len(listed):
            detail = f"There are {total} of kind {noun.name}, and the list has the {len(listed)} that the scanner may see"
            yield gap(request, Failure(reason="denied", detail=detail))
        if not missing:
            continue
        sources = sorted({named[number] for number in missing})
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        detail = (
            f"{len(missing)} of kind {noun.name} are named by {', '.join(sources)} and not in the list, which shows what the "
            f"scanner may see: {', '.join(missing[:SHOWN])}{more}"
        )
        yield gap(request, Failure(reason="denied", detail=detail))
