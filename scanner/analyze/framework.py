"""Framework mappings: the controls for which each rule is evidence, in one file for each framework version.

A file ``scanner/analyze/frameworks/NAME.yaml``::

    title: CIS Amazon Web Services Foundations Benchmark
    short: CIS AWS
    version: "5.0"
    url: https://...
    provider: aws            # optional: only findings of this provider are evidence
    controls:
      "1.11":
        title: Ensure credentials unused for 45 days or more are disabled
        rules: [credential-unused]

A finding is evidence about a control, not an assessment of it. Rules are mapped only where they are real evidence.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scanner.document import DocumentError, nearest, read_document

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAMEWORKS = Path(__file__).parent / "frameworks"

EVERY = ""
"""Means every provider."""


class Mapped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One control, and the rules that are evidence for it."""

    title: str
    """The framework's own title."""
    rules: list[str] = []
    """Rule ids."""


class _FrameworkFile(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    short: str
    version: str
    url: str
    controls: dict[str, Mapped]
    provider: str = EVERY


class Framework(msgspec.Struct, frozen=True, kw_only=True):
    """One framework in one version."""

    id: str
    """The file's stem."""
    title: str
    short: str
    """The name used to cite its controls: ``CIS AWS``."""
    version: str
    url: str
    provider: str
    """The provider whose findings are evidence; `EVERY` for all."""
    controls: dict[str, Mapped]
    """By code, in the framework's order."""


def load_frameworks(known_rules: Iterable[str] | None = None) -> list[Framework]:
    """Return the mappings. Raises `DocumentError`, also for a rule not in ``known_rules``."""
    known = set(known_rules) if known_rules is not None else None
    frameworks = []
    problems: list[str] = []
    for path in sorted(FRAMEWORKS.glob("*.yaml")):
        document = read_document(path)
        problems += document.unknown_keys(document.value, _FrameworkFile.__struct_fields__, ())
        if problems:
            continue
        given = document.convert(document.value, _FrameworkFile)
        problems += [
            document.problem(("controls", code, "rules", index), f"no rule `{rule}`; {nearest(rule, known)}")
            for code, control in given.controls.items()
            for index, rule in enumerate(control.rules)
            if known is not None and rule not in known
        ]
        frameworks.append(Framework(id=path.stem, **msgspec.structs.asdict(given)))
    if problems:
        raise DocumentError(problems)
    return frameworks


def references(
    frameworks: Iterable[Framework], chosen: Iterable[str] | None = None
) -> dict[str, dict[str, list[str]]]:
    """Return the controls for which each rule is evidence, by the provider of its findings, in a fixed order.

    ``{"credential-unused": {"": ["OWASP NHI 2025: NHI1:2025"], "aws": ["CIS AWS 5.0: 1.11"]}}``: the entry
    `EVERY` applies to each provider. ``chosen`` are ids of the frameworks to cite; None cites all.
    """
    wanted = set(chosen) if chosen is not None else None
    found: dict[str, dict[str, list[str]]] = {}
    for framework in frameworks:
        if wanted is not None and framework.id not in wanted:
            continue
        for code, control in framework.controls.items():
            for rule in control.rules:
                cited = found.setdefault(rule, {}).setdefault(framework.provider, [])
                cited.append(f"{framework.short} {framework.version}: {code}")
    return found
