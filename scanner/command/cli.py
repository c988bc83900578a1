"""The commands. Each reads its arguments, calls one function and turns exceptions into an exit code."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from scanner.analyze.rule import Rule
    from scanner.collect.target_threads import Progress
    from scanner.config import Loaded
    from scanner.pipeline.stages import Outcome

app = typer.Typer(
    name="sprawlscan",
    help="Inventories the identities, credentials, secrets, permissions and trusts of a software delivery path, "
    "and reports which are static, over-scoped, stale, unowned or too widely trusted.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
rules_app = typer.Typer(help="List, show and test the rules.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(rules_app, name="rules")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file.", envvar="SPRAWLSCAN_CONFIG")
]
OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", help="Run only this collector. Can be repeated.")
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
    str | None, typer.Option("--run", help="A run id such as 20261123T020000Z. Default: the newest run.")
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        help="The time of the run in UTC. Default: now.",
        formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S"],
    ),
]
WaitOption = Annotated[
    str, typer.Option("--wait-lock", help="How long to wait for another run to finish: 90s, 10m, 1h.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")]
DeadlineOption = Annotated[
    str | None, typer.Option("--deadline", help="Start no new target after this long: 90m, 5h.")
]


def _say(text: object, *, nl: bool = True) -> None:
    """Print to stdout. When nobody reads it any more (``| head``), what follows is not printed, and nothing else changes."""
    try:
        typer.echo(text, nl=nl)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class UsageError(Exception):
    """Invalid arguments. The message says which, and what is valid."""


def _minutes(text: str) -> float:
    match = re.fullmatch(r"(\d+)([smh]?)", text)
    if match is None:
        raise UsageError(f"{text!r} is not a duration: write 90s, 10m or 5h.")
    return int(match[1]) * {"s": 1 / 60, "m": 1, "h": 60, "": 1 / 60}[match[2]]


def _load(
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

    from scanner.config import Loaded, Settings, load
    from scanner.plugins import load_collector

    if paths:
        section = load_collector("definitions").Config(paths=[path.resolve() for path in paths])
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
    update: dict[str, Any] = {"state": state.resolve()} if state else {}
    if deadline:
        limits = loaded.settings.limits.model_copy(update={"deadline_minutes": _minutes(deadline)})
        update["limits"] = limits
    return msgspec.structs.replace(loaded, settings=loaded.settings.model_copy(update=update))


def _stop(name: str, message: str) -> typer.Exit:
    """Print a message and return the exit with that name."""
    from scanner.pipeline.stages import Exit
    from scanner.safe_text import plain_lines
    from scanner.secrets.redact import redact

    typer.echo(plain_lines(redact(message)), err=True)
    return typer.Exit(Exit[name])


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Turn exceptions into a message and an exit code. Unexpected ones are printed as a redacted traceback."""
    # Python evaluates an except clause only after an exception, so these imports are lazy.
    try:
        yield
    except typer.Exit:
        raise
    except _usage_errors() as exc:
        raise _stop("USAGE", str(exc)) from None
    except _locked_errors() as exc:
        raise _stop("LOCKED", str(exc)) from None
    except _internal_errors() as exc:
        raise _stop("INTERNAL", str(exc)) from None
    except _stopped_errors() as exc:
        raise _stop("DEADLINE", str(exc)) from None
    except OSError as exc:
        from scanner.collect.run import write_problem

        raise _stop("INTERNAL", write_problem(exc)) from None


def _usage_errors() -> tuple[type[Exception], ...]:
    from scanner.analyze.explain import NoSuchFindingError
    from scanner.collect.interrupted import ResumeError
    from scanner.collect.night_order import ImplausibleTimeError
    from scanner.collect.run import NothingCollectedError
    from scanner.config import ConfigError, SecretMissingError
    from scanner.document import DocumentError
    from scanner.pipeline.stages import NoSuchRunError
    from scanner.private_files import UnsafeFolderError
    from scanner.signing import SigningError

    asked = (ConfigError, DocumentError, SecretMissingError, UsageError, NoSuchRunError, NoSuchFindingError)
    return (*asked, NothingCollectedError, ImplausibleTimeError, ResumeError, UnsafeFolderError, SigningError)


def _locked_errors() -> type[Exception]:
    from scanner.pipeline.stages import LockedError

    return LockedError


def _stopped_errors() -> type[Exception]:
    from scanner.stop import StoppedError

    return StoppedError


def _internal_errors() -> tuple[type[Exception], ...]:
    from scanner.analyze.rule_runs import AnalysisError
    from scanner.snapshot import SnapshotError

    return (SnapshotError, AnalysisError)


