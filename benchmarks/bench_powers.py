"""How long the policy evaluator takes: one account of a thousand roles, and a hundred thousand roles.

Policies are drawn from templates with a fixed seed.
"""

from __future__ import annotations

import random
import resource
import time
from datetime import UTC, datetime
from typing import Any

from collectors.aws.evaluator.authorization_details import principal_records
from collectors.aws.evaluator.evaluation import evaluate_account
from collectors.aws.evaluator.facts import AwsFacts

BUDGETS = {"cpu_seconds_at_1000_roles": 2.0, "cpu_seconds_at_100000_roles": 60.0, "peak_mb": 1500.0}

AS_OF = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
ACCOUNT = "123456789012"
ACTIONS = (
    ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
    ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
    ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sns:Publish"],
    ["logs:*", "cloudwatch:PutMetricData"],
    ["lambda:UpdateFunctionCode", "lambda:GetFunction"],
    ["ecs:UpdateService", "ecs:RegisterTaskDefinition", "iam:PassRole"],
    ["ec2:Describe*", "elasticloadbalancing:Describe*"],
    ["secretsmanager:GetSecretValue", "kms:Decrypt"],
    ["iam:List*", "iam:Get*"],
    ["sts:AssumeRole"],
    ["codebuild:StartBuild", "codebuild:BatchGetBuilds", "ecr:*"],
    ["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"],
)


def _resource(action: str, random_: random.Random) -> str:
    """Return a pattern that the first action of a statement works on."""
    number = random_.randrange(500)
    return {
        "s3": f"arn:aws:s3:::bucket-{number}/*",
        "dynamodb": f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/table-{number}",
        "sqs": f"arn:aws:sqs:eu-west-1:{ACCOUNT}:queue-{number}",
        "lambda": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:app-{number}-*",
        "secretsmanager": f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:app-{number}-*",
        "sts": f"arn:aws:iam::{ACCOUNT}:role/role-{number}",
        "iam": f"arn:aws:iam::{ACCOUNT}:role/role-{number}",
    }.get(action.partition(":")[0], "*")


def _document(random_: random.Random) -> dict[str, Any]:
    statements: list[dict[str, Any]] = []
    for actions in random_.sample(ACTIONS, random_.randrange(1, 5)):
        narrow = random_.random() < 0.9
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Action": actions,
            "Resource": _resource(actions[0], random_) if narrow else "*",
        }
        if random_.random() < 0.1:
            statement["Condition"] = {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
        statements.append(statement)
    if random_.random() < 0.1:
        statements.append({"Effect": "Deny", "Action": "iam:*", "Resource": "*"})
    if random_.random() < 0.01:
        statements.append({"Effect": "Allow", "Action": "*", "Resource": "*"})
    return {"Version": "2012-10-17", "Statement": statements}


def _trust(random_: random.Random) -> dict[str, Any]:
    principal: dict[str, Any] = random_.choice(
        [
            {"Service": "lambda.amazonaws.com"},
            {"Service": "ecs-tasks.amazonaws.com"},
            {"Service": "ec2.amazonaws.com"},
            {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            {"AWS": f"arn:aws:iam::{ACCOUNT}:role/role-{random_.randrange(500)}"},
        ]
    )
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    }


def account(roles: int, policies: int) -> AwsFacts:
    """Make up an account: each role holds two managed policies and, one in four, an inline one of its own family."""
    random_ = random.Random(20261123)
    managed = [
        {
            "PolicyName": f"policy-{number}",
            "Arn": f"arn:aws:iam::{ACCOUNT}:policy/policy-{number}",
            "DefaultVersionId": "v1",
            "PolicyVersionList": [
                {"VersionId": "v1", "IsDefaultVersion": True, "Document": _document(random_)}
            ],
        }
        for number in range(policies // 2)
    ]
    inline = [_document(random_) for _ in range(policies - policies // 2)]
    trusts = [_trust(random_) for _ in range(300)]
    listed = []
    for number in range(roles):
        held = random_.sample(managed, 2)
        listed.append(
            {
                "RoleName": f"role-{number}",
                "RoleId": f"AROA{number:016}",
                "Arn": f"arn:aws:iam::{ACCOUNT}:role/role-{number}",
                "Path": "/",
                "CreateDate": "2024-01-01T00:00:00+00:00",
                "AssumeRolePolicyDocument": random_.choice(trusts),
                "AttachedManagedPolicies": [
                    {"PolicyName": policy["PolicyName"], "PolicyArn": policy["Arn"]} for policy in held
                ],
                "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": random_.choice(inline)}]
                if number % 4 == 0
                else [],
                "Tags": [],
            }
        )
    account_ref = f"aws:account:{ACCOUNT}"
    principals = principal_records({"RoleDetailList": listed, "Policies": managed}, account_ref, ACCOUNT)
    return AwsFacts(
        account_id=ACCOUNT,
        account_ref=account_ref,
        identities=principals.identities,
        policies=principals.policies,
        scps=[],
    )


def measure(roles: int, policies: int) -> dict[str, float]:
    """Evaluate a made-up account and return CPU and wall seconds, and the number of records."""
    facts = account(roles, policies)
    cpu, wall = time.process_time(), time.perf_counter()
    records = sum(1 for _ in evaluate_account(facts, AS_OF))
    return {
        f"cpu_seconds_at_{roles}_roles": round(time.process_time() - cpu, 2),
        f"wall_seconds_at_{roles}_roles": round(time.perf_counter() - wall, 2),
        f"records_at_{roles}_roles": records,
    }


def run() -> dict[str, float]:
    """Measure both sizes. The catalog is loaded by the first."""
    figures = measure(1_000, 200) | measure(100_000, 2_000)
    return figures | {"peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}
