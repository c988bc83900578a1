"""A rule: one YAML file that describes a problem, why it matters and how to fix it, and finds it with one SELECT.

The file name without ``.yaml`` is the rule's id. Its keys::

    title      at most 80 characters; may hold {param}
    severity   critical, high, medium, low or info; the query can override it for each finding
    category   static-secret, over-scope, stale, trust, ownership, integrity, runtime or exception
    why, fix   two or three sentences each, for the person who must act
    params     parameters by name, configurable in config.yaml; a comment names the source of the default
    needs      what must be listed completely for "no findings" to prove something; see `Need`. A table that the query reads
               only to leave subjects out is named as `` excluding``: without its rows there are more findings, never fewer
    absence    true if the rule finds what is not there: its hits then count only where its needs were listed completely
    subject    the table whose rows can violate the rule
    query      exactly one SELECT; see below
    examples   given rows and expected subjects; see `Example`
    was        earlier ids of the rule, oldest first; the id of a finding hashes the oldest, so that history is kept

The query returns ``subject`` (an id of the subject table) and ``detail`` (one sentence), and optionally ``severity``,
``account_id``, ``fix``, ``identity_id``, ``resource``, ``blast`` and ``confidence``. Every other column becomes
evidence: facts, as text, that an exception accepts. A change of these facts voids the exception, so they must not
contain ages.
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
"""The columns of a query with a defined meaning. The first two are mandatory."""

ANALYSIS_NEEDS: dict[str, tuple[str, ...]] = {
    "edges": ("trusts", "links"),
    "reach": ("trusts", "links", "grants"),
    "excess": ("trusts", "links", "grants"),
}
"""The inputs of the analysis tables. A path can cross accounts, so these are needed everywhere."""

ABOUT_THE_RUN = ("exceptions", "target_coverage")
"""Tables of analysis that may be a rule's subject. They are written completely or the run ends, so such rules are
always evaluated."""
SUBJECTS = (*TABLES, *ABOUT_THE_RUN)


class Need(msgspec.Struct, frozen=True):
    """One input of a rule: ``table`` or ``table/kind``, optionally followed by `` above``, `` everywhere`` or `` somewhere``."""

    table: str
    kind: str | None = None
    """None means every kind of the table."""
    everywhere: bool = False
    """True if the rule joins rows of other accounts: a gap in any account then makes "no findings" inconclusive."""
    above: bool = False
    """True if rows can be in the subject's account or in a parent: members in the organization, their grants in the
    repository. A gap in any of these accounts makes "no findings" inconclusive."""
    somewhere: bool = False
    """Like `everywhere`, and at least one such need of the rule must have been listed at all: a rule about repositories
    is not evaluated if no source control system was scanned."""


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Given rows and the subjects that the rule must find."""

    name: str = ""
    """What the example shows."""
    given: dict[str, list[dict[str, Any]]]
    """Rows by table. Omitted columns are unknown. Times can be relative: ``-91d``, ``+12h``."""
    finds: list[str] = []
    """The expected subjects, in any order."""
    params: dict[str, Param] = {}
    """Parameters that differ from the rule's defaults."""
    severity: dict[str, Severity] = {}
    """The expected severity by subject, if the query returns it."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded rule with its configured parameters."""

    id: str
    """The file name without its extension."""
    template: str
    """The title with {params} placeholders."""
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
    """The path of its file."""
    custom: bool
    """True for a rule from the custom folder."""
    was: list[str] = []
    """Earlier ids, oldest first."""
    absence: bool | None = None
    """Whether it finds what is not there. Its hits then count only where its needs were listed completely. None: not said."""

    @property
    def oldest_id(self) -> str:
        """The id that is hashed into the ids of findings: it stays when the rule is renamed."""
        return self.was[0] if self.was else self.id

    @property
    def title(self) -> str:
        """The title with its parameters inserted."""
        return self.template.format(**self.params)

    @property
    def inputs(self) -> list[Need]:
        """The needs, with analysis tables replaced by their inputs."""
        found = {need for text in self.needs for need in parse_need(text)}
        return sorted(found, key=lambda need: (need.table, need.kind or "", need.everywhere, need.above))

    @property
    def version(self) -> str:
        """``rv-`` and eight hex digits that change with the title, query, parameters, needs or severity.

        The prefix keeps importers from reading them as a number.
        """
        more = [True] if self.absence else []
        parts = [self.template, self.severity, self.query, self.params, self.needs, *more]
        return "rv-" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]


_NEED = re.compile(r"\A([a-z_]+)(?:/([^\s/]+))?(?: (above|everywhere|somewhere|excluding))?\Z")


def parse_need(text: str) -> list[Need]:
    """Return the inputs that a need names. Raises ValueError if it is invalid."""
    match = _NEED.match(text)
    if match is None:
        raise ValueError(
            "write `table` or `table/kind`, optionally followed by ` above`, ` everywhere`, ` somewhere` or ` excluding`"
        )
    table, kind, where = match.groups()
    if where == "excluding":
        return []
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
