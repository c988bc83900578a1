"""Framework mappings: what each rule is evidence for. Kept out of the rules; each with its version and source.

A file ``scanner/analyze/frameworks/NAME.yaml``::

    title: CIS Amazon Web Services Foundations Benchmark
    short: CIS AWS
    version: "5.0"
    published: "2025-03-31"  # optional
    aliases: ["5.0.0"]       # other names of this version
    license: CC BY-NC-SA 4.0; ids are cited, the words are ours
    source: where ids and numbers were read
    url: https://...
    providers: [aws]         # of these only: findings of others are no evidence; left out for all
    not_claimed:             # what no reader may take from it
      - A level of the benchmark, or a percentage of it.
    controls:
      "1.11":
        title: Credentials idle for 45 days are disabled
        rules:
          credential-unused: full
        at_most: {credential-unused: 45}
        tables: [credentials]    # evidence without a rule
        note: What a reader must know besides.

A finding is evidence against a control, never a verdict on it. What silence says stands beside each rule (`Relation`),
and counts only where the rule was evaluated in every account, looked at something, and ran with a threshold that is
not above ``at_most``. No file maps a rule to a control for completeness' sake.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from scanner.document import DocumentError, nearest, read_document
from scanner.records import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scanner.analyze.rule import Rule
    from scanner.document import Document

FRAMEWORKS = Path(__file__).parent / "frameworks"

EVERY = ""
"""Means every provider."""

Relation: TypeAlias = Literal["full", "partial", "counter"]
"""What a rule says of a control: ``full`` tests what the control asks, ``partial`` a part of it; of ``counter`` a finding
counts against the control, and silence says nothing."""


class MappedControl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One control, and what is evidence for it."""

    title: str
    """Short words: the framework's own where its license allows, else ours."""
    rules: dict[str, Relation] = {}
    """By rule id."""
    at_most: dict[str, int] = {}
    """The largest ``days`` of a rule with which it still tests what the control asks, by rule id."""
    tables: list[str] = []
    """Tables that are evidence by themselves: an inventory."""
    note: str | None = None
    """What a reader must know besides."""

    @property
    def silence_proves(self) -> Literal["full", "partial", "none"]:
        """How much of the control it proves when no rule finds anything."""
        relations = set(self.rules.values())
        if not relations or relations == {"counter"}:
            return "none"
        return "full" if relations == {"full"} else "partial"


class _FrameworkFile(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    short: str
    version: str
    license: str
    source: str
    url: str
    not_claimed: list[str]
    controls: dict[str, MappedControl]
    published: str | None = None
    aliases: list[str] = []
    providers: list[str] = []


class Framework(msgspec.Struct, frozen=True, kw_only=True):
    """One framework in one version."""

    id: str
    """The file's stem."""
    title: str
    short: str
    """The name used to cite its controls: ``CIS AWS``."""
    version: str
    license: str
    """Under which its text stands, and whose words the titles are."""
    source: str
    """Where ids and numbers were read."""
    url: str
    not_claimed: list[str]
    """What no reader may take from a mapping to it, in sentences."""
    controls: dict[str, MappedControl]
    """By code, in the framework's order."""
    published: str | None
    """When this version was: ``2025-08-27``, ``2025-08``."""
    aliases: list[str]
    """Other names of this version."""
    providers: list[str]
    """Whose findings are evidence; empty for all."""


class CitedControl(msgspec.Struct, frozen=True, kw_only=True):
    """A control for which a rule is evidence."""

    framework: str
    """Short name and version: ``CIS AWS 5.0``."""
    code: str
    relation: Relation

    def __str__(self) -> str:
        return f"{self.framework}: {self.code}"


def load_frameworks(rules: Iterable[Rule] | None = None) -> list[Framework]:
    """Return the mappings. Raises `DocumentError`, also for a rule or a threshold that is not among ``rules``."""
    known = {rule.id: rule for rule in rules} if rules is not None else None
    frameworks = []
    problems: list[str] = []
    for path in sorted(FRAMEWORKS.glob("*.yaml")):
        document = read_document(path)
        wrong = document.unknown_keys(document.value, _FrameworkFile.__struct_fields__, ())
        if not wrong:
            given = document.convert(document.value, _FrameworkFile)
            wrong = list(_problems(document, given, known))
            frameworks.append(Framework(id=path.stem, **msgspec.structs.asdict(given)))
        problems += wrong
    if problems:
        raise DocumentError(problems)
    return frameworks


def _problems(document: Document, given: _FrameworkFile, known: Mapping[str, Rule] | None) -> Iterator[str]:
    for code, control in given.controls.items():
        where = ("controls", code)
        for rule in control.rules:
            if known is not None and rule not in known:
                yield document.problem((*where, "rules", rule), f"no rule `{rule}`; {nearest(rule, known)}")
        for rule in control.at_most:
            if rule not in control.rules:
                yield document.problem((*where, "at_most", rule), "is no rule of this control")
            elif known is not None and rule in known and "days" not in known[rule].params:
                yield document.problem((*where, "at_most", rule), "has no threshold `days`")
        for number, table in enumerate(control.tables):
            if table not in TABLES:
                yield document.problem(
                    (*where, "tables", number), f"no table `{table}`; {nearest(table, TABLES)}"
                )


def references(
    frameworks: Iterable[Framework], chosen: Iterable[str] | None = None
) -> dict[str, dict[str, list[CitedControl]]]:
    """Return the controls that each rule is evidence for, by rule id and provider of its findings, in a fixed order.

    The entry `EVERY` applies to each provider. ``chosen`` are ids of the frameworks to cite; None cites all.
    """
    wanted = set(chosen) if chosen is not None else None
    found: dict[str, dict[str, list[CitedControl]]] = {}
    for framework in frameworks:
        if wanted is not None and framework.id not in wanted:
            continue
        for code, control in framework.controls.items():
            for rule, relation in control.rules.items():
                cited = CitedControl(
                    framework=f"{framework.short} {framework.version}", code=code, relation=relation
                )
                for provider in framework.providers or [EVERY]:
                    found.setdefault(rule, {}).setdefault(provider, []).append(cited)
    return found
