"""The command that checks a checkout in a pull request."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanner.command import completion
from scanner.command.exit_codes import UsageError, exit_codes, say
from scanner.command.options import AsOfOption, time_of_run

if TYPE_CHECKING:
    from scanner.check.checkout_check import Against
    from scanner.config_file import Loaded


def check(
    path: Annotated[Path, typer.Argument(help="A checkout, a folder in it or one file.")] = Path(),
    against: Annotated[
        Path | None,
        typer.Option("--against", help="A state folder (its newest analyzed run) or a snapshot folder: also tell what the change does to reach."),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="A revision such as origin/main: only what changed since it was left.")
    ] = None,
    form: Annotated[str, typer.Option("--format", "-f", help="text, or one that a build server shows; `--format ?` lists them.")] = "text",
    severity: Annotated[
        str, typer.Option("--severity", help="The lowest severity to show.", autocompletion=completion.severities)
    ] = "low",
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="Exit with code 3 on findings of this severity or higher, or never.", autocompletion=completion.severities)
    ] = "high",
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A configuration whose rules, exceptions and owners hold. Default: none.")
    ] = None,
    exceptions: Annotated[Path | None, typer.Option("--exceptions", help="A file of exceptions.")] = None,
    as_of: AsOfOption = None,
) -> None:  # fmt: skip
    """Check the pipeline definitions of one checkout, and what a change does to reach. Keeps nothing.

    Exit code 3: findings of --fail-on or higher, or new reach. Exit code 4: a definition could not be read, whatever was
    found in others.
    """
    import msgspec

    from scanner.check.base_tree import BaseError
    from scanner.check.checkout_check import check as checked_of
    from scanner.findings import SEVERITIES
    from scanner.pipeline.inputs import read_rules
    from scanner.pipeline.outcome import Exit
    from scanner.plugins import check_formats, load_check_format

    with exit_codes():
        logging.getLogger("scanner").setLevel(logging.WARNING)
        logging.getLogger("collectors").setLevel(logging.WARNING)
        if form not in check_formats():
            raise UsageError(f"--format {form}: use one of {', '.join(check_formats())}.")
        if severity not in SEVERITIES:
            raise UsageError(f"--severity {severity}: use one of {', '.join(SEVERITIES)}.")
        if fail_on not in (*SEVERITIES, "never"):
            raise UsageError(f"--fail-on {fail_on}: use one of {', '.join(SEVERITIES)}, never.")
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder; the current folder is {Path.cwd()}")
        loaded = _loaded(config, exceptions)
        try:
            checked = checked_of(
                Path(os.path.realpath(path)), settings=loaded.settings, rules=read_rules(loaded), as_of=time_of_run(as_of),
                base=base, against=_night(against) if against is not None else None,
            )  # fmt: skip
        except BaseError as exc:
            raise UsageError(str(exc)) from None
        lowest = SEVERITIES.index(severity)
        failing = -1 if fail_on == "never" else SEVERITIES.index(fail_on)
        shown = msgspec.structs.replace(checked, found=[one for one in checked.found if one.rank <= lowest])
        say(load_check_format(form).text_of(shown))
        if checked.blind:
            raise typer.Exit(Exit.COVERAGE)
        failed = any(one.rank <= failing for one in checked.found) or (
            bool(checked.reach) and fail_on != "never"
        )
        raise typer.Exit(Exit.FINDINGS if failed else Exit.OK)


def _loaded(config: Path | None, exceptions: Path | None) -> Loaded:
    """Return the configuration whose rules hold; the defaults if none is named."""
    import msgspec

    from scanner.config import Settings
    from scanner.config_file import Loaded, load

    if exceptions is not None and not exceptions.is_file():
        raise UsageError(f"--exceptions {exceptions}: no such file")
    loaded = (
        load(config)
        if config is not None
        else Loaded(settings=Settings(collectors={}), path=Path("config.yaml"), digest="")
    )
    update = {"exceptions": exceptions.absolute()} if exceptions is not None else {}
    return msgspec.structs.replace(loaded, settings=loaded.settings.model_copy(update=update))


def _night(folder: Path) -> Against:
    """Return the night of a state folder, or of a snapshot folder. Raises `UsageError`."""
    from scanner.check.checkout_check import Against
    from scanner.pipeline.state_folder import resolve_run
    from scanner.snapshot import is_sealed

    if is_sealed(folder):
        return Against(folder.name, folder)
    if not (folder / "snapshots").is_dir():
        raise UsageError(f"--against {folder}: neither a state folder nor a sealed snapshot")
    run_id = resolve_run(folder, None, analyzed=True)
    return Against(run_id, folder / "snapshots" / run_id)
