"""Guard rails in the form of a Deny with NotResource leave only what they name.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notresource.html
"""

from __future__ import annotations

from typing import Any

import pytest

from collectors.aws.evaluator.conditions import Truth
from collectors.aws.evaluator.effective import effective_actions
from tests.aws_iam import (
    ADMINISTRATOR,
    AS_OF,
    allow,
    arn,
    deny,
    document,
    escalates,
    facts,
    gaps,
    grants,
    links,
    role,
    user,
)

APPS = arn("role", "app-*")
PUT = "iam:PutRolePolicy"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
GUARD = {"Effect": "Deny", "Action": "iam:*", "NotResource": APPS}


def left(*statements: dict[str, Any], scp: dict[str, Any] | None = None) -> set[tuple[str, str, Truth]]:
    scps = [[document(allow("*"), scp)]] if scp else []
    return set(effective_actions(identity=[document(*statements)], as_of=AS_OF, scps=scps))


@pytest.mark.parametrize(
    ("allowed", "guard", "remains"),
    [
        (allow(PUT), GUARD, {APPS}),
        (allow(PUT, arn("role", "*")), GUARD, {APPS}),
        (allow(PUT, arn("role", "app-web")), GUARD, {arn("role", "app-web")}),
        (allow(PUT, arn("role", "boss")), GUARD, set()),
        (allow(PUT), {**GUARD, "Action": "s3:*"}, {"*"}),
        (allow(PUT), {"Effect": "Deny", "NotAction": "s3:*", "NotResource": APPS}, {APPS}),
        (allow(PUT), {**GUARD, "NotResource": [APPS, arn("role", "job-*")]}, {APPS, arn("role", "job-*")}),
        (allow("secretsmanager:GetSecretValue"), {**GUARD, "Action": "*", "NotResource": SECRET + "app-*"}, {SECRET + "app-*"}),
    ],
)  # fmt: skip
def test_what_a_guard_spares(allowed: dict[str, Any], guard: dict[str, Any], remains: set[str]) -> None:
    """In the identity's own policy and in a service control policy alike."""
    assert {resource for _, resource, _ in left(allowed, guard)} == remains
    assert {resource for _, resource, _ in left(allowed, scp=guard)} == remains


def test_a_guard_under_a_condition_leaves_everything_in_doubt() -> None:
    """The spared part is as certain as before."""
    guard = {**GUARD, "Condition": {"StringNotEquals": {"aws:PrincipalTag/team": "platform"}}}
    found = {resource: truth for _, resource, truth in left(allow(PUT), guard)}
    assert found[APPS] is Truth.YES
    assert found["*"] is not Truth.YES


def test_the_grant_names_what_is_left() -> None:
    """Not the pattern of the Allow."""
    holder = user("ci", allow(PUT), GUARD)
    (grant,) = grants(facts(users=[holder], roles=[role("app-web"), role("boss")]), "ci")
    assert grant.resource == APPS


def test_a_deny_of_every_role_is_no_administrator() -> None:
    """A Deny that names only some identities takes these away."""
    everything = [allow(["iam:AttachRolePolicy", "iam:CreateRole"]), allow("s3:*")]
    account = facts(
        users=[user("all", *everything), user("none", *everything, deny("iam:*", arn("role", "*")))]
    )
    assert escalates(account, "all")
    assert not escalates(account, "none")


TAGGED = {"StringEquals": {"aws:ResourceTag/team": "x"}}


@pytest.mark.parametrize("administrators", [2, 41, 300])
def test_the_last_of_many_is_found(administrators: int) -> None:
    """Only the last administrator has the tag that the policy asks for."""
    people = [
        user(
            f"a{number}", managed=(ADMINISTRATOR,), tags={"team": "x"} if number == administrators - 1 else {}
        )
        for number in range(administrators)
    ]
    account = facts(
        users=[
            *people,
            user("ci", allow("iam:CreateAccessKey", Condition=TAGGED)),
            user("other", allow("s3:GetObject")),
        ],
        policies=[
            {
                "PolicyName": "AdministratorAccess",
                "Arn": ADMINISTRATOR,
                "PolicyVersionList": [
                    {"VersionId": "v1", "IsDefaultVersion": True, "Document": document(allow("*"))}
                ],
            }
        ],
    )
    assert {link.source_id.rpartition(":")[2] for link in links(account)} == {"AIDACI"}
    assert not gaps(account)


def test_what_was_not_checked_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound, confidence is low and a gap names the identity."""
    monkeypatch.setattr("collectors.aws.evaluator.escalation.MOST_LOOKED_AT", 5)
    people = [user(f"a{number}", allow("*")) for number in range(9)]
    account = facts(users=[*people, user("ci", allow("iam:CreateAccessKey", Condition=TAGGED))])
    (gap,) = gaps(account)
    assert (gap.reason, gap.table) == ("truncated", "grants")
    assert "ci" in gap.detail
    assert {grant.confidence for grant in grants(account, "ci")} == {"low"}
