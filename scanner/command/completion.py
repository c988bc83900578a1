"""Values that the shell completes: ids of runs, rules, findings and records, names of accounts, powers, collectors.

Set up with ``sprawlscan --install-completion``, or ``--show-completion`` for bash, zsh and fish. A completion reads the state folder
that the command line or config.yaml names, in a fraction of a second, and never prints an error: nothing is offered then.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002  typer reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

MOST = 200
"""Values offered at once."""


def _offered(values: Iterable[str], incomplete: str) -> list[str]:
    """Return the values that begin with what is typed, without control characters: names come from anyone."""
    from scanner.safe_text import plain

    found = (value for value in values if value.startswith(incomplete) and plain(value) == value)
    return [value for value, _ in zip(found, range(MOST), strict=False)]


def _state(ctx: typer.Context) -> Path:
    """Return the state folder: the option's, else that of config.yaml, else the default."""
    given = ctx.params.get("state")
    if given:
        return Path(given)
    config = Path(ctx.params.get("config") or "config.yaml")
    named = None
    if config.is_file():
        import yaml

        value = yaml.load(config.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  a safe loader
        named = value.get("state") if isinstance(value, dict) else None
    return config.parent / Path(str(named or "state")).expanduser()


def _runs(ctx: typer.Context) -> list[str]:
    """Return the analyzed runs, newest first."""
    return sorted((path.name for path in (_state(ctx) / "analysis").iterdir() if path.name[:1].isdigit() and path.suffix != ".partial"), reverse=True)  # fmt: skip


def _column(ctx: typer.Context, table: str, columns: str, incomplete: str) -> list[str]:
    """Return the values of columns of the chosen or newest run that begin with what is typed."""
    from scanner.findings import RESULT_TABLES
    from scanner.records import TABLES
    from scanner.tables import Tables

    state = _state(ctx)
    run = ctx.params.get("run_id") or _runs(ctx)[0]
    analysis, snapshot = state / "analysis" / run, state / "snapshots" / run
    files = [path for path in (analysis / f"{table}.parquet", analysis / "records" / f"{table}.parquet") if path.is_file()]  # fmt: skip
    tables = Tables([analysis, snapshot], threads=1)
    try:
        record = {**TABLES, **RESULT_TABLES}[table]
        tables.view("wanted", record, files or sorted((snapshot / table).glob("*.parquet")))
        query = f"""
            SELECT DISTINCT value FROM (SELECT unnest([{columns}]) AS value FROM wanted)
            WHERE starts_with(value, $typed) ORDER BY value LIMIT {MOST}
        """
        return [row[0] for row in tables.rows(query, {"typed": incomplete})]
    finally:
        tables.close()


def _quiet(
    values: Callable[[typer.Context, str], Iterable[str]],
) -> Callable[[typer.Context, str], list[str]]:
    """Return a completion that offers nothing where the state cannot be read: the command itself says why."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return _offered(values(ctx, incomplete), incomplete)
        except (OSError, ValueError, LookupError):
            return []
        except _parsers() as exc:
            log.debug("no completion", exc_info=exc)
            return []

    return complete


def _parsers() -> tuple[type[Exception], ...]:
    """Return what reading a damaged file raises. Evaluated only after an exception, so that the imports are lazy."""
    import duckdb
    import yaml

    return (duckdb.Error, yaml.YAMLError)


def one_of(*values: str) -> Callable[[typer.Context, str], list[str]]:
    """Return the completion of a closed list."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:  # noqa: ARG001  typer passes both
        return _offered(values, incomplete)

    return complete


@_quiet
def runs(ctx: typer.Context, _typed: str) -> list[str]:
    """Return the ids of the analyzed runs, newest first."""
    return _runs(ctx)


@_quiet
def rules(ctx: typer.Context, _typed: str) -> list[str]:
    """Return the ids of the rules: the names of their files."""
    built_in = Path(__file__).parents[1] / "analyze" / "rules"
    folders = [built_in, *([Path(ctx.params["custom"])] if ctx.params.get("custom") else [])]
    return sorted(path.stem for folder in folders for path in folder.glob("*.yaml"))


@_quiet
def findings(ctx: typer.Context, typed: str) -> list[str]:
    """Return the ids of the run's findings."""
    return _column(ctx, "findings", "id", typed)


@_quiet
def owners(ctx: typer.Context, typed: str) -> list[str]:
    """Return the owners of findings, and ``none``."""
    return [*_column(ctx, "findings", "owner", typed), "none"]


@_quiet
def accounts(ctx: typer.Context, typed: str) -> list[str]:
    """Return names of accounts; ids once one is being typed."""
    return _column(ctx, "accounts", "id, native_id, address, name" if typed else "name", typed)


@_quiet
def records(ctx: typer.Context, typed: str) -> list[str]:
    """Return names, native ids and ids of secrets, credentials and identities."""
    columns = {"secrets": "name, id", "credentials": "native_id, id", "identities": "name, address, id"}
    return sorted({value for table, named in columns.items() for value in _column(ctx, table, named, typed)})


@_quiet
def collectors(_ctx: typer.Context, _typed: str) -> list[str]:
    """Return the names of the installed collectors."""
    from scanner.plugins import collector_names

    return collector_names()


@_quiet
def reports(_ctx: typer.Context, _typed: str) -> list[str]:
    """Return the names of the installed reports."""
    from scanner.plugins import report_names

    return report_names()


@_quiet
def powers(_ctx: typer.Context, _typed: str) -> list[str]:
    """Return the powers, strongest first."""
    from scanner.records import POWERS

    return list(POWERS)


@_quiet
def severities(_ctx: typer.Context, _typed: str) -> list[str]:
    """Return the severities, alone and with what is more severe."""
    from scanner.findings import SEVERITIES

    return [f"{name}{sign}" for name in SEVERITIES for sign in ("", "+")]


@_quiet
def thresholds(_ctx: typer.Context, _typed: str) -> list[str]:
    """Return the values of ``--fail-on``."""
    from scanner.findings import SEVERITIES

    return [f"{what}{name}" for what in ("", "new:") for name in SEVERITIES]


@_quiet
def statuses(_ctx: typer.Context, _typed: str) -> list[str]:
    """Return the statuses of findings."""
    from typing import get_args

    from scanner.findings import Status

    return list(get_args(Status))
