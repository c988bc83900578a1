"""``sprawlscan check``: one checkout in a pull request, its places, its formats, and what only a change brings."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from scanner.check.ignore_comments import IgnoreComment, InvalidComment, ignore_comments
from scanner.pipeline.outcome import Exit
from tests.export_schemas import junit_problems, problems, published
from tests.test_cli import call

if TYPE_CHECKING:
    from pathlib import Path

INJECTION = "workflow-script-injection"
SOUND = """\
on: pull_request
permissions: {}
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - run: make test
"""
TITLE = "      - run: echo ${{ github.event.issue.title }}\n"
BODY = "      - run: echo ${{ github.event.issue.body }}\n"
"""The examples of GitHub's own guide: https://docs.github.com/en/actions/concepts/security/script-injections"""


def checkout(folder: Path, text: str, name: str = ".github/workflows/ci.yml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return folder


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.email=a@example.com", "-c", "user.name=a", "-C", str(folder), *arguments],
        check=True, capture_output=True,
    )  # fmt: skip


def committed(folder: Path, text: str) -> Path:
    """Make a checkout whose branch ``main`` has this workflow, and whose branch ``change`` is checked out."""
    checkout(folder, text)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    git(folder, "checkout", "-q", "-b", "change")
    return folder


def checked(*arguments: object) -> tuple[int, dict[str, Any]]:
    code, out, err = call("check", *arguments, "--format", "json")
    assert out, err
    return code, json.loads(out)


def found(document: dict[str, Any]) -> list[tuple[str, str | None, int | None]]:
    return [(one["rule"], one["path"], one["line"]) for one in document["findings"]]


def test_a_sound_checkout_is_silent(tmp_path: Path) -> None:
    code, document = checked(checkout(tmp_path, SOUND))
    assert (code, document["findings"], document["not_read"]) == (Exit.OK, [], [])


def test_each_place_is_told_with_its_line_and_the_smallest_change(tmp_path: Path) -> None:
    code, out, _ = call("check", checkout(tmp_path, SOUND + TITLE + BODY))
    assert code == Exit.FINDINGS
    assert ".github/workflows/ci.yml:8: high: Script injection in workflow" in out
    assert ".github/workflows/ci.yml:9: high: Script injection in workflow" in out
    assert "    | - run: echo ${{ github.event.issue.title }}" in out
    assert "    Fix: Pass the expression through `env:`" in out
    assert out.rstrip().endswith("2 found: 2 high")


def test_one_file_and_a_folder_name_the_same_places(tmp_path: Path) -> None:
    checkout(tmp_path, SOUND + TITLE)
    (tmp_path / ".git").mkdir()
    expected = [(INJECTION, ".github/workflows/ci.yml", 8)]
    assert found(checked(tmp_path / ".github/workflows/ci.yml")[1]) == expected
    assert found(checked(tmp_path)[1]) == expected


def test_only_what_the_change_brings_is_told(tmp_path: Path) -> None:
    folder = committed(tmp_path / "shop", SOUND + TITLE)
    assert checked(folder, "--base", "main")[1]["findings"] == []
    # Lines move, and the same weakness stands there a second time.
    moved = SOUND.replace("permissions", "# why\npermissions")
    checkout(folder, moved + TITLE + BODY + TITLE)
    code, document = checked(folder, "--base", "main")
    assert code == Exit.FINDINGS
    assert found(document) == [
        (INJECTION, ".github/workflows/ci.yml", 10),
        (INJECTION, ".github/workflows/ci.yml", 11),
    ]


def test_a_file_that_is_renamed_brings_nothing_but_what_is_added_to_it(tmp_path: Path) -> None:
    folder = committed(tmp_path / "shop", SOUND + TITLE)
    (folder / ".github/workflows/ci.yml").rename(folder / ".github/workflows/build.yml")
    assert checked(folder, "--base", "main")[1]["findings"] == []
    checkout(folder, SOUND + TITLE + BODY, ".github/workflows/build.yml")
    assert found(checked(folder, "--base", "main")[1]) == [(INJECTION, ".github/workflows/build.yml", 9)]


