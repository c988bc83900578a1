"""The commands that read the stored runs, verify them and remove them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from scanner.command import completion
from scanner.command.exit_codes import UsageError, exit_codes, say
from scanner.command.options import ConfigOption, RunOption, StateOption, load_settings, time_of_run


def explain(
    finding: Annotated[
        str,
        typer.Argument(
            help="The id of a finding, or its first characters.", autocompletion=completion.findings
        ),
    ],
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    run_id: RunOption = None,
    patch: Annotated[
        bool,
        typer.Option(
            "--patch",
            help="Print the changed policies as JSON, what they end and what remains, tried on this run's records. "
            "Nothing is changed. Some providers only.",
        ),
    ] = False,
) -> None:
    """Explain a finding: its facts, its path, the policy statement behind it, and the smallest fix."""
    from scanner.analyze.explain import explain as explained
    from scanner.analyze.patch import patch as patched
    from scanner.pipeline.state_folder import resolve_run

    with exit_codes():
        folder = load_settings(config, state, stored=True).settings.state
        run = resolve_run(folder, run_id, analyzed=True)
        say(patched(folder, run, finding) if patch else explained(folder, run, finding))


def diff(
    earlier: Annotated[
        str, typer.Argument(help="A run id such as 20261123T020000Z.", autocompletion=completion.runs)
    ],
    later: Annotated[
        str, typer.Argument(help="A run id such as 20261123T020000Z.", autocompletion=completion.runs)
    ],
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
) -> None:
    """Compare the findings of two analyzed runs."""
    from scanner.command.summary import diff_lines
    from scanner.pipeline.state_folder import resolve_run

    with exit_codes():
        folder = load_settings(config, state, stored=True).settings.state
        say("\n".join(diff_lines(folder, resolve_run(folder, earlier), resolve_run(folder, later))))


def verify(
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run",
            help="A run id such as 20261123T020000Z. Default: every run.",
            autocompletion=completion.runs,
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="A public Ed25519 key in PEM that must have signed the ledger."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            help="A head of the ledger that `verify` printed earlier; the ledger must still contain it.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="A Sigstore bundle that signs the ledger as it was at that time."),
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
    from scanner.pipeline.state_folder import resolve_run
    from scanner.signing import lines_of_bundle, public_key
    from scanner.verification import verify_state

    with exit_codes():
        folder = load_settings(config, state, stored=True).settings.state
        if head is not None and not re.fullmatch("[0-9a-f]{64}", head):
            raise UsageError(
                f"--head {head}: must be 64 hexadecimal digits, as `sprawlscan verify` prints them"
            )
        if run_id is None:
            resolve_run(folder, None)
        signed_by = public_key(key) if key is not None else None
        say("\n".join(verified_lines(verify_state(folder, run_id=run_id, key=signed_by, head=head))))
        if bundle is not None:
            if trusted_root is None or identity is None or issuer is None:
                raise UsageError("--bundle needs --trusted-root, --identity and --issuer.")
            count = lines_of_bundle(Ledger(folder), bundle, trusted_root, identity=identity, issuer=issuer)
            say(f"{bundle}: signs the first {count} lines of the ledger, by {identity}")


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
    from scanner.pipeline.state_folder import ledger_of, locked

    with exit_codes():
        settings = load_settings(config, state, stored=True).settings
        with locked(settings.state, 0):
            lines = prune_lines(
                ledger_of(settings), settings.retention, at=time_of_run(None), delete=delete, force=force
            )
        say("\n".join(lines))


def discard(
    run_id: Annotated[
        str, typer.Argument(help="A run id such as 20261123T020000Z.", autocompletion=completion.runs)
    ],
    config: ConfigOption = Path("config.yaml"),
    state: StateOption = None,
) -> None:
    """Remove one run with its analysis, history and reports, and reanalyze the runs that were compared with it.

    For a run with a wrong date, or one that cannot be read. The ledger records the removal and the hash of the run.
    """
    from scanner.pipeline.inputs import read_rules
    from scanner.pipeline.stages import discard_night
    from scanner.pipeline.state_folder import locked

    with exit_codes():
        loaded = load_settings(config, state, stored=True)
        with locked(loaded.settings.state, 0):
            rules = read_rules(loaded) if config.is_file() else None
            lines = discard_night(loaded.settings, run_id, at=time_of_run(None), rules=rules)
        say("\n".join(lines))
