"""The command line: every command, and each exit code from a real process."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from sandbox.aws.estate import build
from sandbox.aws.server import AwsSandbox
from sandbox.estate import FIRST_NIGHT
from scanner.command.cli import app
from scanner.command.log import OURS
from scanner.pipeline.outcome import PRECEDENCE, Exit
from scanner.snapshot import list_sealed, read_manifest
from tests.plugin import install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Demo

FIRST, SECOND = "20261122T020000Z", "20261123T020000Z"
COMMANDS = (
    ["run"],
    ["collect"],
    ["analyze"],
    ["report"],
    ["check"],
    ["demo"],
    ["init"],
    ["check-config"],
    ["schema"],
    ["example"],
    ["permissions"],
    ["doctor"],
    ["findings"],
    ["who-can"],
    ["blast-radius"],
    ["explain"],
    ["diff"],
    ["verify"],
    ["prune"],
    ["discard"],
    ["rules", "list"],
    ["rules", "show"],
    ["rules", "test"],
)


def call(*arguments: object) -> tuple[int, str, str]:
    """Run a command in this process: all but its exit as a process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def process(folder: Path, *arguments: object, **environment: str) -> tuple[int, str, str]:
    """Run a command as a process, to test its exit code."""
    code = "from scanner.command.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(argument) for argument in arguments)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Take back what a command does to its process: the umask, and logs to a stream that is closed by now."""
    mask, handlers = os.umask(0o022), logging.getLogger().handlers
    yield
    os.umask(mask)
    logging.getLogger().handlers = handlers
    for name in OURS:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def state(demo: Demo, tmp_path: Path) -> Path:
    """A demo's state that a test may change."""
    folder = tmp_path / "demo"
    shutil.copytree(demo.folder, folder)
    return folder


# Help


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    code, out, _ = call(*command, "--help")
    assert code == 0
    assert "Usage:" in out
    assert len(out.splitlines()[2].strip()) > 20