def test_a_weakness_that_moves_to_a_file_that_was_there_is_new(tmp_path: Path) -> None:
    folder = committed(tmp_path / "shop", SOUND + TITLE)
    checkout(folder, SOUND, ".github/workflows/other.yml")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "two")
    git(folder, "branch", "-f", "main")
    checkout(folder, SOUND)
    checkout(folder, SOUND + TITLE, ".github/workflows/other.yml")
    assert found(checked(folder, "--base", "main")[1]) == [(INJECTION, ".github/workflows/other.yml", 8)]


def test_what_the_other_branch_has_since_is_not_the_change(tmp_path: Path) -> None:
    folder = committed(tmp_path / "shop", SOUND + TITLE)
    git(folder, "checkout", "-q", "main")
    checkout(folder, SOUND)
    git(folder, "commit", "-qam", "mended")
    git(folder, "checkout", "-q", "change")
    assert checked(folder, "--base", "main")[1]["findings"] == []


def test_nothing_of_the_repository_runs_when_its_base_is_read(tmp_path: Path) -> None:
    folder = committed(tmp_path / "shop", SOUND)
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    program.chmod(0o700)
    for key in (
        "core.fsmonitor",
        "filter.x.smudge",
        "filter.x.process",
        "diff.external",
        "core.pager",
        "uploadpack.packObjectsHook",
    ):
        git(folder, "config", key, str(program))
    (folder / ".gitattributes").write_text("* filter=x export-ignore\n")
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        (folder / ".git/hooks" / hook).write_text(program.read_text())
        (folder / ".git/hooks" / hook).chmod(0o700)
    checkout(folder, SOUND + TITLE)
    assert found(checked(folder, "--base", "main")[1]) == [(INJECTION, ".github/workflows/ci.yml", 8)]
    assert not ran.exists()


@pytest.mark.parametrize(
    ("revision", "said"),
    [("nowhere", "no such commit"), ("--output=x", "no such commit"), ("main:a", "no such commit")],
)
def test_a_base_that_is_no_commit_is_refused(tmp_path: Path, revision: str, said: str) -> None:
    code, _, err = call("check", committed(tmp_path / "shop", SOUND), f"--base={revision}")
    assert code == Exit.USAGE
    assert said in err


def test_a_base_needs_a_checkout(tmp_path: Path) -> None:
    code, _, err = call("check", checkout(tmp_path, SOUND), "--base", "main")
    assert (code, "is in no git checkout" in err) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("comment", "silent"),
    [
        (f"# sprawlscan: ignore {INJECTION} until 2026-12-31: the step before checks it", True),
        (f"# sprawlscan: ignore {INJECTION} until 2026-11-01: it ended", False),
        ("# sprawlscan: ignore unpinned-action-or-image until 2026-12-31: another rule", False),
        (f"# sprawlscan: ignore {INJECTION}", False),
    ],
)
def test_a_comment_accepts_one_rule_until_a_day(tmp_path: Path, comment: str, *, silent: bool) -> None:
    folder = checkout(tmp_path, f"{SOUND}      {comment}\n{TITLE}")
    code, document = checked(folder, "--as-of", "2026-11-23T02:00:00")
    assert code == (Exit.OK if silent else Exit.FINDINGS)
    assert len(document["ignored"]) == silent
    assert bool(document["problems"]) == (not silent and "unpinned" not in comment)


def test_comments_are_read_in_their_form_only() -> None:
    lines = [
        "# sprawlscan: ignore a-rule until 2027-02-30: no such day",
        "// sprawlscan: ignore a-rule until 2027-02-28: why not",
        "ignore",
    ]
    first, second = ignore_comments(lines)
    assert isinstance(first, InvalidComment)
    assert isinstance(second, IgnoreComment)
    assert (second.line, second.rule, second.reason) == (2, "a-rule", "why not")


