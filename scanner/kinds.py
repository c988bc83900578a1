"""Kinds of records: what collectors declare, and what rules may refer to.

A collector declares, by table::

    KINDS            the kinds of its records: `Identity.kind`, `Secret.store`, `Weakness.code`, ...
    PARTS            additional names that its coverage and gaps use for part of a table: ``grants/last-accessed``
    HIDES_NO_ACCESS  kinds and parts whose loss hides no permission of a pipeline or workload, and no way to one: when
                     grants were used, stored secrets that no pipeline receives (`Gap.hides_access`)

A misspelled kind such as ``credentials/acess-key`` matches nothing and so looks clean. `sprawlscan rules test` rejects
kinds that no collector declares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from scanner.records import TABLE_OF, Coverage, Gap, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KIND_COLUMN: dict[str, str] = {
    "accounts": "kind",
    "identities": "kind",
    "credentials": "kind",
    "secrets": "store",
    "trusts": "kind",
    "policies": "kind",
    "controls": "kind",
    "weaknesses": "code",
    "artifacts": "kind",
}
"""The column of a table that holds the kind of its records. The records of other tables have no kinds."""


class DeclaresKinds(Protocol):
    """The declarations of a collector module; ``PARTS`` and ``HIDES_NO_ACCESS`` are optional."""

    @property
    def KINDS(self) -> Mapping[str, frozenset[str]]: ...  # noqa: D102, N802  a constant of the module


class DeclaredKinds(msgspec.Struct, frozen=True):
    """The kinds and parts that collectors declare, by table."""

    kinds: dict[str, frozenset[str]]
    """Kinds of records."""
    parts: dict[str, frozenset[str]]
    """Names of parts of tables that are not kinds of records."""
    hides_no_access: dict[str, frozenset[str]] = {}
    """Kinds and parts whose loss hides no permission of a pipeline or workload, and no way to one."""

    def of(self, table: str) -> frozenset[str]:
        """Return the kinds and parts of a table that a rule's ``needs`` may name."""
        return self.kinds.get(table, frozenset()) | self.parts.get(table, frozenset())

    def undeclared(self, records: Iterable[Record]) -> set[str]:
        """Return each undeclared ``table/kind`` of the given records, coverage and gaps."""
        found = set()
        for record in records:
            table = TABLE_OF[type(record)]
            if isinstance(record, Coverage | Gap):
                if record.kind is not None and record.kind not in self.of(record.table):
                    found.add(f"{record.table}/{record.kind}")
            elif table in KIND_COLUMN:
                kind: str = getattr(record, KIND_COLUMN[table])
                if kind not in self.kinds.get(table, frozenset()):
                    found.add(f"{table}/{kind}")
        return found


def declared_by(collector: DeclaresKinds) -> DeclaredKinds:
    """Return the declarations of one collector."""
    return DeclaredKinds(
        dict(collector.KINDS),
        dict(getattr(collector, "PARTS", {})),
        dict(getattr(collector, "HIDES_NO_ACCESS", {})),
    )


def together(several: Iterable[DeclaresKinds]) -> DeclaredKinds:
    """Return the combined declarations of several collectors."""
    every = [declared_by(one) for one in several]
    return DeclaredKinds(
        _union(one.kinds for one in every),
        _union(one.parts for one in every),
        _union(one.hides_no_access for one in every),
    )


def _union(several: Iterable[Mapping[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    union: dict[str, frozenset[str]] = {}
    for one in several:
        for table, kinds in one.items():
            union[table] = union.get(table, frozenset()) | kinds
    return union