def _progress() -> Progress:
    from scanner.command.progress import LogProgress, TerminalProgress

    terminal = sys.stderr.isatty() and not os.environ.get("CI")
    return TerminalProgress() if terminal else LogProgress()


def _now(as_of: datetime | None) -> datetime:
    """Return the given time, or read the clock. No other place reads it. Raises `UsageError` for a time to come."""
    now = datetime.now(UTC).replace(microsecond=0)
    given = now if as_of is None else as_of.replace(tzinfo=UTC, microsecond=0)
    if given > now + timedelta(hours=1):
        raise UsageError(
            f"--as-of {given:%Y-%m-%dT%H:%M:%S} is ahead of the clock of this machine, {now:%Y-%m-%dT%H:%M:%S} UTC."
        )
    return given


def _print_version(value: bool) -> None:
    if value:
        from scanner import __version__

        _say(__version__)
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


def _collected(loaded: Loaded, only: list[str] | None, path: list[Path] | None, **more: Any) -> Outcome:
    """Run the given ``stages`` with the options that `run` and `collect` share."""
    from scanner.pipeline.stages import run_night

    more["from_clock"] = more["as_of"] is None
    more["as_of"] = _now(more["as_of"])
    more["wait_lock"] = _minutes(more["wait_lock"]) * 60
    chosen = ["definitions"] if path and not only else only
    return run_night(loaded, progress=_progress(), only=chosen, exit_when_stopped=True, **more)


@app.command()
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
            "--fail-on", help="Exit with code 3 on open findings of this severity or higher: high, new:high."
        ),
    ] = None,
    min_coverage: Annotated[
        float | None,
        typer.Option(
            "--min-coverage", min=0, max=1, help="Exit with code 4 if coverage is below this share."
        ),
    ] = None,
    as_of: AsOfOption = None,
) -> None:
    """Collect, analyze and report."""
    import msgspec

    from scanner.command.summary import outcome_lines
    from scanner.config import FAIL_ON, FAIL_ON_WORDS

    with _exit_codes():
        loaded = _load(config, state, path, deadline)
        given = {"fail_on": fail_on, "min_coverage": min_coverage}
        settings = loaded.settings.model_copy(
            update={key: value for key, value in given.items() if value is not None}
        )
        if settings.fail_on and not re.fullmatch(FAIL_ON, settings.fail_on):
            raise UsageError(f"--fail-on {settings.fail_on}: must be {FAIL_ON_WORDS}")
        loaded = msgspec.structs.replace(loaded, settings=settings)
        outcome = _collected(loaded, only, path, as_of=as_of, resume=resume, wait_lock=wait_lock)
        _say("\n".join(outcome_lines(settings.state, outcome)))
        raise typer.Exit(outcome.exit_code)


@app.command()
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

    with _exit_codes():
        loaded = _load(config, state, path, deadline)
        outcome = _collected(
            loaded, only, path, as_of=as_of, resume=resume, wait_lock=wait_lock, stages=("collect",)
        )
        _say("\n".join(snapshot_lines(loaded.settings.state)))
        raise typer.Exit(outcome.exit_code)


@app.command()
def analyze(
    config: ConfigOption = Path("config.yaml"), state: StateOption = None, run_id: RunOption = None
) -> None:
    """Run the rules on a sealed snapshot and compare it with the previous run."""
    from scanner.command.summary import analysis_lines, not_carried_lines
    from scanner.pipeline.inputs import read_rules
    from scanner.pipeline.stages import analyze_run, locked, resolve_run

    with _exit_codes():
        loaded = _load(config, state)
        settings = loaded.settings
        with locked(settings.state, 0):
            chosen = resolve_run(settings.state, run_id)
            analyze_run(settings, chosen, read_rules(loaded))
        _say("\n".join(analysis_lines(settings.state, chosen)))
        for line in not_carried_lines(settings.state, chosen):
            typer.echo(line, err=True)