def test_what_is_not_read_is_told(tmp_path: Path) -> None:
    checkout(tmp_path, SOUND)
    checkout(tmp_path, "on: [push\njobs: {", ".github/workflows/broken.yml")
    code, document = checked(tmp_path)
    assert code == Exit.COVERAGE
    checkout(tmp_path, SOUND + TITLE)
    assert checked(tmp_path)[0] == Exit.COVERAGE
    assert [(one["reason"], "broken.yml" in one["what"]) for one in document["not_read"]] == [
        ("malformed", True)
    ]


def test_a_secret_is_redacted_in_every_format(tmp_path: Path) -> None:
    secret = f"ghp_{'a1B2c3D4e5' * 3}123456"
    folder = checkout(tmp_path, f"{SOUND}        env:\n          GH_TOKEN: {secret}\n")
    for form in ("text", "json", "sarif", "github", "gitlab", "junit"):
        _, out, err = call("check", folder, "--format", form)
        assert secret not in out + err, form


def test_sarif_and_junit_are_as_published(tmp_path: Path) -> None:
    folder = checkout(tmp_path, SOUND + TITLE + TITLE)
    document = json.loads(call("check", folder, "--format", "sarif")[1])
    assert problems(published("sarif-2.1.0"), document) == []
    (run,) = document["runs"]
    assert [one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in run["results"]] == [
        8,
        9,
    ]
    assert len({one["partialFingerprints"]["primaryLocationLineHash"] for one in run["results"]}) == 2
    assert "github.event.issue.title }}" not in json.dumps(document), "nothing of a file is quoted"
    xml = call("check", folder, "--format", "junit")[1]
    assert list(junit_problems(ET.fromstring(xml))) == []


def test_a_code_quality_report_has_the_fields_that_gitlab_reads(tmp_path: Path) -> None:
    document = json.loads(call("check", checkout(tmp_path, SOUND + TITLE + TITLE), "--format", "gitlab")[1])
    assert len({one["fingerprint"] for one in document}) == 2
    for one in document:
        assert {"description", "check_name", "fingerprint", "severity", "location"} <= set(one)
        assert one["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert one["location"]["lines"]["begin"] in (8, 9)


def test_a_name_from_a_file_is_no_command_of_a_build_server(tmp_path: Path) -> None:
    folder = tmp_path / "::set-env name=A::b,c"
    checkout(
        folder, SOUND + TITLE, "::warning::x/.github/workflows/##vso[task.setvariable]a ##[add-mask]a,b:c.yml"
    )
    for form in ("text", "github"):
        lines = call("check", folder, "--format", form)[1].splitlines()
        commands = [line for line in lines if line.lstrip().startswith("::")]
        assert all(line.startswith("::error file=") for line in commands)
        assert len(commands) == (form == "github")
        assert form == "github" or not any("##vso[" in line or "##[" in line for line in lines)
        if form == "github":
            assert "file=%3A%3Awarning%3A%3Ax/" in commands[0]
            assert "a%2Cb%3Ac.yml" in commands[0]


def test_options_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = checkout(tmp_path, SOUND)
    for option in ("--format", "--severity", "--fail-on"):
        code, _, err = call("check", folder, option, "nonsense")
        assert (code, "use one of" in err) == (Exit.USAGE, True)
    assert call("check", tmp_path / "nothing")[0] == Exit.USAGE
    assert call("check", folder, "--against", tmp_path)[0] == Exit.USAGE


def test_severity_hides_and_fail_on_decides(tmp_path: Path) -> None:
    folder = checkout(tmp_path, SOUND + TITLE)
    assert call("check", folder, "--fail-on", "critical")[0] == Exit.OK
    assert call("check", folder, "--fail-on", "never")[0] == Exit.OK
    code, document = checked(folder, "--severity", "critical")
    assert (code, document["findings"]) == (Exit.FINDINGS, [])
