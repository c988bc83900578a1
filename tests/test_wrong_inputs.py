"""Wrong inputs of every command, each with the message that a user needs: where, what, what is valid, what to do next.

The messages were written before the commands were tried.
"""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from scanner.command.cli import app
from scanner.command.log import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Demo

AWS = "collectors:\n  aws:\n    profile: null\n"
COMMAND: dict[str, tuple[list[str], list[str]]] = {
    # Arguments after the demo's state, and what the message must contain.
    "an unknown command": (["scna"], ["No such command", "scna"]),
    "a severity that does not exist": (["findings", "--severity", "urgent"], ["--severity urgent", "critical, high, medium, low, info", "high+"]),
    "a misspelled rule": (["findings", "--rule", "deploy-key-writ"], ["--rule deploy-key-writ", "did you mean", "deploy-key-write"]),
    "a rule without findings tonight": (["findings", "--rule", "gha-secret-in-argument-of-nothing"], ["--rule", "no rule", "sprawlscan rules list"]),
    "a misspelled owner": (["findings", "--owner", "platfrom"], ["--owner platfrom", "did you mean", "platform"]),
    "a misspelled account": (["findings", "--account", "lantern-prd"], ["--account lantern-prd", "did you mean", "lantern-prod"]),
    "a status that does not exist": (["findings", "--status", "closed"], ["--status closed", "new, open, reopened"]),
    "a format that does not exist": (["findings", "--format", "yaml"], ["--format yaml", "json", "csv"]),
    "a power that does not exist": (["who-can", "root"], ["'root'", "admin, grant-access"]),
    "no power": (["who-can"], ["which power?", "admin"]),
    "a place that does not exist": (["who-can", "admin", "--in", "lantern-prd"], ["'lantern-prd'", "lantern-prod"]),
    "a day in another order": (["who-can", "admin", "--on", "23.11.2026"], ["--on", "2026-11-23"]),
    "a day before the first night": (["who-can", "admin", "--on", "2020-01-01"], ["no analyzed run up to 2020-01-01", "20261122T020000Z"]),
    "a run and a day": (["who-can", "admin", "--on", "2026-11-23", "--run", "20261123T020000Z"], ["--run or --on, not both"]),
    "a name that several things have": (["blast-radius", "AWS_ACCESS_KEY_ID"], ["is the name of", "give the id of one"]),
    "a secret that does not exist": (["blast-radius", "AWS_SECRT"], ["'AWS_SECRT'", "secrets.csv"]),
    "a finding that does not exist": (["explain", "nf1-zzzz"], ["nf1-zzzz", "sprawlscan findings"]),
    "the first letters of several findings": (["explain", "nf1-a"], ["nf1-a", "more"]),
    "a run that does not exist": (["explain", "nf1-a", "--run", "20200101T000000Z"], ["20200101T000000Z", "20261123T020000Z"]),
    "a day in place of a run": (["diff", "2026-11-22", "2026-11-23"], ["2026-11-22", "20261122T020000Z"]),
    "a report that does not exist": (["report", "--format", "pdf"], ["--format pdf", "html"]),
    "a run to discard that does not exist": (["discard", "20200101T000000Z"], ["20200101T000000Z", "20261123T020000Z"]),
    "a run to verify that does not exist": (["verify", "--run", "yesterday"], ["yesterday", "20261123T020000Z"]),
    "a key that does not exist": (["verify", "--key", "nowhere.pem"], ["nowhere.pem", "No such file"]),
    "half of what a bundle needs": (["verify", "--bundle", "x.json"], ["--trusted-root", "--identity", "--issuer"]),
    "a head that is no hash": (["verify", "--head", "abc"], ["abc", "64"]),
    "a collector that does not exist": (["permissions", "gitub"], ["gitub", "did you mean", "github"]),
    "a rule to show that does not exist": (["rules", "show", "deploy-key-writ"], ["did you mean `deploy-key-write`"]),
    "a folder of rules that does not exist": (["rules", "list", "--custom", "nowhere"], ["nowhere", "folder"]),
    "a collector to run that is not configured": (["run", "--only", "oracle"], ["--only oracle", "config.yaml", "aws"]),
    "a threshold that does not exist": (["run", "--fail-on", "urgent"], ["--fail-on urgent", "critical, high, medium", "new:"]),
    "a share in percent": (["run", "--min-coverage", "80"], ["--min-coverage", "0.8"]),
    "a duration in words": (["run", "--deadline", "five hours"], ["'five hours'", "5h"]),
    "a wait in words": (["run", "--wait-lock", "a while"], ["'a while'", "10m"]),
    "a time without a day": (["run", "--as-of", "02:00"], ["--as-of", "2026-11-23T02:00:00"]),
    "a folder that does not exist": (["run", "--path", "nowhere"], ["nowhere", "no such file or folder"]),
    "a format of the doctor": (["doctor", "--format", "xml"], ["--format xml", "text or json"]),
}  # fmt: skip
CONFIG: dict[str, tuple[str, list[str]]] = {
    # config.yaml, and what `check-config` must say.
    "an empty file": ("", ["config.yaml:1", "collectors", "sprawlscan example"]),
    "a list": ("- aws\n", ["config.yaml:1", "mapping"]),
    "a tab": ("collectors:\n\taws: {}\n", ["config.yaml:2:1", "tab", "spaces"]),
    "a misspelled section": ("collector:\n  aws: {}\n", ["config.yaml:1:1", "collector", "did you mean `collectors`"]),
    "a misspelled collector": ("collectors:\n  githb: {}\n", ["config.yaml:2:3", "githb", "did you mean `github`"]),
    "a misspelled key": ("collectors:\n  aws:\n    region: [eu-west-1]\n", ["config.yaml:3:5", "region", "did you mean `regions`"]),
    "a key twice": ("collectors:\n  aws: {}\n  aws: {}\n", ["config.yaml:3:3", "duplicate key"]),
    "an account number without quotes": ("collectors:\n  aws:\n    accounts: [123456789012]\n", ["config.yaml:3", "accounts", "in quotes"]),
    "text in place of a list": ("collectors:\n  aws:\n    regions: eu-west-1\n", ["config.yaml:3:5", "regions", "must be a list, such as [a, b]"]),
    "a secret in the file": ("collectors:\n  gitlab:\n    token: glpat-" + "x" * 20 + "\n", ["config.yaml:3:5", "${env:NAME}", "${file:/path}"]),
    "no token": ("collectors:\n  github:\n    organizations: [acme]\n", ["config.yaml:2:3", "either token or app"]),
    "no organization": ("collectors:\n  github:\n    token: ${env:GH}\n", ["organizations", "name at least one"]),
    "a variable that is not set": ("collectors:\n  gitlab:\n    token: ${env:UNSET_VARIABLE_X}\n", ["config.yaml:3:5", "UNSET_VARIABLE_X", "not set"]),
    "a file that does not exist": ("collectors:\n  gitlab:\n    token: ${file:nowhere}\n", ["config.yaml:3:5", "nowhere", "No such file"]),
    "a tenant that is no GUID": ("collectors:\n  entra:\n    tenant: acme.example\n    sign_in: azure-cli\n", ["config.yaml:3:5", "tenant", "00000000-0000-0000-0000-000000000000"]),
    "two ways to sign in": ("collectors:\n  entra:\n    tenant: 11111111-2222-4333-8444-555555555555\n    sign_in: azure-cli\n    client_secret: ${env:X}\n", ["client_secret", "sign_in: application", "remove it"]),
    "a sign-in that does not exist": ("collectors:\n  entra:\n    tenant: 11111111-2222-4333-8444-555555555555\n    sign_in: cli\n", ["config.yaml:4:5", "'application', 'managed-identity' or 'azure-cli'"]),
    "an address without https": ("collectors:\n  gitlab:\n    base_url: gitlab.acme.example\n    token: ${env:X}\n", ["config.yaml:3:5", "https://gitlab.com"]),
    "a threshold": (AWS + "fail_on: urgent\n", ["config.yaml:4:1", "fail_on", "critical, high, medium"]),
    "a size of memory": (AWS + "limits:\n  memory: lots\n", ["config.yaml:5:3", "memory", "512MB or 4GB"]),
    "a delimiter": (AWS + "reports:\n  csv:\n    delimiter: tab\n", ["config.yaml:6:5", "delimiter", "comma, semicolon"]),
    "a report": (AWS + "reports:\n  formats: [pdf]\n", ["config.yaml:5", "pdf", "html"]),
    "a number that is too large": (AWS + "limits:\n  workers: 1000\n", ["config.yaml:5:3", "workers", "64"]),
    "a share in percent": (AWS + "min_coverage: 80\n", ["config.yaml:4:1", "min_coverage", "1"]),
    "a rule to disable": (AWS + "rules:\n  disabled: [trust-name-only]\n", ["config.yaml:5", "trust-name-only", "did you mean `trust-names-only`"]),
    "a parameter": (AWS + "rules:\n  params: {credential-unused: {day: 30}}\n", ["config.yaml:5", "day", "did you mean `days`"]),
    "a file of exceptions that does not exist": (AWS + "exceptions: nowhere.yaml\n", ["nowhere.yaml", "No such file"]),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Take back what a command does to its process."""
    mask, handlers = os.umask(0o022), logging.getLogger().handlers
    yield
    os.umask(mask)
    logging.getLogger().handlers = handlers
    for name in OURS:
        logging.getLogger(name).setLevel(logging.NOTSET)


def said(*arguments: str) -> str:
    """Return what a command that is refused says, with line breaks as blanks."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return re.sub(r"[\s│╭╰─╮╯]+", " ", result.output)


def missing(text: str, parts: list[str]) -> list[str]:
    return [part for part in parts if part not in text]


@pytest.mark.parametrize("case", COMMAND)
def test_of_a_command(demo: Demo, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(demo.folder)
    text = said(*COMMAND[case][0])
    assert missing(text, COMMAND[case][1]) == [], text


@pytest.mark.parametrize("case", CONFIG)
def test_of_config_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG[case][0])
    text = said("check-config")
    assert missing(text, CONFIG[case][1]) == [], text


def test_every_problem_of_the_exceptions_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(
        "collectors:\n  definitions: {paths: [.]}\nexceptions: exceptions.yaml\n"
    )
    (tmp_path / "exceptions.yaml").write_text(
        "exceptions:\n- rule: deploy-key-writ\n  subject: x\n  expires: tomorrow\n- rul: deploy-key-write\n"
    )
    text = said("check-config")
    assert (
        missing(
            text,
            [
                "deploy-key-write",
                "2027-01-15",
                "rul",
                "owner",
                "approver",
                "exceptions.yaml:4",
                "exceptions.yaml:5",
            ],
        )
        == []
    ), text
