"""AWS managed policies get the level and powers that a manual review of them gives.

The documents are those in moto; their purpose is documented in
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html.
"""

from __future__ import annotations

import pytest

from collectors.aws.evaluator.evaluation import evaluate_dump
from scanner.records import Grant
from tests.aws_iam import ACCOUNT, ADMINISTRATOR, AS_OF, role, trusting
from tests.test_aws_grants import MANAGED, managed_grants

WRITES = {"admin", "grant-access", "become-other", "change-delivery", "deploy", "change-data"}
TABLE: list[tuple[str, str, set[str], set[str]]] = [
    # whole accounts
    ("AdministratorAccess", "admin", {"admin", "read-secrets", "read-data"}, set()),
    ("IAMFullAccess", "admin", {"admin"}, {"read-secrets", "read-data", "change-delivery"}),
    ("AdministratorAccess-Amplify", "admin", {"admin"}, set()),
    ("PowerUserAccess", "write", {"read-secrets", "change-delivery", "deploy", "change-data"}, {"admin", "grant-access"}),
    ("SystemAdministrator", "escalation", {"deploy", "change-data", "grant-access"}, {"admin"}),
    ("DatabaseAdministrator", "write", {"change-data", "read-data"}, {"admin", "grant-access"}),
    ("NetworkAdministrator", "write", {"change-data"}, {"admin", "grant-access", "read-secrets"}),
    ("AWSOrganizationsFullAccess", "escalation", {"grant-access"}, {"admin", "read-secrets"}),
    # readers: Parameter Store answers ReadOnlyAccess with decrypted values, so that one reads secrets
    ("ReadOnlyAccess", "write", {"read-secrets", "read-data", "read"}, WRITES),
    ("SecurityAudit", "read", {"read"}, WRITES | {"read-secrets"}),
    ("ViewOnlyAccess", "read", {"read"}, WRITES | {"read-secrets"}),
    ("IAMReadOnlyAccess", "read", {"read"}, WRITES | {"read-secrets", "read-data"}),
    ("IAMUserChangePassword", "read", {"read"}, WRITES | {"read-secrets"}),
    ("AmazonEC2ReadOnlyAccess", "read", {"read"}, WRITES | {"read-secrets", "read-data"}),
    ("AmazonVPCReadOnlyAccess", "read", {"read"}, WRITES | {"read-data"}),
    ("AWSCloudFormationReadOnlyAccess", "read", {"read"}, WRITES | {"read-secrets"}),
    ("CloudWatchReadOnlyAccess", "read", {"read-data", "read"}, WRITES | {"read-secrets"}),
    ("CloudWatchLogsReadOnlyAccess", "read", {"read-data"}, WRITES | {"read-secrets"}),
    ("AmazonSQSReadOnlyAccess", "read", {"read"}, WRITES | {"read-data"}),
    ("AmazonSNSReadOnlyAccess", "read", {"read"}, WRITES | {"read-data"}),
    ("AWSOrganizationsReadOnlyAccess", "read", {"read"}, WRITES | {"read-secrets"}),
    ("AWSCodeBuildReadOnlyAccess", "read", {"read"}, WRITES | {"read-secrets"}),
    ("AmazonSSMReadOnlyAccess", "write", {"read-secrets"}, WRITES),
    # data
    ("AmazonS3ReadOnlyAccess", "read", {"read-data"}, WRITES | {"read-secrets"}),
    ("AmazonS3FullAccess", "write", {"change-data", "read-data"}, {"admin", "grant-access", "read-secrets"}),
    ("AmazonDynamoDBReadOnlyAccess", "read", {"read-data"}, WRITES | {"read-secrets"}),
    ("AmazonDynamoDBFullAccess", "write", {"change-data", "read-data"}, {"admin", "grant-access", "read-secrets"}),
    ("AmazonKinesisReadOnlyAccess", "read", {"read-data"}, WRITES),
    ("AmazonSQSFullAccess", "write", {"change-data", "read-data"}, {"admin", "read-secrets"}),
    ("AmazonRDSFullAccess", "write", {"change-data"}, {"admin", "grant-access", "read-secrets"}),
    ("SecretsManagerReadWrite", "write", {"read-secrets"}, {"admin", "grant-access"}),
    ("AWSKeyManagementServicePowerUser", "write", {"change-data"}, {"admin", "read-data", "deploy"}),
    # delivery
    ("AWSCodeBuildAdminAccess", "write", {"change-delivery"}, {"admin", "grant-access", "read-secrets"}),
    ("AWSCodeBuildDeveloperAccess", "write", {"change-delivery"}, {"admin", "grant-access"}),
    ("AWSCodeCommitPowerUser", "write", {"change-delivery", "read-data"}, {"admin", "read-secrets"}),
    ("AWSCodeCommitReadOnly", "read", {"read-data"}, WRITES | {"read-secrets"}),
    ("AWSCodePipeline_FullAccess", "escalation", {"change-delivery", "grant-access"}, {"admin", "read-secrets"}),
    ("AWSCodeDeployFullAccess", "write", {"deploy"}, {"admin", "change-delivery", "read-secrets"}),
    ("AmazonEC2ContainerRegistryReadOnly", "read", {"read-data"}, WRITES | {"read-secrets"}),
    ("AmazonEC2ContainerRegistryPowerUser", "write", {"change-delivery", "read-data"}, {"admin", "deploy", "read-secrets"}),
    # compute
    ("AmazonEC2FullAccess", "write", {"deploy"}, {"admin", "grant-access", "change-delivery"}),
    ("AWSLambda_FullAccess", "write", {"deploy"}, {"admin", "grant-access", "read-secrets"}),
    ("AWSLambda_ReadOnlyAccess", "read", {"read-data"}, WRITES | {"read-secrets"}),
    ("AWSCloudFormationFullAccess", "write", {"deploy"}, {"admin", "grant-access", "read-secrets", "read-data"}),
    ("AmazonECS_FullAccess", "write", {"deploy"}, {"admin", "grant-access", "read-secrets"}),
    ("AmazonSSMFullAccess", "write", {"read-secrets", "deploy"}, {"admin", "grant-access"}),
    ("AmazonSageMakerFullAccess", "escalation", {"deploy", "grant-access"}, {"admin"}),
    # what workloads hold
    ("AWSLambdaBasicExecutionRole", "read", {"read"}, WRITES | {"read-secrets", "read-data"}),
    ("AWSLambdaVPCAccessExecutionRole", "read", {"read"}, WRITES | {"read-secrets", "read-data"}),
    ("AmazonECSTaskExecutionRolePolicy", "read", {"read-data"}, WRITES | {"read-secrets"}),
    ("AmazonEKSWorkerNodePolicy", "read", {"read"}, WRITES | {"read-secrets"}),
    ("CloudWatchAgentServerPolicy", "read", {"read"}, WRITES | {"read-secrets"}),
    ("AWSXRayDaemonWriteAccess", "read", {"read"}, WRITES | {"read-secrets"}),
    ("AmazonSSMManagedInstanceCore", "write", {"read-secrets"}, WRITES),
]  # fmt: skip


