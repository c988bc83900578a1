"""The commands for setting up: the configuration and the permissions that a collector needs."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Annotated

import typer

from scanner.command import completion
from scanner.command.exit_codes import UsageError, exit_codes, say
from scanner.command.options import ConfigOption, OnlyOption, load_settings, time_of_run


def init(
    config: ConfigOption = Path("config.yaml"),
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: use the best that was found for each system.")
    ] = False,
) -> None:
    """Write a first config.yaml from the credentials and organizations that this machine knows. Makes no network requests.

    It contains references to secrets, never secrets. An existing file is not changed.
    """
    import os
    import sys

    from scanner.first_config import choose, config_text
    from scanner.machine import Machine

    with exit_codes():
        if config.exists() or config.is_symlink():
            raise UsageError(
                f"{config} exists and stays as it is; remove it, or write another: sprawlscan init --config FILE"
            )
        if not yes and not sys.stdin.isatty():
            raise UsageError("nobody can answer questions here; use --yes to take the best that is found")
        if not config.absolute().parent.is_dir():
            raise UsageError(
                f"{config.absolute().parent} is no folder; create it first: mkdir -p {config.absolute().parent}"
            )
        machine = Machine(home=Path.home(), environment=dict(os.environ), folder=Path.cwd())
        if yes:
            chosen = choose(machine, lambda _: True, lambda _: [])
        else:
            chosen = choose(machine, lambda question: typer.confirm(question, default=True), _names)
        _write_new(config, config_text(machine, chosen))
        for one in chosen:
            say(
                f"{one.collector}: {one.proposal.found}"
                + ("" if one.ready else f"; not used yet: {one.proposal.first}")
            )
        if not any(one.ready for one in chosen):
            say(f"no credential is ready; {config} reads the pipeline definitions in {machine.folder}")
        say(
            f"wrote {config}. Next: sprawlscan doctor --config {config}, then sprawlscan run --config {config}"
        )


def _names(question: str) -> list[str]:
    """Ask for names. Nothing is a valid answer."""
    answer: str = typer.prompt(question, default="", show_default=False)
    return [name for part in answer.split(",") if (name := part.strip())]


def _write_new(path: Path, text: str) -> None:
    """Write a new file that only its owner can read. Raises `UsageError` if something has its name by now."""
    import os

    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} was created by somebody else meanwhile") from None
    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.write(text)


def check_config(config: ConfigOption = Path("config.yaml")) -> None:
    """Validate the configuration and the files it names, and list what it would scan. Makes no network requests."""
    from scanner.pipeline.inputs import check_files, read_rules
    from scanner.readiness import unready

    with exit_codes():
        loaded = load_settings(config, None)
        problems = check_files(loaded.settings, read_rules(loaded), time_of_run(None))
        problems += unready(loaded, everything=True)
        if problems:
            raise UsageError("\n".join(problems))
        for name, sections in sorted(loaded.settings.collectors.items()):
            say(f"{name}: {len(sections)} section{'s' if len(sections) != 1 else ''}")
        say(f"{loaded.path} is valid")


def doctor(
    config: ConfigOption = Path("config.yaml"),
    only: OnlyOption = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="text or json.", autocompletion=completion.one_of("text", "json")
        ),
    ] = "text",
) -> None:
    """Try every credential and permission: read what a run would read, keep nothing, and list what would be dark.

    Exit code 4 if a target cannot be read at all, 2 if nothing can be read.
    """
    import msgspec

    from scanner.command.progress import of_this_terminal
    from scanner.pipeline.doctor import doctor_lines, examine
    from scanner.pipeline.outcome import Exit

    with exit_codes():
        if form not in ("text", "json"):
            raise UsageError(f"--format {form}: use text or json.")
        loaded = load_settings(config, None)
        found = examine(loaded, as_of=time_of_run(None), progress=of_this_terminal(), only=only)
        say(
            "\n".join(doctor_lines(found))
            if form == "text"
            else msgspec.json.format(msgspec.json.encode(found), indent=1).decode()
        )
        raise typer.Exit(Exit.COVERAGE if any(one.state == "dark" for one in found) else Exit.OK)


def schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    from scanner.config_file import json_schema

    say(json.dumps(json_schema(), indent=2, sort_keys=True))


def example() -> None:
    """Print an example config.yaml with every option, its default and its meaning."""
    from scanner.config_file import example as example_config

    say(example_config(), nl=False)


def permissions(
    collector: Annotated[
        str,
        typer.Argument(help="The collector, as in the configuration.", autocompletion=completion.collectors),
    ],
) -> None:
    """Print the least-privilege permissions that a collector needs."""
    from scanner.document import nearest
    from scanner.plugins import collector_names, load_collector

    with exit_codes():
        try:
            module = load_collector(collector)
        except LookupError:
            raise UsageError(f"no collector {collector!r}; {nearest(collector, collector_names())}") from None
        printer = getattr(module, "permissions", None)
        say(printer() if printer else _needs(module.__doc__ or ""))


def _needs(text: str) -> str:
    """Return the paragraph "Needs" of a collector's docstring, which says what its credential must be able to read."""
    paragraphs = (inspect.cleandoc(part) for part in text.split("\n\n"))
    found = next((part for part in paragraphs if part.startswith("Needs")), None)
    return (
        found.replace("``", "`")
        if found
        else "The collector does not say what it needs: read its documentation."
    )
