"""Labeled definitions after public corpora: every planted weakness is reported, and no look-alike is.

The cases were written for this project; ``source`` in each file of ``tests/data/labeled_workflows`` names the
public material whose labels they follow. Print recall and false alarms by code with
``python -m tests.test_labeled_workflows``.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from collectors.definitions import parse
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent / "data" / "labeled_workflows"
SHA = "11bd71901bbe5b1630ceea73d27597364c9af683"
FP = Fingerprint(b"test-key")


class Case:
    """One definition with the codes that it must and must not show."""

    def __init__(self, family: str, fields: dict[str, object], code: object, vulnerable: bool) -> None:
        self.id = f"{family}/{'vulnerable' if vulnerable else 'sound'}/{fields['id']}"
        self.path = str(fields.get("file", ".github/workflows/ci.yml"))
        self.text = _text(fields).replace("SHA40", SHA)
        named = _names(fields, "present" if vulnerable else "absent") or ([code] if code else [])
        self.codes = [str(name) for name in [*named, *_names(fields, "also")]]
        self.vulnerable = vulnerable

    def found(self) -> set[str]:
        """Return the codes that the parser reports."""
        return {problem.code for problem in parse(self.path, self.text, FP, owner="lanternpay").problems}


def _names(fields: dict[str, object], key: str) -> list[object]:
    names = fields.get(key)
    return list(names) if isinstance(names, list) else []


def _text(fields: dict[str, object]) -> str:
    """Return the whole text, or a workflow of one job around the steps that are given."""
    if "text" in fields:
        return str(fields["text"])
    lines = [
        f"on: {fields.get('on', 'push')}",
        f"permissions: {fields.get('permissions', '{}')}",
        "jobs:",
        "  job:",
        f"    runs-on: {fields.get('runs-on', 'ubuntu-24.04')}",
    ]
    if "job" in fields:
        lines.append(f"    {fields['job']}")
    lines.append("    steps:")
    lines += [f"      {line}" for line in str(fields["steps"]).split("\n")]
    return "\n".join(lines) + "\n"


def cases() -> list[Case]:
    """Return every labeled case, in the order of files."""
    return [
        Case(path.stem, fields, content.get("code"), vulnerable)
        for path in sorted(FOLDER.glob("*.yaml"))
        for content in [YAML(typ="safe").load(path.read_text(encoding="utf-8"))]
        for vulnerable in (True, False)
        for fields in content["vulnerable" if vulnerable else "sound"]
    ]


CASES = cases()


def test_the_set_is_whole() -> None:
    assert sum(case.vulnerable for case in CASES) >= 80
    assert sum(not case.vulnerable for case in CASES) >= 50
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(case.codes for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_labeled_definition(case: Case) -> None:
    found = case.found()
    if case.vulnerable:
        assert set(case.codes) <= found
    else:
        assert not set(case.codes) & found


@pytest.mark.parametrize(
    "script",
    [
        "; a=a" * 40_000,
        "do/" * 66_000,
        "npm publish;" * 16_000,
        "echo " + "-a " * 60_000 + " $GITHUB_ENV",
        "echo " + "> " * 90_000 + ">> $GITHUB_ENV",
        "npm " + "-r=-r " * 30_000,
        "npm" + " " * 190_000 + "x",
        "\n          ".join(f"X{n}=$(curl https://example.com/{n})" for n in range(3_000)),
        "\n          ".join(f"curl -o f{n} https://example.com/{n}" for n in range(3_000)),
        "\n          ".join(f'echo "a{n}=$(cat f{n})" >> $GITHUB_OUTPUT' for n in range(3_000)),
        "git log %h " * 12_000 + ">> $GITHUB_ENV",
    ],
    ids=[
        "assignments",
        "paths",
        "commands",
        "options",
        "signs",
        "registries",
        "blanks",
        "held",
        "saved",
        "written",
        "history",
    ],
)
def test_a_hostile_script_costs_little(script: str) -> None:
    text = f"on: pull_request_target\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          {script}\n"
    start = time.process_time()
    parse(".github/workflows/ci.yml", text, FP)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "jobs",
    [
        "".join(
            f"  j{n}:\n    needs: [{', '.join(f'j{k}' for k in range(max(0, n - 30), n))}]\n    if: github.actor == 'x'\n"
            f"    runs-on: x\n    outputs: {{x: '${{{{ needs.j{max(0, n - 1)}.outputs.x }}}}'}}\n    steps:\n"
            f"      - uses: actions/checkout@v4\n        with: {{ref: '${{{{ github.head_ref }}}}'}}\n"
            for n in range(300)
        ),
        "  a:\n    runs-on: x\n    steps:\n"
        + "".join(
            f"      - id: s{n}\n        run: echo x=${{{{ steps.s{n + 1}.outputs.x }}}} >> $GITHUB_OUTPUT\n"
            for n in range(3_000)
        ),
        "  a:\n    runs-on: x\n    steps:\n"
        + "".join(
            f"      - run: echo A{n}=$B >> $GITHUB_ENV\n      - run: echo ${{{{ env.Z{n} }}}}\n"
            for n in range(1_000)
        ),
        (
            f"  a:\n    runs-on: x\n    if: {'(' * 3_000}github.actor == 'x'{')' * 3_000}\n    steps:\n"
            "      - uses: actions/checkout@v4\n        with: {ref: '${{ github.head_ref }}'}\n"
        ),
    ],
    ids=["needs", "outputs", "variables", "brackets"],
)
def test_a_hostile_workflow_costs_little(jobs: str) -> None:
    start = time.process_time()
    parse(".github/workflows/ci.yml", f"on: pull_request_target\njobs:\n{jobs}", FP)
    assert time.process_time() - start < 10


ROLE = "arn:aws:iam::200000000002:role/deploy"


@pytest.mark.parametrize(
    ("job", "steps", "expected"),
    [
        ("", f"- run: aws sts assume-role-with-web-identity --role-arn {ROLE} --role-session-name x", ROLE),
        (f"env: {{AWS_ROLE_ARN: '{ROLE}', AWS_WEB_IDENTITY_TOKEN_FILE: /tmp/t}}", "- run: aws s3 ls", ROLE),
        ("env: {ARM_USE_OIDC: true, ARM_CLIENT_ID: abc}", "- run: terraform apply", "abc"),
        (
            "",
            (
                "- uses: aws-actions/configure-aws-credentials@v4\n  with:\n"
                f"    role-to-assume: ${{{{ github.ref == 'x' && '{ROLE}' || '{ROLE}-test' }}}}"
            ),
            f"{ROLE} {ROLE}-test",
        ),
    ],
    ids=["command", "aws variables", "azure variables", "choice"],
)
def test_federated_sign_ins_outside_login_actions(job: str, steps: str, expected: str) -> None:
    fields: dict[str, object] = {"steps": steps, "permissions": "{id-token: write}"}
    text = _text({**fields, "job": job} if job else fields)
    logins = parse(".github/workflows/ci.yml", text, FP).logins
    assert [(login.how, " ".join(login.targets), login.token_allowed) for login in logins] == [
        ("oidc", expected, True)
    ]


def rates() -> Iterator[tuple[str, str]]:
    """Yield code and its recall and false alarms as text."""
    planted: Counter[str] = Counter()
    told: Counter[str] = Counter()
    alike: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    for case in CASES:
        found = case.found()
        for code in case.codes:
            (planted if case.vulnerable else alike)[code] += 1
            if code in found:
                (told if case.vulnerable else alarms)[code] += 1
    for code in sorted(planted | alike):
        yield code, f"told {told[code]} of {planted[code]}, false alarms {alarms[code]} of {alike[code]}"
    yield (
        "all",
        (f"told {told.total()} of {planted.total()}, false alarms {alarms.total()} of {alike.total()}"),
    )


if __name__ == "__main__":
    for name, figures in rates():
        print(f"{name:34} {figures}")  # noqa: T201  this is what it is run for
