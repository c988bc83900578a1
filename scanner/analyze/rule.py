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
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from scanner.document import Document, DocumentError, nearest, read_document
from scanner.findings import RESULT_TABLES, Category
from scanner.records import TABLES, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RULES = Path(__file__).parent / "rules"
"""The built-in rules."""

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

SUBJECTS = (*TABLES, "exceptions")


class RuleError(DocumentError):
    """A rule, or what config.yaml says of rules, is wrong. One line a problem."""


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


class _RuleFile(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    severity: Severity
    category: Category
    why: str
    fix: str
    needs: list[str]
    subject: str
    query: str
    examples: list[Example]
    params: dict[str, Param] = {}


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
            "write `table` or `table/kind`, alone or with ` above`, ` everywhere` or ` somewhere` behind it"
        )
    table, kind, where = match.groups()
    if table in ANALYSIS_NEEDS:
        return [Need(table=part, everywhere=True) for part in ANALYSIS_NEEDS[table]]
    if table == "exceptions":
        return []
    if table not in TABLES:
        raise ValueError(nearest(table, [*TABLES, *ANALYSIS_NEEDS, "exceptions"]))
    return [
        Need(
            table=table,
            kind=kind,
            everywhere=where in {"everywhere", "somewhere"},
            above=where == "above",
            somewhere=where == "somewhere",
        )
    ]


_ID = re.compile(r"\A[a-z][a-z0-9-]{2,60}\Z")


def _load(path: Path, *, custom: bool) -> Rule:
    document = read_document(path)
    problems = document.unknown_keys(document.value, _RuleFile.__struct_fields__, ())
    if problems:
        raise DocumentError(problems)
    for index, example in enumerate(document.value.get("examples") or []):
        problems += document.unknown_keys(example, Example.__struct_fields__, ("examples", index))
    if problems:
        raise DocumentError(problems)
    given = document.convert(document.value, _RuleFile)
    problems = _problems(document, given)
    if not _ID.match(path.stem):
        problems.append(f"{path}: a rule's file is named in lower case with hyphens: it is the rule's id")
    if problems:
        raise DocumentError(problems)
    return Rule(
        id=path.stem,
        template=given.title,
        severity=given.severity,
        category=given.category,
        why=" ".join(given.why.split()),
        fix=" ".join(given.fix.split()),
        params=given.params,
        needs=given.needs,
        subject=given.subject,
        query=given.query.strip().rstrip(";"),
        examples=given.examples,
        path=str(path),
        custom=custom,
    )


def _problems(document: Document, given: _RuleFile) -> list[str]:
    problems = []
    if given.subject not in SUBJECTS:
        problems.append(document.problem(("subject",), f"no such table; {nearest(given.subject, SUBJECTS)}"))
    for index, need in enumerate(given.needs):
        try:
            parse_need(need)
        except ValueError as exc:
            problems.append(document.problem(("needs", index), str(exc)))
    if not given.needs:
        problems.append(document.problem(("needs",), "name at least one table"))
    problems += [
        document.problem(("title",), f"{{{name}}} is no parameter; {nearest(name, given.params)}")
        for name in re.findall(r"\{(\w*)\}", given.title)
        if name not in given.params
    ]
    problems += [
        document.problem(("params", name), "is given by the engine; choose another name")
        for name in given.params
        if name == "as_of"
    ]
    tables = [*TABLES, *RESULT_TABLES]
    for index, example in enumerate(given.examples):
        for table, rows in example.given.items():
            where = ("examples", index, "given", table)
            record = TABLES.get(table) or RESULT_TABLES.get(table)
            if record is None:
                problems.append(document.problem(where, f"no such table; {nearest(table, tables)}"))
                continue
            for number, row in enumerate(rows):
                problems += document.unknown_keys(row, record.__struct_fields__, (*where, number))
        problems += document.unknown_keys(example.params, given.params, ("examples", index, "params"))
    return problems


def load_rules(custom: Path | None = None) -> list[Rule]:
    """Return the built-in rules and those of a custom folder, by id. Raises `RuleError` with every problem."""
    rules: dict[str, Rule] = {}
    problems: list[str] = []
    if custom is not None and not custom.is_dir():
        raise RuleError([f"{custom}: no such folder of custom rules; see `rules.custom` in config.yaml"])
    for folder in (RULES, custom):
        for path in sorted(folder.glob("*.yaml")) if folder is not None else []:
            try:
                rule = _load(path, custom=folder is custom)
            except DocumentError as exc:
                problems += exc.problems
                continue
            if rule.id in rules:
                problems.append(f"{path}: there is a built-in rule of this name; rename the file")
                continue
            rules[rule.id] = rule
    if problems:
        raise RuleError(problems)
    return [rules[name] for name in sorted(rules)]


def with_params(rule: Rule, given: Mapping[str, Param]) -> Rule:
    """Return a rule with other thresholds. Raises `RuleError` for a name or a type that it does not have."""
    problems = []
    for name, value in given.items():
        here = f"rules.params.{rule.id}.{name}"
        if name not in rule.params:
            problems.append(f"{here}: no such threshold; {nearest(name, rule.params)}")
        elif isinstance(rule.params[name], int | float) != isinstance(value, int | float):
            problems.append(f"{here}: must be like {rule.params[name]!r}, not {value!r}")
    if problems:
        raise RuleError(problems)
    return msgspec.structs.replace(rule, params={**rule.params, **given})


def choose(
    rules: Iterable[Rule], params: Mapping[str, Mapping[str, Param]], disabled: Iterable[str]
) -> list[Rule]:
    """Return the rules that are to run, with the configured thresholds. Raises `RuleError`."""
    known = {rule.id: rule for rule in rules}
    off = set(disabled)
    problems = [
        f"rules.{key}: no rule `{name}`; {nearest(name, known)}"
        for key, names in (("params", params), ("disabled", off))
        for name in sorted(names)
        if name not in known
    ]
    chosen = []
    for name, rule in known.items():
        try:
            chosen.append(with_params(rule, params.get(name, {})))
        except RuleError as exc:
            problems += exc.problems
    if problems:
        raise RuleError(problems)
    return [rule for rule in chosen if rule.id not in off]


def test_rule(rule: Rule) -> list[str]:
    """Run the lint and every example of a rule. Returns what is wrong."""
    from scanner.analyze.rule_check import check

    return check(rule)


test_rule.__test__ = False  # type: ignore[attr-defined]  # not a pytest function
