"""Names of other partitions: the service principals of AWS China end in ``.cn``.

https://docs.amazonaws.cn/en_us/aws/latest/userguide/iam.html
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from collectors.aws.evaluator.partitions import service_principal
from tests.aws_iam import ADMINISTRATOR, allow, arn, escalates, facts, policy, role, trusting, user


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("ec2.amazonaws.com", "ec2.amazonaws.com"),
        ("EC2.amazonaws.com.cn", "ec2.amazonaws.com"),
        ("ec2.cn-north-1.amazonaws.com.cn", "ec2.amazonaws.com"),
        ("states.us-gov-west-1.amazonaws.com", "states.amazonaws.com"),
        ("ec2.c2s.ic.gov", "ec2.amazonaws.com"),
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