@app.command()
def report(
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    run_id: RunOption = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", help="A report format such as html, csv or json. Can be repeated."),
    ] = None,
) -> None:
    """Write the reports of an analyzed run."""
    from scanner.pipeline.stages import resolve_run, write_reports
    from scanner.plugins import report_names

    with _exit_codes():
        settings = _load(config, state, stored=True).settings
        chosen = resolve_run(settings.state, run_id, analyzed=True)
        for name in formats or []:
            if name not in report_names():
                raise UsageError(f"--format {name}: available formats are {', '.join(report_names())}.")
        for written in write_reports(settings, chosen, formats or settings.reports.formats):
            _say(written)


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Option("--folder", help="The folder for the demo's state and reports.")
    ] = Path("demo"),
    keep: Annotated[
        bool, typer.Option("--keep", help="Add runs to an existing demo instead of starting over.")
    ] = False,
) -> None:
    """Scan a simulated company on this machine, twice. Needs no account and no network."""
    from scanner.plugins import load_demo

    with _exit_codes():
        try:
            run_demo = load_demo()
        except ImportError as exc:
            raise UsageError(f"the demo needs {exc.name}: pip install 'sprawlscan[demo]'") from None
        run_demo(folder.resolve(), progress=_progress(), echo=_say, keep=keep)


@app.command("check-config")
def check_config(config: ConfigOption = Path("config.yaml")) -> None:
    """Validate the configuration and the files it names, and list what it would scan. Makes no network requests."""
    from scanner.pipeline.inputs import check_files, read_rules
    from scanner.readiness import unready

    with _exit_codes():
        loaded = _load(config, None)
        problems = check_files(loaded.settings, read_rules(loaded), _now(None))
        problems += unready(loaded, everything=True)
        if problems:
            raise UsageError("\n".join(problems))
        for name, sections in sorted(loaded.settings.collectors.items()):
            _say(f"{name}: {len(sections)} section{'s' if len(sections) != 1 else ''}")
        _say(f"{loaded.path} is valid")


@app.command()
def schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    from scanner.config import json_schema

    _say(json.dumps(json_schema(), indent=2, sort_keys=True))


@app.command()
def example() -> None:
    """Print an example config.yaml with every option, its default and its meaning."""
    from scanner.config import example as example_config

    _say(example_config(), nl=False)


@app.command()
def permissions(
    collector: Annotated[str, typer.Argument(help="The collector, as in the configuration.")],
) -> None:
    """Print the least-privilege permissions that a collector needs."""
    from scanner.plugins import collector_names, load_collector

    with _exit_codes():
        try:
            module = load_collector(collector)
        except LookupError:
            raise UsageError(
                f"no collector {collector!r}; available: {', '.join(collector_names())}"
            ) from None
        printer = getattr(module, "permissions", None)
        _say(printer() if printer else f"{collector} needs no permissions: it reads local files.")


@app.command()
def explain(
    finding: Annotated[str, typer.Argument(help="The id of a finding, or its first characters.")],
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    run_id: RunOption = None,
) -> None:
    """Explain a finding: its facts, its path, the policy statement behind it, and the smallest fix."""
    from scanner.analyze.explain import explain as explained
    from scanner.pipeline.stages import resolve_run

    with _exit_codes():
        folder = _load(config, state, stored=True).settings.state
        _say(explained(folder, resolve_run(folder, run_id, analyzed=True), finding))


@app.command()
def diff(
    earlier: Annotated[str, typer.Argument(help="A run id.")],
    later: Annotated[str, typer.Argument(help="A run id.")],
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
) -> None:
    """Compare the findings of two analyzed runs."""
    from scanner.command.summary import diff_lines
    from scanner.pipeline.stages import resolve_run

    with _exit_codes():
        folder = _load(config, state, stored=True).settings.state
        _say("\n".join(diff_lines(folder, resolve_run(folder, earlier), resolve_run(folder, later))))


@app.command()
def verify(
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    run_id: Annotated[
        str | None, typer.Option("--run", help="A run id such as 20261123T020000Z. Default: every run.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="A public Ed25519 key in PEM that must have signed the ledger."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head", help="The head of the ledger, as `verify` printed it earlier: it must still be in it."
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="A Sigstore bundle that signs the ledger, as far as it went."),
    ] = None,
    trusted_root: Annotated[
        Path | None,
        typer.Option("--trusted-root", help="The trusted_root.json to verify the bundle with, offline."),
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option("--identity", help="Who must have signed the bundle: the certificate's subject."),
    ] = None,
    issuer: Annotated[str | None, typer.Option("--issuer", help="The OIDC issuer of that identity.")] = None,
) -> None:
    """Verify snapshots, analyses, history and reports against the ledger, and the ledger itself."""
    from scanner.command.summary import verified_lines
    from scanner.ledger import Ledger
    from scanner.pipeline.stages import resolve_run
    from scanner.signing import lines_of_bundle, public_key
    from scanner.verification import verify_state

    with _exit_codes():
        folder = _load(config, state, stored=True).settings.state
        if run_id is None:
            resolve_run(folder, None)
        signed_by = public_key(key) if key is not None else None
        _say("\n".join(verified_lines(verify_state(folder, run_id=run_id, key=signed_by, head=head))))
        if bundle is not None:
            if trusted_root is None or identity is None or issuer is None:
                raise UsageError("--bundle needs --trusted-root, --identity and --issuer.")
            count = lines_of_bundle(Ledger(folder), bundle, trusted_root, identity=identity, issuer=issuer)
            _say(f"{bundle}: signs the first {count} lines of the ledger, by {identity}")


