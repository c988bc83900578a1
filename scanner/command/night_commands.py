"""The commands that make a night: run, collect, analyze, report, and the demo."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanner.command import completion
from scanner.command.exit_codes import UsageError, exit_codes, say
from scanner.command.options import (
    AsOfOption,
    ConfigOption,
    DeadlineOption,
    OnlyOption,
    PathOption,
    ResumeOption,
    RunOption,
    StateOption,
    WaitOption,
    load_settings,
    minutes,
    time_of_run,
)

if TYPE_CHECKING:
    from scanner.config_file import Loaded
    from scanner.pipeline.outcome import Outcome


def _collected(loaded: Loaded, only: list[str] | None, path: list[Path] | None, **more: Any) -> Outcome:
    """Run the given ``stages`` with the options that `run` and `collect` share."""
    from scanner.command.progress import of_this_terminal
    from scanner.pipeline.stages import run_night

    more["from_clock"] = more["as_of"] is None
    more["as_of"] = time_of_run(more["as_of"])
    more["wait_lock"] = minutes(more["wait_lock"]) * 60
    chosen = ["definitions"] if path and not only else only
    return run_night(loaded, progress=of_this_terminal(), only=chosen, exit_when_stopped=True, **more)


def run(
    config: ConfigOption = Path("config.yaml"),
    only: OnlyOption = None,
    path: PathOption = None,
    state: StateOption = None,
    resume: ResumeOption = False,
    wait_lock: WaitOption = "0s",
    deadline: DeadlineOption = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            help="Exit with code 3 on open findings of this severity or higher: high, new:high.",
            autocompletion=completion.thresholds,
        ),
    ] = None,
    min_coverage: Annotated[
        float | None,
        typer.Option("--min-coverage", help="Exit with code 4 if coverage is below this share."),
    ] = None,
    as_of: AsOfOption = None,
) -> None:
    """Collect, analyze and report."""
    import msgspec

    from scanner.command.summary import outcome_lines
    from scanner.config import FAIL_ON, FAIL_ON_WORDS

    with exit_codes():
        loaded = load_settings(config, state, path, deadline)
        given = {"fail_on": fail_on, "min_coverage": min_coverage}
        settings = loaded.settings.model_copy(
            update={key: value for key, value in given.items() if value is not None}
        )
        if not 0 <= settings.min_coverage <= 1:
            raise UsageError(f"--min-coverage {min_coverage:g}: must be a share between 0 and 1, such as 0.8")
        if settings.fail_on and not re.fullmatch(FAIL_ON, settings.fail_on):
            raise UsageError(f"--fail-on {settings.fail_on}: must be {FAIL_ON_WORDS}")
        loaded = msgspec.structs.replace(loaded, settings=settings)
        outcome = _collected(loaded, only, path, as_of=as_of, resume=resume, wait_lock=wait_lock)
        say("\n".join(outcome_lines(settings.state, outcome)))
        raise typer.Exit(outcome.exit_code)


def collect(
    config: ConfigOption = Path("config.yaml"),
    only: OnlyOption = None,
    path: PathOption = None,
    state: StateOption = None,
    resume: ResumeOption = False,
    wait_lock: WaitOption = "0s",
    deadline: DeadlineOption = None,
    as_of: AsOfOption = None,
) -> None:
    """Collect into a sealed snapshot."""
    from scanner.command.summary import snapshot_lines

    with exit_codes():
        loaded = load_settings(config, state, path, deadline)
        outcome = _collected(
            loaded, only, path, as_of=as_of, resume=resume, wait_lock=wait_lock, stages=("collect",)
        )
        say("\n".join(snapshot_lines(loaded.settings.state)))
        raise typer.Exit(outcome.exit_code)


def analyze(
    config: ConfigOption = Path("config.yaml"), state: StateOption = None, run_id: RunOption = None
) -> None:
    """Run the rules on a sealed snapshot and compare it with the previous run."""
    from scanner.command.summary import analysis_lines, not_carried_lines
    from scanner.pipeline.analysis import analyze_run
    from scanner.pipeline.inputs import read_rules
    from scanner.pipeline.state_folder import locked, resolve_run

    with exit_codes():
        loaded = load_settings(config, state)
        settings = loaded.settings
        with locked(settings.state, 0):
            chosen = resolve_run(settings.state, run_id)
            analyze_run(settings, chosen, read_rules(loaded))
        say("\n".join(analysis_lines(settings.state, chosen)))
        for line in not_carried_lines(settings.state, chosen):
            typer.echo(line, err=True)


def report(
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    run_id: RunOption = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="A report format such as html, csv or json. Can be repeated.",
            autocompletion=completion.reports,
        ),
    ] = None,
) -> None:
    """Write the reports of an analyzed run."""
    from scanner.pipeline.reporting import write_reports
    from scanner.pipeline.state_folder import resolve_run
    from scanner.plugins import report_names

    with exit_codes():
        settings = load_settings(config, state, stored=True).settings
        chosen = resolve_run(settings.state, run_id, analyzed=True)
        for name in formats or []:
            if name not in report_names():
                raise UsageError(f"--format {name}: available formats are {', '.join(report_names())}.")
        for written in write_reports(settings, chosen, formats or settings.reports.formats):
            say(written)


def demo(
    folder: Annotated[
        Path, typer.Option("--folder", help="The folder for the demo's state and reports.")
    ] = Path("demo"),
    keep: Annotated[
        bool, typer.Option("--keep", help="Add runs to an existing demo instead of starting over.")
    ] = False,
) -> None:
    """Scan a simulated company on this machine, twice. Needs no account and no network."""
    from scanner.command.progress import of_this_terminal
    from scanner.plugins import load_demo

    with exit_codes():
        try:
            run_demo = load_demo()
        except ImportError as exc:
            raise UsageError(f"the demo needs {exc.name}: pip install 'sprawlscan[demo]'") from None
        run_demo(folder.resolve(), progress=of_this_terminal(), echo=say, keep=keep)
