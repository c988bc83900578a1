"""Every documented way to administrator in an AWS account is a finding, however exact its ARNs, and its look-alike is none.

The ways are those of https://pathfinding.cloud and https://github.com/BishopFox/iam-vulnerable. Each has a look-alike in the
same account that lacks one thing; both go from the policies through the evaluator and the analysis to the findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from scanner.night import open_night
from scanner.records import Account
from tests.aws_iam import (
    ACCOUNT,
    ADMINISTRATOR,
    ROOT,
    allow,
    arn,
    compute,
    deny,
    facts,
    group,
    policy,
    records,
    role,
    trusting,
    user,
)
from tests.sealed_night import analyzed, everything, run_of

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE = {"Service": "lambda.amazonaws.com"}
RULE = "identity-reaches-admin"
FUNCTION = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:"


def _service(name: str) -> dict[str, Any]:
    return trusting({"Service": f"{name}.amazonaws.com"})


USERS = [
    user("boss", managed=(ADMINISTRATOR,)),
    user("plain"),
    user("key", allow("iam:CreateAccessKey", arn("user", "boss"))),
    user("key-of-plain", allow("iam:CreateAccessKey", arn("user", "plain"))),
    user("key-denied", allow("iam:CreateAccessKey"), deny("iam:CreateAccessKey", arn("user", "boss"))),
    user("password", allow("iam:UpdateLoginProfile", arn("user", "boss"))),
    user("attach", allow("iam:AttachUserPolicy", arn("user", "attach"))),
    user("attach-other", allow("iam:AttachUserPolicy", arn("user", "plain"))),
    user("joins", allow("iam:AddUserToGroup", arn("group", "admins"))),
    user("joins-plain", allow("iam:AddUserToGroup", arn("group", "readers"))),
    user("version", managed=(arn("policy", "own"),)),
    user("version-other", allow("iam:CreatePolicyVersion", arn("policy", "loose"))),
    user("assumes", allow("sts:AssumeRole", arn("role", "open"))),
    user("assumes-closed", allow("sts:AssumeRole", arn("role", "closed"))),
    user("named"),
    user("start", allow("sts:AssumeRole", arn("role", "middle"))),
    user("passes", allow("iam:PassRole", arn("role", "closed")), allow(["lambda:CreateFunction", "lambda:InvokeFunction"])),
    user("passes-only", allow("iam:PassRole", arn("role", "closed"))),
    user("passes-wrong", allow("iam:PassRole", arn("role", "closed")), allow("ec2:RunInstances")),
    user("code", allow("lambda:UpdateFunctionCode", FUNCTION + "strong")),
    user("code-weak", allow("lambda:UpdateFunctionCode", FUNCTION + "weak")),
    user("guarded", allow(["iam:PutRolePolicy", "sts:AssumeRole"]), {"Effect": "Deny", "Action": "*", "NotResource": arn("role", "app-*")}),
    user("reads", allow("s3:GetObject")),
]  # fmt: skip
ROLES = [
    role("open", managed=(ADMINISTRATOR,), trust=trusting(ROOT)),
    role("closed", managed=(ADMINISTRATOR,), trust=trusting(SERVICE)),
    role("to-named", managed=(ADMINISTRATOR,), trust=trusting({"AWS": arn("user", "named")})),
    role("middle", allow("sts:AssumeRole", arn("role", "open")), trust=trusting(ROOT)),
    role("put", allow("iam:PutRolePolicy", arn("role", "put")), trust=_service("ec2")),
    role("bounded", allow("iam:PutRolePolicy", arn("role", "bounded")), trust=_service("ec2"), boundary=arn("policy", "narrow")),
    role("weak", allow("s3:GetObject"), trust=trusting(SERVICE)),
]  # fmt: skip
GROUPS = [group("admins", managed=(ADMINISTRATOR,)), group("readers", allow("s3:GetObject"))]
POLICIES = [
    policy("own", allow("iam:CreatePolicyVersion", arn("policy", "own"))),
    policy("loose", allow("s3:GetObject")),
    policy("narrow", allow("s3:*")),
    {
        "PolicyName": "AdministratorAccess",
        "Arn": ADMINISTRATOR,
        "PolicyVersionList": [
            {
                "VersionId": "v1",
                "IsDefaultVersion": True,
                "Document": {"Version": "2012-10-17", "Statement": [allow("*")]},
            }
        ],
    },
]
FOUND = {
    "key",
    "password",
    "attach",
    "joins",
    "version",
    "assumes",
    "named",
    "middle",
    "passes",
    "code",
    "put",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Any]]:
    """Return the findings by name of identity."""
    account = facts(
        users=USERS,
        roles=ROLES,
        groups=GROUPS,
        policies=POLICIES,
        compute=[
            compute("lambda-function", FUNCTION + "strong", "closed"),
            compute("lambda-function", FUNCTION + "weak", "weak"),
        ],
    )
    owner = Account(
        id=account.account_ref,
        provider="aws",
        account_id=account.account_ref,
        kind="aws-account",
        native_id=ACCOUNT,
        name="production",
    )
    people = [
        msgspec.structs.replace(one, surface="human") if one.name == "assumes" else one
        for one in account.identities
    ]
    state = tmp_path_factory.mktemp("ways")
    listed = everything(account.account_ref)
    analyzed(state, 1, [owner, *people, *account.policies, *records(account), *listed], enabled=(RULE,))
    with open_night(state, run_of(1)) as opened:
        rows = opened.dicts(f"SELECT * FROM findings WHERE rule = '{RULE}'")
        return {row["identity_name"]: row for row in rows}


def test_each_way_is_a_finding_and_its_look_alike_is_none(found: Mapping[str, Mapping[str, Any]]) -> None:
    """No exact ARN, trust or chain hides a way; what lacks one thing is quiet."""
    assert set(found) == FOUND


def test_the_severity_is_that_of_what_is_reached(found: Mapping[str, Mapping[str, Any]]) -> None:
    """A step to administrator is high; a person who signs in to a role of administrator, as is often meant, is medium."""
    assert {name for name, row in found.items() if row["severity"] == "medium"} == {"assumes"}
    assert {row["severity"] for name, row in found.items() if name != "assumes"} == {"high"}


def test_a_chain_is_one_finding_where_its_last_step_begins(found: Mapping[str, Mapping[str, Any]]) -> None:
    """The finding names everyone who starts that way."""
    assert "start" not in found
    assert found["middle"]["detail"].endswith("1 more identity starts this way: start")