@app.command()
def prune(
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete. Without this option, only list.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also delete snapshots that open findings cite as evidence.")
    ] = False,
) -> None:
    """List or delete what is past its retention: old snapshots with their analyses, and all but the newest three
    histories.

    Reports are kept.
    """
    from scanner.command.summary import prune_lines
    from scanner.pipeline.stages import ledger_of, locked

    with _exit_codes():
        settings = _load(config, state, stored=True).settings
        with locked(settings.state, 0):
            told = prune_lines(
                ledger_of(settings), settings.retention, at=_now(None), delete=delete, force=force
            )
        _say("\n".join(told))


@app.command()
def discard(
    run_id: Annotated[str, typer.Argument(help="A run id such as 20261123T020000Z.")],
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
) -> None:
    """Remove one run with its analysis, history and reports, and analyze the runs again that were compared with it.

    For a run with a wrong date, or one that cannot be read. The ledger keeps when it was discarded, and its hash.
    """
    from scanner.pipeline.inputs import read_rules
    from scanner.pipeline.stages import discard_night, locked

    with _exit_codes():
        loaded = _load(config, state, stored=True)
        with locked(loaded.settings.state, 0):
            rules = read_rules(loaded) if config.is_file() else None
            told = discard_night(loaded.settings, run_id, at=_now(None), rules=rules)
        _say("\n".join(told))


@rules_app.command("list")
def rules_list(
    custom: Annotated[Path | None, typer.Option("--custom", help="A folder of custom rules.")] = None,
) -> None:
    """List the rules with id, severity and title."""
    from scanner.analyze.rule_files import load_rules

    with _exit_codes():
        for rule in load_rules(custom):
            _say(f"{rule.id:40} {rule.severity:9} {rule.title}")


@rules_app.command("show")
def rules_show(
    rule: Annotated[str, typer.Argument(help="The id of a rule.")],
    custom: Annotated[Path | None, typer.Option("--custom", help="A folder of custom rules.")] = None,
) -> None:
    """Show one rule: why it matters, how to fix it, its parameters and its query."""
    from scanner.analyze.rule_files import load_rules
    from scanner.command.summary import rule_lines

    with _exit_codes():
        rules = load_rules(custom)
        (chosen,) = _named(rules, [rule])
        _say("\n".join(rule_lines(chosen)))


def _named(rules: list[Rule], ids: list[str]) -> list[Rule]:
    """Return the rules with these ids."""
    from scanner.document import nearest

    known = {rule.id: rule for rule in rules}
    for name in ids:
        if name not in known:
            raise UsageError(f"no rule {name!r}; {nearest(name, list(known))}")
    return [known[name] for name in ids]


@rules_app.command("test")
def rules_test(
    rule: Annotated[list[str] | None, typer.Argument(help="The ids of rules; every rule if omitted.")] = None,
    custom: Annotated[Path | None, typer.Option("--custom", help="A folder of custom rules.")] = None,
) -> None:
    """Lint rules and run their examples. Exits with code 1 if one fails."""
    from scanner.analyze.rule_check import check_rule
    from scanner.analyze.rule_files import load_rules

    with _exit_codes():
        rules = load_rules(custom)
        if rule:
            rules = _named(rules, rule)
        problems = [f"{tested.id}: {problem}" for tested in rules for problem in check_rule(tested)]
        count = "1 rule" if len(rules) == 1 else f"{len(rules)} rules"
        _say("\n".join(problems) or f"{count} passed")
        raise typer.Exit(1 if problems else 0)


def _redacted_traceback(kind: type[BaseException], exc: BaseException, trace: TracebackType | None) -> None:
    """Print an unexpected exception without secrets that SDK messages may contain."""
    from scanner.safe_text import plain_lines
    from scanner.secrets.redact import redact

    sys.stderr.write(plain_lines(redact("".join(traceback.format_exception(kind, exc, trace)))))


def main() -> None:
    """Entry point of the command ``sprawlscan``."""
    sys.excepthook = _redacted_traceback
    app()


if __name__ == "__main__":
    main()
