"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanner.command import completion
from scanner.command.exit_codes import UsageError

if TYPE_CHECKING:
    from scanner.config_file import Loaded


def time_in_utc(text: str | datetime) -> datetime:
    """Read a time such as 2026-11-23T02:00:00Z, without a time zone. Raises typer's error with an example."""
    if isinstance(text, datetime):
        return text
    try:
        return datetime.strptime(text.removesuffix("Z"), "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007  UTC is what options are in
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; write one such as 2026-11-23T02:00:00 (UTC)"
        ) from None


def day_in_utc(text: str | datetime) -> datetime:
    """Read a day such as 2026-11-23, or a time. Raises typer's error with an example."""
    if isinstance(text, datetime):
        return text
    try:
        return datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007  UTC is what options are in
    except ValueError:
        if "T" in text:
            return time_in_utc(text)
        raise typer.BadParameter(f"{text!r} is no day; write one such as 2026-11-23") from None


ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file.", envvar="SPRAWLSCAN_CONFIG")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only", help="Run only this collector. Can be repeated.", autocompletion=completion.collectors
    ),
]
PathOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--path",
        help="A local checkout, a folder of definition files or one file for the definitions collector. Needs no configuration.",
    ),
]
StateOption = Annotated[
    Path | None, typer.Option("--state", help="The state folder; overrides the configuration.")
]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="A run id such as 20261123T020000Z. Default: the newest run.",
        autocompletion=completion.runs,
    ),
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of", help="The time of the run in UTC. Default: now.", parser=time_in_utc, metavar="TIME"
    ),
]
WaitOption = Annotated[
    str, typer.Option("--wait-lock", help="How long to wait for another run to finish: 90s, 10m, 1h.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")]
DeadlineOption = Annotated[
    str | None, typer.Option("--deadline", help="Start no new target after this long: 90m, 5h.")
]


def minutes(text: str) -> float:
    """Return a duration such as 90s, 10m or 5h in minutes. Raises `UsageError`."""
    match = re.fullmatch(r"(\d+)([smh]?)", text)
    if match is None:
        raise UsageError(f"{text!r} is not a duration: write 90s, 10m or 5h.")
    return int(match[1]) * {"s": 1 / 60, "m": 1, "h": 60, "": 1 / 60}[match[2]]


def load_settings(
    config: Path,
    state: Path | None,
    paths: list[Path] | None = None,
    deadline: str | None = None,
    *,
    stored: bool = False,
) -> Loaded:
    """Load the configuration. With ``paths``, a missing file is replaced by a definitions section.

    With ``stored``, and a ``state`` that exists, it is replaced by the defaults: what is stored can be read without it.
    """
    import msgspec

    from scanner.config import Settings
    from scanner.config_file import Loaded, load
    from scanner.plugins import load_collector

    for path in paths or ():
        if not path.exists():
            raise UsageError(f"--path {path}: no such file or folder; the current folder is {Path.cwd()}")
    if paths:
        section = load_collector("definitions").Config(paths=[Path(os.path.realpath(path)) for path in paths])
        if config.is_file():
            loaded = load(config)
            collectors = {**loaded.settings.collectors, "definitions": [section]}
        else:
            loaded = Loaded(settings=Settings(collectors={}), path=config, digest="")
            collectors = {"definitions": [section]}
        loaded = msgspec.structs.replace(
            loaded, settings=loaded.settings.model_copy(update={"collectors": collectors}), selected=True
        )
    elif stored and state is not None and not config.is_file():
        loaded = Loaded(settings=Settings(collectors={}), path=config, digest="")
    else:
        loaded = load(config)
    update: dict[str, Any] = {"state": Path(os.path.realpath(state))} if state else {}
    if deadline:
        limits = loaded.settings.limits.model_copy(update={"deadline_minutes": minutes(deadline)})
        update["limits"] = limits
    return msgspec.structs.replace(loaded, settings=loaded.settings.model_copy(update=update))


def time_of_run(as_of: datetime | None) -> datetime:
    """Return the given time, or read the clock. No other place reads it. Raises `UsageError` for a time to come."""
    now = datetime.now(UTC).replace(microsecond=0)
    given = now if as_of is None else as_of.replace(tzinfo=UTC, microsecond=0)
    if given > now + timedelta(hours=1):
        raise UsageError(
            f"--as-of {given:%Y-%m-%dT%H:%M:%S} is ahead of the clock of this machine, {now:%Y-%m-%dT%H:%M:%S} UTC."
        )
    return given
