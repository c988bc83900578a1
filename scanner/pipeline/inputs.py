"""Reads the other input files before a run: rules, parameters, exceptions and owners.

An invalid file is reported before hours of collecting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.config_file import ConfigError
from scanner.document import DocumentError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from scanner.analyze.rule import Rule
    from scanner.config import RuleSettings, Settings
    from scanner.config_file import Loaded
    from scanner.document import Document, Where


def read_rules(loaded: Loaded) -> list[Rule]:
    """Return all rules, built-in and custom, with their default parameters.

    Raises `ConfigError` for invalid rules, and for settings in config.yaml of unknown rules or parameters: a misspelled
    parameter would silently keep its default.
    """
    from scanner.analyze.rule_files import load_rules

    try:
        rules = load_rules(loaded.settings.rules.custom)
    except DocumentError as exc:
        raise ConfigError(exc.problems) from None
    problems = _problems(loaded.document, loaded.settings.rules, rules) if loaded.document else []
    if problems:
        raise ConfigError(problems)
    return rules


def _problems(document: Document, settings: RuleSettings, rules: Sequence[Rule]) -> list[str]:
    from scanner.analyze.rule_files import RuleError, todays_ids, unknown_rule, with_params

    known = {rule.id: rule for rule in rules}
    places: list[tuple[Where, str]] = [(("rules", "params", name), name) for name in settings.params]
    places += [(("rules", "disabled", index), name) for index, name in enumerate(settings.disabled)]
    problems = [
        document.problem(where, unknown_rule(name, known, todays_ids(rules)))
        for where, name in places
        if name not in known
    ]
    for name, params in settings.params.items():
        for param, value in params.items() if name in known else ():
            try:
                with_params(known[name], {param: value})
            except RuleError as exc:
                key = f"rules.params.{name}.{param}: "
                where = ("rules", "params", name, param)
                problems += [document.problem(where, problem.removeprefix(key)) for problem in exc.problems]
    return problems


def check_files(settings: Settings, rules: Sequence[Rule], as_of: datetime) -> list[str]:
    """Read the owners and the exceptions.

    Returns the problems of single exceptions: the others remain valid, and the analysis reports these as findings.
    Raises `DocumentError` for unreadable files.
    """
    from scanner.analyze.exceptions import read_exceptions
    from scanner.analyze.owners import read_owners
    from scanner.analyze.rule_files import todays_ids

    if settings.owners is not None:
        read_owners(settings.owners)
    if settings.exceptions is None:
        return []
    ids = [rule.id for rule in rules]
    read = read_exceptions(settings.exceptions, ids, as_of, renamed=todays_ids(rules))
    path = settings.exceptions
    return [one.problem.replace(f"; {path}:", f"\n{path}:") for one in read if one.problem]
