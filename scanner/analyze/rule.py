"""A rule: one YAML file that says what is wrong, why, what to do, and finds it with one SELECT.

The file's stem is the rule's id. Its keys::

    title      at most 80 characters; may hold {param}
    severity   critical, high, medium, low or info: of findings for which the query gives none
    category   static-secret, over-scope, stale, trust, ownership, integrity, runtime or exception
    why, fix   two or three sentences each, for the person who must act
    params     thresholds by name; each can be set in config.yaml; a comment names the value's source
    needs      what must have been listed for silence to prove something; see `Need`
    subject    the table whose rows break the rule
    query      exactly one SELECT; see below
    examples   rows given, subjects found; see `Example`

The query gives ``subject`` (an id of the subject table) and ``detail`` (one sentence), and optionally ``severity``,
``account_id``, ``fix``, ``identity_id``, ``resource``, ``blast`` and ``confidence``. Every further column becomes
evidence: facts, as text, that an exception accepts and that void it when they change; so no ages in it.
It reads the record tables (`scanner.records.TABLES`) with owners and addresses resolved, ``edges``, ``reach`` and
``excess``, the macros ``complete(account_id, table, kind)`` and ``weak_identities(codes)`` (`scanner.analyze.weaknesses`), and the
parameters ``$as_of`` (UTC) and its own by name.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, TypeAlias

import msgspec

from scanner.document import nearest
from scanner.findings import Category  # noqa: TC001  msgspec reads the annotations at run time
from scanner.records import TABLES, Severity

Param: TypeAlias = int | float | str | list[str]

COLUMNS = (
    "subject",
    "detail",
    "severity",
    "account_id",
    "fix",
    "identity_id",
    "resource",
    "blast",
    "confidence",
)
"""The columns of a query that have a meaning of their own. The first two are mandatory."""

ANALYSIS_NEEDS: dict[str, tuple[str, ...]] = {
    "edges": ("trusts", "links"),
    "reach": ("trusts", "links", "grants"),
    "excess": ("trusts", "links", "grants"),
}
"""What the tables of analysis are made of. A path may cross accounts, so these are needed everywhere."""

ABOUT_THE_RUN = ("exceptions", "target_coverage")
"""Tables of analysis that may be a rule's subject. They are made whole or the run ends, so such rules are always evaluated."""
SUBJECTS = (*TABLES, *ABOUT_THE_RUN)


class Need(msgspec.Struct, frozen=True):
    """One input of a rule: ``table`` or ``table/kind``, and behind it `` above``, `` everywhere``, `` somewhere`` or nothing."""

    table: str
    kind: str | None = None
    """None means every kind of the table."""
    everywhere: bool = False
    """True when the rule joins rows of other accounts: a gap in any account makes its silence prove nothing."""
    above: bool = False
    """True when rows may stand in the subject's account or in one above it: people in the organization, what they may
    do in the repository. A gap in any of these accounts makes silence prove nothing."""
    somewhere: bool = False
    """As `everywhere`, and of all such needs of a rule at least one must have been listed at all: a rule about
    repositories says nothing where no platform of repositories was read."""


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows given, subjects found."""

    name: str = ""
    """What it shows."""
    given: dict[str, list[dict[str, Any]]]
    """Rows by table. Columns that are not named are unknown; times may be relative: ``-91d``, ``+12h``."""
    finds: list[str] = []
    """The subjects found, in any order."""
    params: dict[str, Param] = {}
    """Thresholds other than the rule's."""
    severity: dict[str, Severity] = {}
    """Severity by subject, where the query gives it."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as loaded, with the thresholds that are in force."""

    id: str
    """The file's stem."""
    template: str
    """The title with its {params} unfilled."""
    severity: Severity
    category: Category
    why: str
    fix: str
    params: dict[str, Param]
    needs: list[str]
    subject: str
    query: str
    examples: list[Example]
    path: str
    """Where it was read."""
    custom: bool
    """True for a rule of the user's own folder."""

    @property
    def title(self) -> str:
        """The title with its parameters filled in."""
        return self.template.format(**self.params)

    @property
    def inputs(self) -> list[Need]:
        """The needs, with tables of analysis replaced by what they are made of."""
        found = {need for text in self.needs for need in parse_need(text)}
        return sorted(found, key=lambda need: (need.table, need.kind or "", need.everywhere, need.above))

    @property
    def version(self) -> str:
        """Eight hex digits that change with the query, the thresholds, or the severity."""
        parts = [self.template, self.severity, self.query, self.params, self.needs]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]


_NEED = re.compile(r"\A([a-z_]+)(?:/([^\s/]+))?(?: (above|everywhere|somewhere))?\Z")


def parse_need(text: str) -> list[Need]:
    """Return the inputs that a need names. Raises ValueError for what is no need."""
    match = _NEED.match(text)
    if match is None:
        raise ValueError(
            "write `table` or `table/kind`, optionally followed by ` above`, ` everywhere` or ` somewhere`"
        )
    table, kind, where = match.groups()
    if table in ANALYSIS_NEEDS:
        return [Need(table=part, everywhere=True) for part in ANALYSIS_NEEDS[table]]
    if table in ABOUT_THE_RUN:
        return []
    if table not in TABLES:
        raise ValueError(nearest(table, [*TABLES, *ANALYSIS_NEEDS, *ABOUT_THE_RUN]))
    return [
        Need(
            table=table,
            kind=kind,
            everywhere=where in {"everywhere", "somewhere"},
            above=where == "above",
            somewhere=where == "somewhere",
        )
    ]
