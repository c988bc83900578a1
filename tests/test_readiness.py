"""What cannot work is said before a run begins, with its place and what to do; and what is refused costs only itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from scanner.config_file import Loaded, load
from scanner.readiness import missing_packages, unready
from scanner.secrets.redact import redact
from scanner.snapshot import list_sealed
from tests.test_run import NIGHT, Box

if TYPE_CHECKING:
    from pathlib import Path

GITHUB = """\
collectors:
  github:
    organizations: [acme]
    token: ${env:ACME_TOKEN}
"""


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def loaded(folder: Path, text: str) -> Loaded:
    (folder / "config.yaml").write_text(text)
    return load(folder / "config.yaml")


def told(folder: Path, text: str, *, everything: bool = False) -> list[str]:
    """Return the problems without the path in front."""
    return [line.removeprefix(f"{folder}/") for line in unready(loaded(folder, text), everything=everything)]


def test_an_unset_variable_is_told_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_TOKEN", raising=False)
    (line,) = told(tmp_path, GITHUB)
    start, _, advice = line.partition("; ")
    assert start == "config.yaml:4:5: collectors.github.token: ${env:ACME_TOKEN} is not set or empty"
    assert advice == "set it, or name another variable or file"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    (line,) = told(tmp_path, GITHUB.replace("${env:ACME_TOKEN}", "${file:token.txt}"))
    assert "4:5: collectors.github.token: " in line
    assert "No such file or directory" in line


def test_a_short_secret_is_refused_and_a_long_one_is_hidden_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_TOKEN", "short77")
    (line,) = told(tmp_path, GITHUB)
    assert "has fewer than 8 characters" in line
    assert "short77" not in line
    monkeypatch.setenv("ACME_TOKEN", "eight#77")
    assert told(tmp_path, GITHUB) == []
    assert (
        redact("refused: eight#77 (eight%2377)") == "refused: [redacted:configured] ([redacted:configured])"
    )


@pytest.mark.parametrize(
    "key", ["not a key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"]
)
def test_a_broken_key_of_an_app_is_told(tmp_path: Path, key: str) -> None:
    (tmp_path / "app.pem").write_text(key)
    text = "collectors:\n  github:\n    app:\n      app_id: 1\n      private_key: ${file:app.pem}\n"
    (line,) = told(tmp_path, text)
    assert line.startswith(
        "config.yaml:5:7: collectors.github.app.private_key: is not an RSA private key in PEM; "
    )


def test_a_profile_that_this_machine_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aws").write_text("[profile audit]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    assert told(tmp_path, "collectors:\n  aws: {profile: audit}\n") == []
    (line,) = told(tmp_path, "collectors:\n  aws: {profile: adit}\n")
    assert line == "config.yaml:2:9: collectors.aws.profile: no profile `adit` in ~/.aws/config; known: audit"


def test_a_ca_bundle_and_in_check_config_a_folder_that_is_missing_are_told(tmp_path: Path) -> None:
    text = "collectors:\n  aws: {ca_bundle: ca.pem}\n  definitions: {paths: [gone]}\n"
    assert len(told(tmp_path, text)) == 1
    assert [line.split(": ")[1] for line in told(tmp_path, text, everything=True)] == [
        "collectors.aws.ca_bundle",
        "collectors.definitions.paths[0]",
    ]


def test_packages_of_an_extra_that_are_not_installed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thing-1.dist-info").mkdir()
    (tmp_path / "thing-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: thing\nVersion: 1\nRequires-Dist: msgspec\n"
        "Requires-Dist: requests>=2; extra == 'aws'\nRequires-Dist: surely-not-there[x]>=2; extra == 'aws'\n"
        "Requires-Dist: not-there-either; extra == 'gcp'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert missing_packages("aws", "thing") == ["surely-not-there"]
    assert missing_packages("aws") == []


def test_names_given_twice_are_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = (
        "collectors:\n  aws: {accounts: ['100000000001', '100000000001']}\n"
        "  github: {organizations: [acme, ACME], token: '${env:T}'}\n"
        "  gitlab: {groups: [lantern/a, lantern/a/], token: '${env:T}'}\n"
    )
    sections = loaded(tmp_path, text).settings.collectors
    assert sections["aws"][0].accounts == ["100000000001"]  # type: ignore[attr-defined]
    assert sections["github"][0].organizations == ("acme",)  # type: ignore[attr-defined]
    assert sections["gitlab"][0].groups == ("lantern/a",)  # type: ignore[attr-defined]
    assert len([record for record in caplog.records if "named more than once" in record.message]) == 3


def test_when_every_target_is_refused_nothing_is_sealed(box: Box) -> None:
    box.configure(names=["a"], denied="a")
    code, _, err = box.run("collect", "--as-of", NIGHT)
    assert code == 2
    assert "nothing could be read" in err
    assert "denied: not for you" in err
    assert list_sealed(box.state / "snapshots") == []


def test_one_target_that_is_refused_costs_itself(box: Box) -> None:
    box.configure(names=["a", "b"], denied="a")
    code, _, err = box.run("collect", "--as-of", NIGHT)
    assert code == 4, err
    assert len(list_sealed(box.state / "snapshots")) == 1


def test_a_reference_of_one_collector_that_cannot_be_resolved_ends_the_run_before_it_begins(box: Box) -> None:
    (box.folder / "config.yaml").write_text(
        json.dumps(
            {
                "collectors": {
                    "made-up": {"names": ["a"]},
                    "github": {"organizations": ["acme"], "token": "${env:SURELY_NOT_SET}"},
                }
            }
        )
    )
    for command in ("run", "check-config"):
        code, _, err = box.run(command)
        assert code == 2, err
        assert "${env:SURELY_NOT_SET} is not set or empty" in err
        assert "Traceback" not in err
    assert list_sealed(box.state / "snapshots") == []
