"""The commands about rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanner.command import completion
from scanner.command.exit_codes import UsageError, exit_codes, say

if TYPE_CHECKING:
    from scanner.analyze.rule import Rule


def rules_list(
    custom: Annotated[Path | None, typer.Option("--custom", help="A folder of custom rules.")] = None,
) -> None:
    """List the rules with id, severity and title."""
    from scanner.analyze.rule_files import load_rules

    with exit_codes():
        for rule in load_rules(custom):
            say(f"{rule.id:40} {rule.severity:9} {rule.title}")


def rules_show(
    rule: Annotated[str, typer.Argument(help="The id of a rule.", autocompletion=completion.rules)],
    custom: Annotated[Path | None, typer.Option("--custom", help="A folder of custom rules.")] = None,
) -> None:
    """Show one rule: why it matters, how to fix it, its parameters and its query."""
    from scanner.analyze.rule_files import load_rules
    from scanner.command.summary import rule_lines

    with exit_codes():
        rules = load_rules(custom)
        (chosen,) = _named(rules, [rule])
        say("\n".join(rule_lines(chosen)))


def rules_test(
    rule: Annotated[
        list[str] | None,
        typer.Argument(help="The ids of rules; every rule if omitted.", autocompletion=completion.rules),
    ] = None,
    custom: Annotated[Path | None, typer.Option("--custom", help="A folder of custom rules.")] = None,
) -> None:
    """Lint rules and run their examples. Exits with code 1 if one fails."""
    from scanner.analyze.rule_check import check_rule
    from scanner.analyze.rule_files import load_rules

    with exit_codes():
        rules = load_rules(custom)
        if rule:
            rules = _named(rules, rule)
        problems = [f"{tested.id}: {problem}" for tested in rules for problem in check_rule(tested)]
        count = "1 rule" if len(rules) == 1 else f"{len(rules)} rules"
        say("\n".join(problems) or f"{count} passed")
        raise typer.Exit(1 if problems else 0)


def _named(rules: list[Rule], ids: list[str]) -> list[Rule]:
    """Return the rules with these ids."""
    from scanner.document import nearest

    known = {rule.id: rule for rule in rules}
    for name in ids:
        if name not in known:
            raise UsageError(f"no rule {name!r}; {nearest(name, list(known))}")
    return [known[name] for name in ids]
