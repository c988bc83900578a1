"""Writes docs/reference.md from the code: commands, options, records, rules, collectors, columns of CSV files.

``python -m docs.reference`` writes it, the order of the CSV files' columns, which it only extends, and their dictionary;
``--check`` fails if one of them is outdated or something is undocumented.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import typer.main
from pydantic import BaseModel

from docs import is_list, write_or_check
from reports.csv.data_package import DICTIONARY, ColumnText
from reports.csv.sheet import ORDER
from reports.csv.sheets import SHEETS, column_order
from scanner.analyze.framework import load_frameworks, references
from scanner.analyze.rule_files import load_rules
from scanner.command.cli import app
from scanner.config import ReportSettings, Settings, reports_section
from scanner.findings import RESULT_TABLES
from scanner.framework_names import CITED_BY_DEFAULT
from scanner.kinds import declared_by
from scanner.parquet import sql_columns
from scanner.plugins import collector_names, load_collector
from scanner.records import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reports.csv.sheet import Sheet
    from scanner.kinds import DeclaredKinds

REFERENCE = Path(__file__).with_name("reference.md")


class UndocumentedError(Exception):
    """A public item has no description."""


def field_texts(record: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstring of each field of a record class, those of its bases first."""
    texts: dict[str, str] = {}
    for kind in reversed(record.__mro__):
        if kind.__module__.split(".")[0] != "scanner":
            continue
        body = ast.parse(inspect.getsource(kind)).body[0]
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in itertools.pairwise(statements):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match text:
                    case ast.Expr(value=ast.Constant(value=str(words))):
                        texts[field.target.id] = " ".join(words.split())
                    case _:
                        pass
    return texts


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("``", "`")


def _tables(title: str, tables: dict[str, type[msgspec.Struct]]) -> Iterator[str]:
    yield f"## {title}\n"
    for name, record in tables.items():
        texts = field_texts(record)
        yield f"### {name}\n"
        yield f"{_cell((record.__doc__ or '').strip())}\n"
        yield "| column | type | meaning |\n|---|---|---|"
        for column, kind in sql_columns(record).items():
            if column not in texts:
                raise UndocumentedError(f"{record.__name__}.{column} has no sentence under it")
            yield f"| `{column}` | {kind} | {_cell(texts[column])} |"
        yield ""


def _csv_files() -> Iterator[str]:
    yield "## CSV files\n"
    yield "Columns never move. New ones are added at the end, before `schema_version`, which ends every row.\n"
    known: dict[str, str] = {}
    for sheet in SHEETS:
        yield f"### {sheet.name}.csv\n"
        yield "| column | field | meaning |\n|---|---|---|"
        rows = _csv_columns(sheet)
        if sheet.name == "findings_delta":
            yield from (row for header, row in rows.items() if header not in known)
            yield "\nThen the columns of findings.csv.\n"
            continue
        yield from rows.values()
        yield ""
        known = rows


def _csv_columns(sheet: Sheet) -> dict[str, str]:
    rows = {}
    fields = sheet.fields()
    for header, column in _column_texts(sheet).items():
        record = _record_of(sheet, fields[header]) if header in fields else None
        field = f"`{record.__name__}.{fields[header]}`" if record is not None else ""
        values = f" One of: {', '.join(f'`{value}`' for value in column.values)}." if column.values else ""
        rows[header] = f"| `{header}` | {field} | {_cell(column.text)}{values} |"
    return rows


def _record_of(sheet: Sheet, field: str) -> type[msgspec.Struct]:
    return next(record for record in sheet.records if field in record.__struct_fields__)


def _column_texts(sheet: Sheet) -> dict[str, ColumnText]:
    """Return the meaning of each column, and its values if they are a closed list."""
    found = {}
    fields = sheet.fields()
    for header in sheet.columns():
        if header in fields:
            record = _record_of(sheet, fields[header])
            kind = get_type_hints(record)[fields[header]]
            found[header] = ColumnText(field_texts(record)[fields[header]], _closed(kind))
        else:
            found[header] = ColumnText(sheet.derived[header].text)
    return found


def _closed(kind: Any) -> list[str]:
    """Return the values of a Literal, also of an optional one."""
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    given = [one for one in get_args(kind) if one is not type(None)] if get_origin(kind) is UnionType else []
    return _closed(given[0]) if len(given) == 1 else []


def column_dictionary() -> str:
    """Return the up-to-date content of ``dictionary.json``: the texts of all CSV columns."""
    texts = {sheet.name: _column_texts(sheet) for sheet in SHEETS}
    return msgspec.json.format(msgspec.json.encode(texts), indent=1).decode() + "\n"


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, Path):
        return f"`{value}`"
    return f"`{value}`" if value not in (None, ..., [], {}) and "Undefined" not in repr(value) else ""


