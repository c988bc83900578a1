"""The commands for setting up: the configuration and the permissions that a collector needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scanner.command.exit_codes import UsageError, exit_codes, say
from scanner.command.options import ConfigOption, load_settings, time_of_run


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


def schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    from scanner.config import json_schema

    say(json.dumps(json_schema(), indent=2, sort_keys=True))


def example() -> None:
    """Print an example config.yaml with every option, its default and its meaning."""
    from scanner.config import example as example_config

    say(example_config(), nl=False)


def permissions(
    collector: Annotated[str, typer.Argument(help="The collector, as in the configuration.")],
) -> None:
    """Print the least-privilege permissions that a collector needs."""
    from scanner.plugins import collector_names, load_collector

    with exit_codes():
        try:
            module = load_collector(collector)
        except LookupError:
            raise UsageError(
                f"no collector {collector!r}; available: {', '.join(collector_names())}"
            ) from None
        printer = getattr(module, "permissions", None)
        say(printer() if printer else f"{collector} needs no permissions: it reads local files.")
