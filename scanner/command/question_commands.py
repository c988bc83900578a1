"""The commands that answer a question from a stored run."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from scanner.command import completion
from scanner.command.exit_codes import UsageError, exit_codes, say
from scanner.command.options import ConfigOption, RunOption, StateOption, day_in_utc, load_settings

if TYPE_CHECKING:
    from scanner.night import Night

JsonOption = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        help="text or json.",
        metavar="FORMAT",
        autocompletion=completion.one_of("text", "json"),
    ),
]
OnOption = Annotated[
    datetime | None,
    typer.Option("--on", help="The newest run up to this day, in UTC.", parser=day_in_utc, metavar="DAY"),
]


def findings(
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    run_id: RunOption = None,
    severity: Annotated[
        list[str] | None,
        typer.Option(
            "--severity",
            help="critical, high, medium, low or info; `high+` also means what is more severe.",
            autocompletion=completion.severities,
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", help="The id of a rule. Can be repeated.", autocompletion=completion.rules),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option(
            "--owner", help="An owner, or `none`. Can be repeated.", autocompletion=completion.owners
        ),
    ] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(
            "--account",
            help="The name or id of an account. Can be repeated.",
            autocompletion=completion.accounts,
        ),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            help="Default: new, open and reopened. Can be repeated.",
            autocompletion=completion.statuses,
        ),
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Only what counts as new in this run.")] = False,
    form: Annotated[
        str, typer.Option("--format", "-f", help="table, json, csv, markdown or sarif.")
    ] = "table",
) -> None:
    """List the findings of a run, most urgent first."""
    from scanner.night import open_night
    from scanner.pipeline.state_folder import resolve_run
    from scanner.questions.finding_list import FORMATS, FindingFilter, find, find_sarif

    with exit_codes():
        writer = next((write for name, write in FORMATS.items() if name == form), None)
        if writer is None and form != "sarif":
            raise UsageError(f"--format {form}: use one of {', '.join(FORMATS)}, sarif.")
        folder = load_settings(config, state, stored=True).settings.state
        with open_night(folder, resolve_run(folder, run_id, analyzed=True)) as night:
            _refuse_unknown(night, rule or [], owner or [], account or [], status or [])
            chosen = FindingFilter(
                severities=_severities(severity or []), rules=rule or [], owners=owner or [], accounts=account or [],
                statuses=status or [], new=new,
            )  # fmt: skip
            if writer is not None:
                say(writer(find(night, chosen)))
                return
            for part in find_sarif(night, chosen):
                say(part.decode(), nl=False)


def _refuse_unknown(
    night: Night, rules: list[str], owners: list[str], accounts: list[str], statuses: list[str]
) -> None:
    """Raise `UsageError` for a name that nothing of this run has: an empty list would look like good news."""
    from difflib import get_close_matches

    from scanner.document import nearest
    from scanner.findings import Status
    from scanner.questions.finding_list import accounts_of, owners_of, rules_of

    known = rules_of(night) if rules else []
    for value in rules:
        if value not in known:
            near = get_close_matches(value, known, n=1)
            meant = f"did you mean `{near[0]}`? " if near else ""
            raise UsageError(
                f"--rule {value}: no rule of this run; {meant}`sprawlscan rules list` lists them"
            )
    for option, given, names_of in (("--owner", owners, owners_of), ("--account", accounts, accounts_of)):
        names = names_of(night) if given else []
        for value in given:
            if value not in names:
                raise UsageError(f"{option} {value}: unknown; {nearest(value, names)}")
    for value in statuses:
        if value not in get_args(Status):
            raise UsageError(f"--status {value}: use {', '.join(get_args(Status))}")


def _severities(given: list[str]) -> list[str]:
    """Return the severities that are meant: ``high+`` is high and critical."""
    from scanner.findings import SEVERITIES

    chosen: list[str] = []
    for value in given:
        name = value.removesuffix("+")
        if name not in SEVERITIES:
            raise UsageError(f"--severity {value}: use one of {', '.join(SEVERITIES)}, or for example high+.")
        place = SEVERITIES.index(name)
        chosen += SEVERITIES[: place + 1] if value.endswith("+") else [name]
    return chosen


def who_can(
    power: Annotated[
        str | None,
        typer.Argument(
            help="admin, grant-access, become-other, read-secrets, change-delivery, deploy, change-data, read-data or read.",
            autocompletion=completion.powers,
        ),
    ] = None,
    place: Annotated[
        str | None,
        typer.Option("--in", help="The name or id of an account.", autocompletion=completion.accounts),
    ] = None,
    on: OnOption = None,
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    run_id: RunOption = None,
    form: JsonOption = "text",
) -> None:
    """List who holds or reaches a power, with the shortest way."""
    from scanner.night import open_night
    from scanner.questions.who_can import who_can as answer
    from scanner.questions.who_can import who_can_lines
    from scanner.records import POWERS

    with exit_codes():
        chosen = next((one for one in POWERS if one == power), None)
        if chosen is None:
            given = "which power?" if power is None else f"{power!r} is not a power;"
            raise UsageError(f"{given} use one of {', '.join(POWERS)}.")
        folder = load_settings(config, state, stored=True).settings.state
        with open_night(folder, _run_on(folder, run_id, on)) as night:
            rows = answer(night, chosen, place)
            _answer(form, rows, "\n".join(who_can_lines(night, rows)))


def blast_radius(
    thing: Annotated[
        str,
        typer.Argument(
            help="The id or exact name of a stored secret, credential or identity.",
            autocompletion=completion.records,
        ),
    ],
    on: OnOption = None,
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    run_id: RunOption = None,
    form: JsonOption = "text",
) -> None:
    """Show what a leaked secret, credential or identity reaches, its copies, and the order of revocation."""
    from scanner.night import open_night
    from scanner.questions.blast_radius import blast_radius as answer
    from scanner.questions.blast_radius import blast_radius_lines

    with exit_codes():
        folder = load_settings(config, state, stored=True).settings.state
        with open_night(folder, _run_on(folder, run_id, on)) as night:
            found = answer(night, thing)
            _answer(form, found._asdict(), "\n".join(blast_radius_lines(night, found)))


def _run_on(state: Path, run_id: str | None, on: datetime | None) -> str:
    """Return the run asked for, or the newest one up to a day. Raises `UsageError`."""
    from scanner.ledger import Ledger
    from scanner.pipeline.state_folder import resolve_run

    if on is None:
        return resolve_run(state, run_id, analyzed=True)
    if run_id is not None:
        raise UsageError("give --run or --on, not both.")
    last = f"{on:%Y%m%dT%H%M%SZ}" if re.search("[1-9]", f"{on:%H%M%S}") else f"{on:%Y%m%d}T999999Z"
    runs = [night.run_id for night in Ledger(state).in_force() if night.analyzed and night.run_id <= last]
    if not runs:
        first = min((night.run_id for night in Ledger(state).in_force() if night.analyzed), default=None)
        raise UsageError(
            f"no analyzed run up to {on:%Y-%m-%d}; {f'the first is {first}' if first else 'there is none yet'}."
        )
    return max(runs)


def _answer(form: str, data: Any, text: str) -> None:
    import msgspec

    match form:
        case "text":
            say(text)
        case "json":
            say(msgspec.json.format(msgspec.json.encode(data), indent=1).decode())
        case _:
            raise UsageError(f"--format {form}: use text or json.")
