"""Loads the built-in and custom rules and applies the configuration: disabled rules and parameters."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scanner.analyze.rule import SUBJECTS, Example, Param, Rule, parse_need
from scanner.document import Document, DocumentError, nearest, read_document
from scanner.findings import RESULT_TABLES, Category
from scanner.records import TABLES, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RULES = Path(__file__).parent / "rules"
"""The built-in rules."""


class RuleError(DocumentError):
    """A rule, or a rule setting in config.yaml, is invalid. One line for each problem."""


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
    was: list[str] = []
    absence: bool | None = None


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
        problems.append(f"{path}: the file name is the rule's id, in lower case with hyphens")
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
        was=given.was,
        absence=given.absence,
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
        document.problem(("title",), f"{{{name}}} is not a parameter; {nearest(name, given.params)}")
        for name in re.findall(r"\{(\w*)\}", given.title)
        if name not in given.params
    ]
    problems += [
        document.problem(("params", name), "is set by the engine; choose another name")
        for name in given.params
        if name == "as_of"
    ]
    problems += [
        document.problem(("was", number), "is no rule id: lower case with hyphens")
        for number, name in enumerate(given.was)
        if not _ID.match(name)
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


@cache
def _built_in(path: Path) -> Rule:
    """Load a built-in rule once per process: an installed package does not change while it runs."""
    return _load(path, custom=False)


def load_rules(custom: Path | None = None) -> list[Rule]:
    """Return the built-in rules and those of a custom folder, by id. Raises `RuleError` with every problem."""
    rules: dict[str, Rule] = {}
    problems: list[str] = []
    if custom is not None and not custom.is_dir():
        raise RuleError([f"{custom}: no such folder of custom rules; see `rules.custom` in config.yaml"])
    for folder in (RULES, custom):
        for path in sorted(folder.glob("*.yaml")) if folder is not None else []:
            try:
                rule = _load(path, custom=True) if folder is custom else _built_in(path)
            except DocumentError as exc:
                problems += exc.problems
                continue
            if rule.id in rules:
                problems.append(f"{path}: a built-in rule has this name; rename the file")
                continue
            rules[rule.id] = rule
    claimed: dict[str, str] = {}
    for rule in rules.values():
        for name in rule.was:
            other = name if name in rules else claimed.get(name)
            if other is not None:
                problems.append(f"{rule.path}: was: the id `{name}` belongs to the rule `{other}`")
            claimed[name] = rule.id
    if problems:
        raise RuleError(problems)
    return [rules[name] for name in sorted(rules)]


def todays_ids(rules: Iterable[Rule]) -> dict[str, str]:
    """Return the current id of each rule by its earlier ids."""
    return {name: rule.id for rule in rules for name in rule.was}


def unknown_rule(name: str, known: Iterable[str], renamed: Mapping[str, str]) -> str:
    """Return the error message for a name that is not a rule's id."""
    if name in renamed:
        return f"the rule `{name}` is called `{renamed[name]}` now"
    return f"no rule `{name}`; {nearest(name, known)}"


def with_params(rule: Rule, given: Mapping[str, Param]) -> Rule:
    """Return a rule with the given parameters. Raises `RuleError` for an unknown name or a wrong type."""
    problems = []
    for name, value in given.items():
        here = f"rules.params.{rule.id}.{name}"
        if name not in rule.params:
            problems.append(f"{here}: no such parameter; {nearest(name, rule.params)}")
        elif isinstance(rule.params[name], int | float) != isinstance(value, int | float):
            problems.append(f"{here}: must have the type of {rule.params[name]!r}, not {value!r}")
    if problems:
        raise RuleError(problems)
    return msgspec.structs.replace(rule, params={**rule.params, **given})


def choose(
    rules: Iterable[Rule], params: Mapping[str, Mapping[str, Param]], disabled: Iterable[str]
) -> list[Rule]:
    """Return the enabled rules with their configured parameters. Raises `RuleError`."""
    known = {rule.id: rule for rule in rules}
    off = set(disabled)
    renamed = todays_ids(known.values())
    problems = [
        f"rules.{key}: {unknown_rule(name, known, renamed)}"
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