def _options(model: type[BaseModel], prefix: str, where: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not field.description:
            raise UndocumentedError(f"{where}: option {prefix}{name} has no text under it")
        yield f"| `{prefix}{name}` | {_default(field.get_default(call_default_factory=True))} | {_cell(field.description)} |"
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        if field.annotation is ReportSettings:
            kinds = [reports_section()]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                several = is_list(field.annotation)
                yield from _options(kind, f"{prefix}{name}{'[]' if several else ''}.", where)


def _kinds(declared: DeclaredKinds) -> Iterator[str]:
    for said, tables in (("Yields", declared.kinds), ("Coverage and gaps tell of the parts", declared.parts)):
        for table, kinds in tables.items():
            yield f"- {said} `{table}`: {', '.join(f'`{kind}`' for kind in sorted(kinds))}"
    yield ""


def _collectors() -> Iterator[str]:
    yield "## Collectors\n"
    for name in collector_names():
        module = load_collector(name)
        text = inspect.getdoc(module) or ""
        for paragraph in ("Needs:", "Cannot see:"):
            if not re.search(rf"^{paragraph}", text, flags=re.MULTILINE):
                raise UndocumentedError(f"collectors/{name}: no paragraph starting with {paragraph!r}")
        yield f"### {name}\n"
        yield text.replace("``", "`") + "\n"
        yield from _kinds(declared_by(module))
        yield "| option | default | meaning |\n|---|---|---|"
        yield from _options(module.Config, "", f"collectors/{name}")
        yield ""


def _rules() -> Iterator[str]:
    yield "## Rules\n"
    mapped = references(load_frameworks(), CITED_BY_DEFAULT)
    rules = load_rules(None)
    yield f"{len(rules)} rules.\n"
    for rule in rules:
        yield f"### {rule.id}\n"
        yield f"{rule.title} ({rule.severity}, {rule.category})\n"
        yield f"- Why: {' '.join(rule.why.split())}"
        yield f"- Fix: {' '.join(rule.fix.split())}"
        yield f"- Needs: {', '.join(f'`{need}`' for need in rule.needs)}"
        if rule.params:
            yield f"- Parameters: {', '.join(f'`{key}: {value}`' for key, value in rule.params.items())}"
        codes = sorted({str(code) for codes in mapped.get(rule.id, {}).values() for code in codes})
        yield f"- Maps to: {'; '.join(codes) or 'nothing'}\n"


def _frameworks() -> Iterator[str]:
    yield "## Frameworks\n"
    yield (
        "A finding is evidence against a control, never a verdict on it. `full`: the rule tests what the control asks; "
        "`partial`: a part of it; `counter`: a finding counts against the control, and silence says nothing.\n"
    )
    for framework in load_frameworks():
        yield f"### {framework.id}\n"
        yield f"[{framework.title}]({framework.url}), {framework.version}. License: {framework.license}. Source: {framework.source}.\n"
        yield "Not claimed:\n"
        yield from (f"- {sentence}" for sentence in framework.not_claimed)
        yield "\n| control | words | evidence | silence proves | note |\n|---|---|---|---|---|"
        for code, control in framework.controls.items():
            most = {name: f", at most {days} days" for name, days in control.at_most.items()}
            evidence = [f"`{name}` ({how}{most.get(name, '')})" for name, how in control.rules.items()]
            evidence += [f"table `{table}`" for table in control.tables]
            cells = (
                code,
                control.title,
                ", ".join(evidence) or "none",
                control.silence_proves,
                control.note or "",
            )
            yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
        yield ""


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    group: Any = typer.main.get_command(app)

    def walk(command: Any, path: str) -> Iterator[str]:
        for name, child in sorted(getattr(command, "commands", {}).items()):
            if not child.help:
                raise UndocumentedError(f"the command {path} {name} has no help")
            yield f"### {path} {name}\n"
            yield f"{_cell(child.help)}\n"
            for parameter in child.params:
                if parameter.param_type_name == "argument":
                    yield f"- `{parameter.name.upper()}`: {_cell(parameter.help or '')}"
                else:
                    if not parameter.help:
                        raise UndocumentedError(f"{path} {name} {parameter.opts[0]} has no help")
                    yield f"- `{', '.join(parameter.opts)}`: {_cell(parameter.help)}"
            yield ""
            yield from walk(child, f"{path} {name}")

    yield from walk(group, "sprawlscan")


def render() -> str:
    """Return the whole reference. Raises `UndocumentedError`."""
    parts = [
        "# Reference\n\nGenerated from the code by `make docs`. Do not edit.\n",
        *_commands(),
        "## Configuration\n\nAll options of `config.yaml`; those of each collector stand with the collector.\n",
        "| option | default | meaning |\n|---|---|---|",
        *_options(Settings, "", "scanner/config.py"),
        "",
        *_collectors(),
        *_rules(),
        *_frameworks(),
        *_tables("Records", dict(TABLES)),
        *_tables("Results", RESULT_TABLES),
        *_csv_files(),
    ]
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(
        write_or_check(ORDER, column_order())
        | write_or_check(DICTIONARY, column_dictionary())
        | write_or_check(REFERENCE, render())
    )
