"""Framework mappings: the controls for which each rule is evidence. They are separate from the rules, and each has its
version and source.

A file ``scanner/analyze/frameworks/NAME.yaml``::

    title: CIS Amazon Web Services Foundations Benchmark
    short: CIS AWS
    version: "5.0"
    published: "2025-03-31"  # optional
    aliases: ["5.0.0"]       # other names of this version
    license: CC BY-NC-SA 4.0; ids are cited, titles are our own words
    source: where ids and numbers were read
    url: https://...
    providers: [aws]         # findings of other providers are not evidence; omit for all
    not_claimed:             # what the mapping does not prove
      - A level of the benchmark, or a percentage of it.
    controls:
      "1.11":
        title: Credentials idle for 45 days are disabled
        rules:
          credential-unused: full
        at_most: {credential-unused: 45}
        tables: [credentials]    # evidence without a rule
        note: Limitations that readers must know.

A finding is evidence against a control, not a verdict on it. What the absence of findings proves is stated for each
rule (`Relation`), and counts only if the rule was evaluated in every account, examined at least one record, and ran
with a threshold of at most ``at_most``. Rules are not mapped to controls only for completeness.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import msgspec

from scanner.document import DocumentError, nearest, read_document
from scanner.framework_names import FRAMEWORKS
from scanner.records import TABLES
from scanner.rule_texts import CitedControl, Relation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scanner.analyze.rule import Rule
    from scanner.document import Document

EVERY = ""
"""Stands for every provider."""


class MappedControl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One control and its evidence."""

    title: str
    """Short title: the framework's own if its license allows, else our own words."""
    rules: dict[str, Relation] = {}
    """By rule id."""
    at_most: dict[str, int] = {}
    """The largest ``days`` with which a rule still tests the control, by rule id."""
    tables: list[str] = []
    """Tables that are evidence by themselves: an inventory."""
    note: str | None = None
    """Limitations that readers must know."""

    @property
    def silence_proves(self) -> Literal["full", "partial", "none"]:
        """How much of the control is proven if no rule finds anything."""
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
    """The license of its text, and whose words the titles are."""
    source: str
    """The source of ids and numbers."""
    url: str
    not_claimed: list[str]
    """What a mapping to it does not prove, in sentences."""
    controls: dict[str, MappedControl]
    """By code, in the framework's order."""
    published: str | None
    """When this version was published: ``2025-08-27``, ``2025-08``."""
    aliases: list[str]
    """Other names of this version."""
    providers: list[str]
    """Providers whose findings are evidence; empty for all."""


def load_frameworks(rules: Iterable[Rule] | None = None) -> list[Framework]:
    """Return the mappings. Raises `DocumentError`, also for a rule or a threshold that is not in ``rules``."""
    return list(_unchecked()) if rules is None else _read({rule.id: rule for rule in rules})


@cache
def _unchecked() -> tuple[Framework, ...]:
    """Return the mappings without a comparison with the rules. Analysis and reports ask for them several times."""
    return tuple(_read(None))


def _read(known: Mapping[str, Rule] | None) -> list[Framework]:
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