@pytest.mark.parametrize(("name", "level", "has", "lacks"), TABLE, ids=[row[0] for row in TABLE])
def test_as_a_reader_would_tell_them(name: str, level: str, has: set[str], lacks: set[str]) -> None:
    grant = managed_grants()[name]
    assert grant.level == level
    assert has <= set(grant.powers)
    assert not lacks & set(grant.powers)


def levels(*names: str, services: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the highest level that each policy gives beside an administrator role for some services."""
    addresses = {
        name: f"arn:aws:iam::aws:policy{MANAGED[name]['Path']}{name}"
        for name in (*names, "AdministratorAccess")
    }
    policies = []
    for name, address in addresses.items():
        version = {"VersionId": "v1", "IsDefaultVersion": True, "Document": MANAGED[name]["Document"]}
        policies.append({"PolicyName": name, "Arn": address, "PolicyVersionList": [version]})
    trust = trusting({"Service": [f"{one}.amazonaws.com" for one in services]})
    roles = [role("strong", trust=trust, managed=(ADMINISTRATOR,))]
    roles += [role(name, managed=(addresses[name],)) for name in names]
    found = evaluate_dump({"RoleDetailList": roles, "Policies": policies}, ACCOUNT, AS_OF)
    order = ("unknown", "read", "write", "escalation", "admin")
    best: dict[str, str] = {}
    for one in found:
        if isinstance(one, Grant):
            holder = next((name for name in names if one.identity_id.endswith(f"AROA{name.upper()}")), None)
            if holder is not None:
                best[holder] = max(best.get(holder, "unknown"), one.level, key=order.index)
    return best


def test_beside_an_administrator_role_that_services_run_with() -> None:
    """A full-access policy of a service that may pass or reach a stronger role is an escalation; a reader is not."""
    strong = {
        "AWSLambda_FullAccess": "lambda",
        "AmazonEC2FullAccess": "ec2",
        "AmazonSSMFullAccess": "ec2",
        "AWSCodeBuildDeveloperAccess": "codebuild",
        "AmazonECS_FullAccess": "ecs-tasks",
        "PowerUserAccess": "lambda",
        "AWSCloudFormationFullAccess": "cloudformation",
    }
    for name, service in strong.items():
        assert levels(name, services=(service,)) == {name: "escalation"}, name
    weak = (
        "ReadOnlyAccess",
        "SecurityAudit",
        "ViewOnlyAccess",
        "AmazonS3FullAccess",
        "CloudWatchAgentServerPolicy",
    )
    everything = ("ec2", "lambda", "codebuild", "ecs-tasks", "cloudformation", "glue", "sagemaker")
    found = levels(*weak, services=everything)
    assert set(found.values()) <= {"read", "write"}
