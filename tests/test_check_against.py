"""``sprawlscan check --against``: what a change to a pipeline does to reach, with the trusts of an earlier night.

The trust policies are AWS's documented forms for GitHub
(https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from scanner.pipeline.outcome import Exit
from scanner.records import Identity
from tests.aws_iam import ACCOUNT, allow, document, facts, records, role
from tests.export_schemas import problems, published
from tests.sealed_night import account, everything, run_of, seal_night
from tests.test_check import checked, checkout, committed, git
from tests.test_cli import call

if TYPE_CHECKING:
    from pathlib import Path

OWNED = f"aws:account:{ACCOUNT}"
ISSUER = "token.actions.githubusercontent.com"
BUILD = """\
on: {push: {branches: [main]}}
permissions: {}
jobs:
  build: {runs-on: ubuntu-24.04, steps: [{run: make}]}
"""
DEPLOY = """\
on: pull_request_target
permissions: {id-token: write}
jobs:
  build: {runs-on: ubuntu-24.04, steps: [{run: make}]}
"""
PUSH = DEPLOY.replace("pull_request_target", "{push: {branches: [main]}}")


def night(state: Path, subject: str) -> Path:
    """Seal a night with an administrator role that trusts this subject of GitHub's."""
    trust = document(
        {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com"},
                "StringLike": {f"{ISSUER}:sub": subject},
            },
        }
    )
    found = records(facts(roles=[role("deploy-prod", allow("*"), trust=trust)]))
    holder = Identity(
        id="aws:iam-role:AROADEPLOY-PROD", provider="aws", account_id=OWNED, surface="workload", kind="iam-role",
        native_id="AROADEPLOY-PROD", name="deploy-prod", address=f"arn:aws:iam::{ACCOUNT}:role/deploy-prod",
    )  # fmt: skip
    place = msgspec.structs.replace(account(), id=OWNED, native_id=ACCOUNT, name="lantern-prod")
    seal_night(state, 1, [place, *everything(OWNED), holder, *found])
    return state / "snapshots" / run_of(1)


def shop(folder: Path, text: str = BUILD) -> Path:
    committed(folder, text)
    git(folder, "remote", "add", "origin", "https://github.com/acme/app.git")
    return folder


def test_a_change_that_lets_outsiders_become_an_administrator_is_told(tmp_path: Path) -> None:
    snapshot = night(tmp_path / "state", "repo:acme/app:*")
    folder = checkout(shop(tmp_path / "app"), DEPLOY)
    code, document = checked(folder, "--base", "main", "--against", snapshot)
    assert code == Exit.FINDINGS
    assert document["against"] == run_of(1)
    (sentence,) = [one["sentence"] for one in document["reach"]]
    assert "can become deploy-prod, which is administrator in lantern-prod" in sentence
    assert "from outside (pull_request_target)" in sentence
    out = call("check", folder, "--base", "main", "--against", snapshot)[1]
    assert f".github/workflows/ci.yml: reach: {sentence}" in out
    document = json.loads(
        call("check", folder, "--base", "main", "--against", snapshot, "--format", "sarif")[1]
    )
    assert problems(published("sarif-2.1.0"), document) == []
    assert sentence in [one["message"]["text"] for one in document["runs"][0]["results"]]
    code, _, err = call("check", folder / ".github", "--against", snapshot)
    assert (code, "needs the whole checkout" in err) == (Exit.USAGE, True), (
        "its tokens are not known from a part"
    )
    gitlab = call("check", folder, "--base", "main", "--against", snapshot, "--format", "gitlab")[1]
    assert sentence in gitlab


@pytest.mark.parametrize(
    ("subject", "before", "after"),
    [
        ("repo:acme/other:*", BUILD, DEPLOY),
        ("repo:acme/app:environment:production", BUILD, DEPLOY),
        ("repo:acme/app:*", PUSH, PUSH.replace("make", "make all")),
        ("repo:acme/app:*", DEPLOY, BUILD),
    ],
    ids=["another repository", "another subject", "nothing that reach rests on", "access that ends"],
)
def test_what_a_change_does_not_bring_is_not_told(
    tmp_path: Path, subject: str, before: str, after: str
) -> None:
    snapshot = night(tmp_path / "state", subject)
    folder = checkout(shop(tmp_path / "app", before), after)
    assert checked(folder, "--base", "main", "--against", snapshot)[1]["reach"] == []


def test_outsiders_who_come_to_what_only_members_had_are_new(tmp_path: Path) -> None:
    snapshot = night(tmp_path / "state", "repo:acme/app:*")
    folder = checkout(shop(tmp_path / "app", PUSH), DEPLOY)
    (one,) = checked(folder, "--base", "main", "--against", snapshot)[1]["reach"]
    assert one["outsiders"] == ["pull_request_target"]


def test_a_snapshot_that_was_changed_is_refused(tmp_path: Path) -> None:
    snapshot = night(tmp_path / "state", "repo:acme/app:*")
    next((snapshot / "trusts").glob("*.parquet")).write_bytes(b"PAR1")
    code, _, err = call("check", shop(tmp_path / "app"), "--against", snapshot)
    assert (code, "differs from the manifest" in err) == (Exit.INTERNAL, True)
