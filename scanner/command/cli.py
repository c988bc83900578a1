"""The command line. Each command reads its arguments, calls one function and turns exceptions into an exit code."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated

import typer

from scanner.command import (
    check_command,
    night_commands,
    question_commands,
    rule_commands,
    setup_commands,
    state_commands,
)
from scanner.command.exit_codes import say

if TYPE_CHECKING:
    from types import TracebackType

app = typer.Typer(
    name="sprawlscan",
    help="Inventories the identities, credentials, secrets, permissions and trusts of a software delivery path, "
    "and reports which are static, over-scoped, stale, unowned or too widely trusted.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(night_commands.run)
app.command("collect")(night_commands.collect)
app.command("analyze")(night_commands.analyze)
app.command("report")(night_commands.report)
app.command("check")(check_command.check)
app.command("demo")(night_commands.demo)
app.command("init")(setup_commands.init)
app.command("check-config")(setup_commands.check_config)
app.command("doctor")(setup_commands.doctor)
app.command("schema")(setup_commands.schema)
app.command("example")(setup_commands.example)
app.command("permissions")(setup_commands.permissions)
app.command("findings")(question_commands.findings)
app.command("explain")(state_commands.explain)
app.command("who-can")(question_commands.who_can)
app.command("blast-radius")(question_commands.blast_radius)
app.command("diff")(state_commands.diff)
app.command("verify")(state_commands.verify)
app.command("prune")(state_commands.prune)
app.command("discard")(state_commands.discard)

rules_app = typer.Typer(help="List, show and test the rules.", no_args_is_help=True, rich_markup_mode=None)
rules_app.command("list")(rule_commands.rules_list)
rules_app.command("show")(rule_commands.rules_show)
rules_app.command("test")(rule_commands.rules_test)
app.add_typer(rules_app, name="rules")


def _print_version(value: bool) -> None:
    if value:
        from scanner import __version__

        say(__version__)
        raise typer.Exit


@app.callback()
def prepare(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print more details on a terminal.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Set up logs and file permissions before any command runs."""
    from scanner.command.log import configure

    os.umask(0o077)
    configure(terminal=sys.stderr.isatty() and not os.environ.get("CI"), verbose=verbose)


def _redacted_traceback(kind: type[BaseException], exc: BaseException, trace: TracebackType | None) -> None:
    """Print an unexpected exception without secrets that SDK messages may contain."""
    from scanner.safe_text import plain_lines
    from scanner.secrets.redact import redact

    sys.stderr.write(plain_lines(redact("".join(traceback.format_exception(kind, exc, trace)))))


def main() -> None:
    """Entry point of the command ``sprawlscan``."""
    # A run makes many objects that live until its end. Looking for cycles among them less often saves a tenth of its time.
    gc.set_threshold(20_000, 20, 20)
    sys.excepthook = _redacted_traceback
    app()


if __name__ == "__main__":
    main()
