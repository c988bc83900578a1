"""Names of other partitions: the service principals of AWS China end in ``.cn``.

https://docs.amazonaws.cn/en_us/aws/latest/userguide/iam.html
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore
import pytest

from collectors.aws.evaluator.partitions import partitions, service_principal
from tests.aws_iam import (
    ADMINISTRATOR,
    allow,
    arn,
    escalates,
    facts,
    grants,
    policy,
    role,
    trusting,
    trusts,
    user,
)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("ec2.amazonaws.com", "ec2.amazonaws.com"),
        ("EC2.amazonaws.com.cn", "ec2.amazonaws.com"),
        ("ec2.cn-north-1.amazonaws.com.cn", "ec2.amazonaws.com"),
        ("states.us-gov-west-1.amazonaws.com", "states.amazonaws.com"),
        ("ec2.c2s.ic.gov", "ec2.amazonaws.com"),
        ("ec2.amazonaws.eu", "ec2.amazonaws.com"),
        ("states.eusc-de-east-1.amazonaws.eu", "states.amazonaws.com"),
        ("cognito-identity-us-gov.amazonaws.com", "cognito-identity.amazonaws.com"),
        ("cognito-identity.cn-north-1.amazonaws.com.cn", "cognito-identity.amazonaws.com"),
        ("tasks.apprunner.amazonaws.com", "tasks.apprunner.amazonaws.com"),
        ("ec2.example.com", "ec2.example.com"),
    ],
)
def test_service_principals(name: str, plain: str) -> None:
    """One name for one service, whatever the partition or region."""
    assert service_principal(name) == plain


def _in_china(value: Any) -> Any:
    text = json.dumps(value, default=str).replace("arn:aws:", "arn:aws-cn:")
    return json.loads(text.replace('.amazonaws.com"', '.amazonaws.com.cn"'))


@pytest.mark.parametrize(
    ("service", "condition", "found"),
    [
        ("ec2", None, True),
        ("ec2", {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}, True),
        ("ec2", {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}, False),
        ("lambda", None, False),
    ],
)
def test_a_role_is_passed_to_a_service_in_china(service: str, condition: Any, found: bool) -> None:
    """PassRole and RunInstances with a role of an administrator, and look-alikes."""
    more = {"Condition": condition} if condition else {}
    passing = user("ci", allow("iam:PassRole", arn("role", "power"), **more), allow("ec2:RunInstances"))
    power = role("power", allow("*"), trust=trusting({"Service": f"{service}.amazonaws.com"}))
    everything = {**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR}
    account = facts(
        users=_in_china([passing]),
        roles=_in_china([power]),
        policies=_in_china([everything]),
        partition="aws-cn",
    )
    assert escalates(account, "ci") is found


def test_every_partition_of_botocore_has_its_line() -> None:
    path = Path(botocore.__file__).parent / "data" / "partitions.json"
    published = {one["id"]: one["outputs"]["dnsSuffix"] for one in json.loads(path.read_text(encoding="utf-8"))["partitions"]}  # fmt: skip
    assert {name: one.suffix for name, one in partitions().items()} == published


@pytest.mark.parametrize(
    ("partition", "audience"),
    [
        ("aws", "https://signin.aws.amazon.com/saml"),
        ("aws-cn", "https://signin.amazonaws.cn/saml"),
        ("aws-us-gov", "https://signin.amazonaws-us-gov.com/saml"),
        ("aws-iso", None),
    ],
)
def test_the_audience_of_a_sign_in_is_named_where_it_is_known(partition: str, audience: str | None) -> None:
    trust = trusting(
        {"Federated": f"arn:{partition}:iam::123456789012:saml-provider/corporate"}, "sts:AssumeRoleWithSAML"
    )
    of = facts(roles=[role("people", trust=trust)], partition=partition)
    (found,) = trusts(of)
    assert found.problem == "SAML-1"
    assert found.fix is not None
    assert (audience in found.fix) if audience else ("the address of the sign-in" in found.fix)


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_roles_of_any_account_may_be_assumed_in_every_partition(partition: str) -> None:
    of = facts(
        users=[user("ci", allow("sts:AssumeRole", f"arn:{partition}:iam::*:role/*"))], partition=partition
    )
    (grant,) = grants(of, "ci")
    assert "become-other" in grant.powers


@pytest.mark.parametrize(
    "issuer", ["cognito-identity.amazonaws.com", "cognito-identity-us-gov.amazonaws.com"]
)
def test_any_identity_pool_in_every_partition(issuer: str) -> None:
    trust = trusting({"Federated": issuer}, "sts:AssumeRoleWithWebIdentity")
    (found,) = trusts(facts(roles=[role("app", trust=trust)]))
    assert (found.problem, found.exposure) == ("COGNITO-1", "anyone")
    assert found.fix == f'Add StringEquals "{issuer}:aud" with the identity pool ID.'


@pytest.mark.parametrize("host", ["us-gov-west-1.amazonaws.com", "cn-north-1.amazonaws.com.cn", "us-iso-east-1.c2s.ic.gov", "eusc-de-east-1.amazonaws.eu"])  # fmt: skip
def test_any_pod_of_a_cluster_in_every_partition(host: str) -> None:
    provider = f"arn:aws:iam::123456789012:oidc-provider/oidc.eks.{host}/id/ABC"
    trust = trusting({"Federated": provider}, "sts:AssumeRoleWithWebIdentity")
    (found,) = trusts(facts(roles=[role("app", trust=trust)]))
    assert found.problem == "IRSA-1"
