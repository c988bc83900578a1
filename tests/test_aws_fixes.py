"""Every proposed change ends every way of its holder, or says that more remain: tried here by a whole new evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.aws_iam import (
    ADMINISTRATOR,
    account,
    allow,
    arn,
    deny,
    escalates,
    facts,
    policy,
    role,
    trusting,
    user,
)
from tests.test_aws_escalation import HOLDER, PATHS, Case

if TYPE_CHECKING:
    from collectors.aws.evaluator.cuts import TriedRemovals

SERVICE = trusting({"Service": "lambda.amazonaws.com"})


def _denies(fix: TriedRemovals) -> list[dict[str, Any]]:
    return [deny(list(cut.actions or ("sts:AssumeRole",)), cut.resource) for cut in (fix.first, *fix.others)]


def _account(*statements: dict[str, Any]) -> Any:
    return facts(
        users=[user("boss", managed=(ADMINISTRATOR,)), user("chief", managed=(ADMINISTRATOR,)), user("ci", *statements)],
        roles=[role("one", managed=(ADMINISTRATOR,), trust=SERVICE), role("two", managed=(ADMINISTRATOR,), trust=SERVICE)],
        policies=[{**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR}],
    )  # fmt: skip


def _fix(of: Any, name: str) -> TriedRemovals:
    evaluated = account(of)
    return evaluated.cuts(evaluated.hits[name][0], evaluated.by_arn[name])


@pytest.mark.parametrize("path_id", [path.id for path in PATHS.values() if path.requires is None])
def test_the_fix_of_each_path_ends_it(path_id: str) -> None:
    case = Case(PATHS[path_id])
    fix = _fix(case.facts(case.steps()), case.holder)
    assert fix.complete
    assert not escalates(case.facts([*case.steps(), *_denies(fix)]), HOLDER)


KEY = "iam:CreateAccessKey"
CALL = ["lambda:CreateFunction", "lambda:InvokeFunction"]


@pytest.mark.parametrize(
    ("statements", "text"),
    [
        ([allow(KEY, arn("user", "boss"))], f"Remove {KEY} on {arn('user', 'boss')}."),
        ([allow(KEY)], f"Remove {KEY}."),
        ([allow(KEY, [arn("user", "boss"), arn("user", "chief")])], f"Remove {KEY}."),
        (
            [allow([KEY, "iam:UpdateLoginProfile"], arn("user", "boss"))],
            f"Remove {KEY} on {arn('user', 'boss')}. That leaves another way: remove also iam:UpdateLoginProfile on {arn('user', 'boss')}.",
        ),
        ([allow("iam:PassRole", arn("role", "*")), allow(CALL)], "Remove iam:PassRole."),
        ([allow("iam:PassRole", arn("role", "one")), allow(CALL)], f"Remove iam:PassRole on {arn('role', 'one')}."),
        (
            [allow(["iam:AttachUserPolicy", "iam:PutUserPolicy"], arn("user", "ci"))],
            f"Remove iam:AttachUserPolicy on {arn('user', 'ci')}. That leaves another way: remove also iam:PutUserPolicy on {arn('user', 'ci')}.",
        ),
    ],
)  # fmt: skip
def test_what_the_fix_names(statements: list[dict[str, Any]], text: str) -> None:
    """Every target, and every other way that the same holder has."""
    of = _account(*statements)
    fix = _fix(of, arn("user", "ci"))
    assert (str(fix), fix.complete) == (text, True)
    assert escalates(of, "ci")
    assert not escalates(_account(*statements, *_denies(fix)), "ci")


def test_a_role_that_names_the_holder_must_forget_it() -> None:
    """No policy of the holder allows it, so that none can be changed."""
    power = role("power", managed=(ADMINISTRATOR,), trust=trusting({"AWS": arn("user", "ci")}))
    of = facts(users=[user("ci")], roles=[power], policies=[{**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR}])  # fmt: skip
    assert str(_fix(of, arn("user", "ci"))) == "Remove this identity from the trust policy of power."