def test_the_commands_are_those_listed_here() -> None:
    named = {command[0] for command in COMMANDS}
    out = call("--help")[1]
    listed = out.split("Commands:")[1].splitlines()
    assert named == {line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "}


def test_nothing_said_shows_help_and_an_unknown_command_is_refused() -> None:
    assert "Usage:" in "".join(call()[1:])
    assert call("scan")[0] == Exit.USAGE


def test_the_short_option_shows_help_of_the_program_and_of_its_commands() -> None:
    assert call("-h")[1] == call("--help")[1]
    for command in (["findings"], ["rules", "list"]):
        assert call(*command, "-h")[1] == call(*command, "--help")[1]


def test_version() -> None:
    code, out, _ = call("--version")
    assert (code, out.count(".")) == (0, 2)


# Commands over an analyzed state


def test_diff_tells_what_only_one_night_has(demo: Demo) -> None:
    code, out, _ = call("diff", FIRST, SECOND, "--state", demo.folder)
    assert code == 0
    *lines, summary = out.splitlines()
    more, fewer = (sum(line.startswith(mark) for line in lines) for mark in ("+ ", "- "))
    assert more
    assert fewer
    assert summary.startswith(f"{more} added, {fewer} removed, ")
    assert call("diff", FIRST, FIRST, "--state", demo.folder)[1].startswith("0 added, 0 removed")


def test_verify_counts_files_and_prints_the_head_of_the_ledger(demo: Demo) -> None:
    code, out, _ = call("verify", "--state", demo.folder)
    assert code == 0
    ledger, first, second = out.splitlines()
    head = hashlib.sha256((demo.folder / "ledger.jsonl").read_bytes().splitlines()[-1]).hexdigest()
    assert ledger.endswith(f"head {head}")
    assert first.startswith(f"{FIRST}: ")
    manifest = read_manifest(demo.folder / "snapshots" / SECOND)
    digest = hashlib.sha256((demo.folder / "snapshots" / SECOND / "manifest.json").read_bytes()).hexdigest()
    assert second.startswith(f"{SECOND}: {len(manifest.files)} files of the snapshot, ")
    assert second.endswith(f"manifest sha256 {digest}")
    assert call("verify", "--state", demo.folder, "--head", head)[0] == 0
    assert call("verify", "--state", demo.folder, "--head", "0" * 64)[0] == Exit.INTERNAL


def test_verify_tells_a_changed_export_and_report_mends_it(state: Path) -> None:
    path = state / "reports" / SECOND / "grants.csv"
    path.write_bytes(path.read_bytes().replace(b"admin", b"adm1n"))
    code, _, err = call("verify", "--state", state)
    assert (code, f"{path} differs from the ledger" in err) == (Exit.INTERNAL, True)
    path.unlink()
    assert f"{path} is missing" in call("verify", "--state", state)[2]
    assert call("report", "--config", state / "config.yaml", "--format", "csv")[0] == 0
    assert call("verify", "--state", state)[0] == 0


@pytest.mark.parametrize(
    "command", [["explain", "abc"], ["diff", FIRST], ["report"], ["analyze"]], ids=" ".join
)
def test_a_run_that_is_not_there_is_named(demo: Demo, command: list[str]) -> None:
    missing = "20200101T000000Z"
    given = [missing] if command[0] == "diff" else ["--run", missing]
    config = demo.folder / "config.yaml"
    code, _, err = call(*command, *given, "--config", config)
    assert code == Exit.USAGE
    assert f"no sealed snapshot {missing}; available: {FIRST}, {SECOND}." in err


def test_verify_names_the_runs_it_knows(demo: Demo) -> None:
    code, _, err = call("verify", "--state", demo.folder, "--run", "20200101T000000Z")
    assert code == Exit.USAGE
    assert f"names no night 20200101T000000Z; it names: {FIRST}, {SECOND}" in err


def test_an_empty_state_says_what_to_do(tmp_path: Path) -> None:
    code, _, err = call("verify", "--state", tmp_path)
    assert code == Exit.USAGE
    assert "run `sprawlscan run` first" in err


def test_report_writes_what_is_asked_for(state: Path) -> None:
    shutil.rmtree(state / "reports" / SECOND)
    code, out, _ = call("report", "--config", state / "config.yaml", "--format", "json")
    folder = state / "reports" / SECOND
    assert code == 0
    assert {Path(line).name for line in out.splitlines()} == {"findings.jsonl", "summary.json"}
    assert {path.name for path in folder.iterdir()} == {"findings.jsonl", "summary.json"}


def test_a_report_that_is_not_there_is_refused(demo: Demo) -> None:
    code, _, err = call("report", "--config", demo.folder / "config.yaml", "--format", "nothing")
    assert code == Exit.USAGE
    assert re.search(r"--format nothing: available formats are archer, csv, html, .*, vanta\.", err)


def test_prune_lists_before_it_deletes(state: Path) -> None:
    config = json.loads((state / "config.yaml").read_text().partition("\n")[2])
    config["retention"] = {"daily": 1, "monthly": 0, "yearly": 0}
    (state / "config.yaml").write_text(json.dumps(config))
    arguments = ("prune", "--config", state / "config.yaml")
    # Open findings were first seen on the first night: it is evidence.
    assert call(*arguments, "--delete")[1] == "nothing to delete\n"
    gone = [f"snapshots/{FIRST}", f"analysis/{FIRST}"]
    assert call(*arguments, "--force")[1].splitlines() == [
        f"would delete (add --delete) {name}" for name in gone
    ]
    assert len(list_sealed(state / "snapshots")) == 2
    assert call(*arguments, "--force", "--delete")[1].splitlines() == [f"deleted {name}" for name in gone]
    assert [folder.name for folder in list_sealed(state / "snapshots")] == [SECOND]
    assert [folder.name for folder in (state / "analysis").iterdir()] == [SECOND]
    code, out, _ = call("analyze", "--config", state / "config.yaml")
    assert (code, out.split(":")[0]) == (0, f"run {SECOND}")


def test_a_tampered_snapshot_is_reported_by_every_command_that_reads_it(state: Path) -> None:
    path = next((state / "snapshots" / SECOND / "identities").glob("aws-2*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for command in ("verify", "analyze"):
        code, _, err = call(command, "--config", state / "config.yaml")
        assert code == Exit.INTERNAL
        assert f"{path} differs from the {'ledger' if command == 'verify' else 'manifest'} (sha256)" in err
    assert call("verify", "--state", state, "--run", FIRST)[0] == 0


@pytest.mark.parametrize("text", ["{", '{"schema_version": 1}', ""])
def test_a_damaged_manifest_is_reported(state: Path, text: str) -> None:
    (state / "snapshots" / SECOND / "manifest.json").write_text(text)
    code, _, err = call("verify", "--state", state)
    assert code == Exit.INTERNAL
    assert "manifest.json differs from the ledger" in err
    code, _, err = call("report", "--config", state / "config.yaml")
    assert (code, "manifest.json is damaged" in err) == (Exit.INTERNAL, True)


def test_a_discarded_night_is_removed_and_the_next_is_mended(state: Path) -> None:
    code, out, _ = call("discard", FIRST, "--config", state / "config.yaml")
    assert code == 0
    assert f"discarded snapshots/{FIRST}" in out.splitlines()
    assert out.splitlines()[-1] == f"analyzed {SECOND} again"
    assert not list(state.glob(f"*/{FIRST}*"))
    code, out, _ = call("verify", "--state", state)
    assert (code, f"{FIRST}: snapshot, analysis, history, figures, reports discarded on " in out) == (0, True)
    code, _, err = call("discard", FIRST, "--state", state)
    assert (code, "was discarded before" in err) == (Exit.USAGE, True)


def test_what_is_stored_is_read_without_a_configuration(state: Path) -> None:
    (state / "config.yaml").unlink()
    for command in (
        ["verify"],
        ["report", "--format", "json"],
        ["prune"],
        ["diff", FIRST, SECOND],
        ["discard", FIRST],
    ):
        code, _, err = call(*command, "--state", state)
        assert code == 0, err
    assert call("analyze", "--state", state)[0] == Exit.USAGE
    assert call("verify")[0] == Exit.USAGE


def test_a_reader_that_goes_away_is_no_error(demo: Demo) -> None:
    """As in ``sprawlscan rules list | head -1``."""
    code = "from scanner.command.cli import main; main()"
    for command in (["rules", "list"], ["diff", FIRST, SECOND, "--state", str(demo.folder)]):
        made = subprocess.Popen(
            [sys.executable, "-c", code, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert made.stdout is not None
        made.stdout.close()
        assert made.stderr is not None
        assert (made.stderr.read(), made.wait(60)) == ("", 0)
        made.stderr.close()


def test_disk_space_is_told_only_where_it_is_the_cause(tmp_path: Path, checkout: Path) -> None:
    state = tmp_path / "state"
    state.touch()
    code, _, err = night(tmp_path, checkout, 22)
    assert code == Exit.INTERNAL
    assert str(state) in err
    assert "MiB free" not in err


def test_the_module_of_the_commands_runs_as_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scanner.command.cli", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.count(".")) == (0, 2)


def test_a_time_to_come_is_refused(tmp_path: Path, checkout: Path) -> None:
    command = ("run", "--path", checkout, "--state", tmp_path / "state", "--as-of", "2126-11-22T02:00:00")
    code, _, err = call(*command)
    assert code == Exit.USAGE
    assert "is ahead of the clock of this machine" in err
    assert not (tmp_path / "state" / "snapshots").exists()


def test_a_night_before_the_last_is_2(tmp_path: Path, checkout: Path) -> None:
    assert night(tmp_path, checkout, 23)[0] == 0
    code, _, err = night(tmp_path, checkout, 22)
    assert code == Exit.USAGE
    assert "sprawlscan discard 20261123T020000Z" in err


# Commands without a state


def test_rules_are_listed_shown_and_refused() -> None:
    out = call("rules", "list")[1]
    assert "credential-unused" in [line.split()[0] for line in out.splitlines()]
    shown = call("rules", "show", "credential-unused")[1]
    assert "days = " in shown
    assert "Fix: " in shown
    code, _, err = call("rules", "show", "credential-unsed")
    assert code == Exit.USAGE
    assert "no rule 'credential-unsed'; did you mean `credential-unused`?" in err


def test_examples_of_rules_are_run(tmp_path: Path) -> None:
    """Those of all our own rules are run one by one elsewhere."""
    source = Path("scanner/analyze/rules/human-without-mfa.yaml")
    (tmp_path / "my-own.yaml").write_text(source.read_text().replace("finds: [", "finds: [nobody, ", 1))
    code, out, _ = call("rules", "test", "my-own", "human-without-mfa", "--custom", tmp_path)
    assert code == Exit.INTERNAL
    assert [line.split(":")[0] for line in out.splitlines()] == ["my-own"]
    assert call("rules", "test", "human-without-mfa")[:2] == (0, "1 rule passed\n")
    code, _, err = call("rules", "test", "my-owm", "--custom", tmp_path)
    assert code == Exit.USAGE
    assert "no rule 'my-owm'; did you mean `my-own`?" in err


@pytest.mark.parametrize(
    ("collector", "word"),
    [
        ("aws", "iam:GetAccountAuthorizationDetails"),
        ("gcp", "\n- iam.denypolicies.get\n"),
        ("github", "read"),
    ],
)
def test_permissions_are_printed(collector: str, word: str) -> None:
    code, out, _ = call("permissions", collector)
    assert code == 0
    assert word in out


def test_a_collector_that_prints_no_policy_says_what_it_needs_and_unknown_ones_are_refused() -> None:
    assert call("permissions", "definitions")[1].startswith("Needs: read access to the folders in `paths`.")
    code, _, err = call("permissions", "mainframe")
    assert code == Exit.USAGE
    assert "known: aws, azure, " in err


def test_the_schema_is_json() -> None:
    assert json.loads(call("schema")[1])["properties"]["collectors"]["minProperties"] == 1


def local(state: Path) -> Path:
    """The demo's configuration with local files alone: its providers' secrets are not set any more."""
    config: dict[str, Any] = yaml.safe_load((state / "config.yaml").read_text())
    config["collectors"] = {"definitions": {"paths": [str(state)]}}
    path = state / "local.yaml"
    path.write_text(json.dumps(config))
    return path


def test_check_config_reads_what_the_configuration_names(state: Path) -> None:
    assert "is valid" in call("check-config", "--config", local(state))[1]
    code, _, err = call("check-config", "--config", state / "config.yaml")
    assert code == Exit.USAGE
    assert "SPRAWLSCAN_DEMO_GITLAB_TOKEN} is not set or empty" in err
    (state / "owners.csv").write_text("who,what\n")
    code, _, err = call("check-config", "--config", local(state))
    assert code == Exit.USAGE
    assert "owners.csv:1: no column `match`" in err


def test_check_config_says_where_an_exception_is_wrong(state: Path) -> None:
    file = state / "exceptions.yaml"
    file.write_text(
        file.read_text()
        .replace("rule: credential-old", "rule: credential-olde")
        .replace("ticket:", "tiket:", 1)
    )
    code, _, err = call("check-config", "--config", local(state))
    assert code == Exit.USAGE
    assert err.splitlines() == [
        "exceptions.yaml:10:5: exceptions[0].tiket: unknown key; did you mean `ticket`?",
        "exceptions.yaml:15:5: exceptions[1].rule: no rule `credential-olde`; did you mean `credential-old`?",
    ]
    # A night goes on: the others hold, and these two are findings.
    assert call("analyze", "--config", state / "config.yaml")[0] == 0


def test_a_secret_that_is_missing_is_said_before_a_run_and_nothing_is_sealed(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    section = {
        "organizations": ["acme"],
        "token": "${env:SPRAWLSCAN_NO_SUCH}",
        "base_url": "http://127.0.0.1:9",
    }
    config.write_text(json.dumps({"state": str(tmp_path / "state"), "collectors": {"github": section}}))
    code, _, err = process(tmp_path, "run", "--config", config)
    assert code == Exit.USAGE
    assert "github.token: ${env:SPRAWLSCAN_NO_SUCH} is not set or empty" in err
    assert not list(tmp_path.glob("state/snapshots/*/manifest.json"))


def test_a_configuration_that_is_not_there_is_2(tmp_path: Path) -> None:
    code, _, err = call("run", "--config", tmp_path / "config.yaml")
    assert code == Exit.USAGE
    assert "Run `sprawlscan example > config.yaml` to create one" in err


def test_the_demo_does_not_touch_other_folders(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    code, _, err = call("demo", "--folder", tmp_path)
    assert code == Exit.INTERNAL
    assert "not empty and not a demo" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


# Exit codes, as processes


WORKFLOW = (
    "on: push\npermissions: write-all\njobs:\n  b:\n    runs-on: ubuntu-latest\n    steps: [{run: make}]\n"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one workflow that gives a finding of severity high."""
    folder = tmp_path / "checkout" / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "build.yml").write_text(WORKFLOW)
    return tmp_path / "checkout"


def night(tmp_path: Path, checkout: Path, day: int, *more: str, own: bool = False) -> tuple[int, str, str]:
    """Run a night in this process, or in one of its own."""
    when = f"2026-11-{day}T02:00:00"
    command = ("run", "--path", checkout, "--state", tmp_path / "state", "--as-of", when, *more)
    return process(tmp_path, *command) if own else call(*command)


def test_findings_are_3_when_they_are_new_and_when_they_are_open(tmp_path: Path, checkout: Path) -> None:
    code, out, err = night(tmp_path, checkout, 22)
    assert (code, err and "Traceback" in err) == (0, False)
    assert "Coverage 100.0%: " in out
    assert night(tmp_path, checkout, 23, "--fail-on", "new:high")[0] == Exit.OK
    code, out, _ = night(tmp_path, checkout, 24, "--fail-on", "high", own=True)
    assert code == Exit.FINDINGS
    assert out.endswith("exit 3: FINDINGS\n")
    (checkout / ".github" / "workflows" / "other.yml").write_text(WORKFLOW)
    assert night(tmp_path, checkout, 25, "--fail-on", "new:high")[0] == Exit.FINDINGS
    outcome = json.loads((tmp_path / "state" / "reports" / "20261125T020000Z" / "run.json").read_text())
    assert outcome["exit_code"] == 3
    assert outcome["conditions"] == ["FINDINGS"]
    assert outcome["new"]["high"] >= 1


def test_coverage_is_4_and_goes_before_findings(tmp_path: Path, checkout: Path) -> None:
    (checkout / ".github" / "workflows" / "broken.yml").write_text("on: [push\n}{")
    code, out, _ = night(tmp_path, checkout, 22, "--min-coverage", "1", "--fail-on", "high", own=True)
    assert code == Exit.COVERAGE
    assert out.endswith("exit 4: COVERAGE, FINDINGS\n")
    assert night(tmp_path, checkout, 23, "--min-coverage", "0.1")[0] == Exit.OK


def test_the_deadline_is_6_and_goes_before_coverage_and_findings(tmp_path: Path) -> None:
    plugins = install(tmp_path / "plugins")
    document = {
        "collectors": {"made-up": {"names": ["a", "b", "c"], "hold": "a"}},
        "limits": {"workers": 1},
        "fail_on": "info",
    }
    (tmp_path / "config.yaml").write_text(json.dumps(document))
    code, out, err = process(tmp_path, "run", "--deadline", "1s", PYTHONPATH=str(plugins))
    assert code == Exit.DEADLINE, err
    assert "exit 6: DEADLINE, COVERAGE" in out
    assert "(partial: stopped before all targets finished)" in out


def test_where_several_apply_the_order_is_1_2_5_6_4_3() -> None:
    assert [int(code) for code in PRECEDENCE] == [1, 2, 5, 6, 4, 3]
    assert set(PRECEDENCE) == set(Exit) - {Exit.OK}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fail-on", "new:hihg"],
        ["--min-coverage", "90"],
        ["--as-of", "yesterday"],
        ["--deadline", "soon"],
        ["--only", "aws"],
    ],
    ids=" ".join,
)
def test_bad_options_are_2(tmp_path: Path, checkout: Path, arguments: list[str]) -> None:
    code, _, err = call("run", "--path", checkout, "--state", tmp_path / "state", *arguments)
    assert code == Exit.USAGE
    assert arguments[0] in err or arguments[1] in err
    assert not list_sealed(tmp_path / "state" / "snapshots")


def test_local_checkouts_need_no_configuration(tmp_path: Path, checkout: Path) -> None:
    code, out, err = process(tmp_path, "collect", "--only", "definitions", "--path", checkout)
    assert code == Exit.OK, err
    assert "coverage 100.0%" in out
    assert len(list_sealed(tmp_path / "state" / "snapshots")) == 1


def test_a_path_that_is_no_folder_is_2(tmp_path: Path) -> None:
    code, _, err = call("collect", "--path", tmp_path / "nothing", "--state", tmp_path / "state")
    assert code == Exit.USAGE
    assert "nothing: no such file or folder" in err


# AWS that does not let us in


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsSandbox]:
    with AwsSandbox(as_of=FIRST_NIGHT) as sandbox:
        build(sandbox, 1)
        yield sandbox


def scan(
    folder: Path, aws: AwsSandbox, environment: dict[str, str | None], **options: Any
) -> tuple[int, str, str]:
    """Collect from the sandbox as a process; None takes a variable away."""
    section = {**aws.section(), "max_attempts": 1, **options}
    (folder / "config.yaml").write_text(json.dumps({"collectors": {"aws": section}}))
    given = {**os.environ, **aws.environment(), **environment}
    code = "from scanner.command.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "collect", "--as-of", "2026-11-22T02:00:00"],
        cwd=folder,
        env={name: value for name, value in given.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_an_expired_token_is_2_and_says_so(tmp_path: Path, aws: AwsSandbox) -> None:
    aws.fail("*", 401)
    try:
        code, _, err = scan(tmp_path, aws, {})
    finally:
        aws.heal()
    assert code == Exit.USAGE, err
    assert "expired" in err
    assert "Traceback" not in err
    assert list_sealed(tmp_path / "state" / "snapshots") == []


def test_wrong_credentials_are_2(tmp_path: Path, aws: AwsSandbox) -> None:
    wrong = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "x" * 40,
        "AWS_SESSION_TOKEN": None,
    }
    code, _, err = scan(tmp_path, aws, wrong)
    assert code == Exit.USAGE, err
    assert "aws: " in err
    assert "Traceback" not in err


def test_no_credentials_are_2(tmp_path: Path, aws: AwsSandbox) -> None:
    none = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    code, _, err = scan(tmp_path, aws, none)
    assert code == Exit.USAGE, err
    assert "credentials" in err
    assert "Traceback" not in err


def test_no_region_is_no_problem_and_a_refusing_account_is_a_gap(tmp_path: Path, aws: AwsSandbox) -> None:
    code, _, err = scan(tmp_path, aws, {"AWS_DEFAULT_REGION": None, "AWS_REGION": None})
    assert code == Exit.OK, err
    (folder,) = list_sealed(tmp_path / "state" / "snapshots")
    manifest = read_manifest(folder)
    refused = next(target for target in manifest.targets if target.target == "400000000004")
    assert refused.gaps
    assert not refused.complete
    events = [json.loads(line) for line in err.splitlines()]
    assert [event for event in events if event["level"] != "info"] == []
