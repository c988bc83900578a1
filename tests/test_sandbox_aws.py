"""The AWS sandbox, used with real boto3 clients: answers match AWS's own models and are deterministic."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError
from botocore.parsers import ResponseParserError

from sandbox.aws import identity_answers
from sandbox.aws.answers import SHELVES
from sandbox.aws.estate import build
from sandbox.aws.keys import key_id, key_secret
from sandbox.aws.organization import LEGACY
from sandbox.aws.server import EXTERNAL_ID, ROLE_NAME, AwsSandbox
from sandbox.estate import DEV, FIRST_NIGHT, MANAGEMENT, PROD, REGION
from sandbox.kit.issued import ISSUED

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION: Any = boto3.session.Session()
ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture(scope="module")
def company() -> Iterator[AwsSandbox]:
    """The first night."""
    with AwsSandbox() as sandbox:
        build(sandbox, 1)
        yield sandbox


@pytest.fixture(autouse=True)
def healthy(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "company" in request.fixturenames:
        request.getfixturevalue("company").heal()


def signed(sandbox: AwsSandbox, service: str, region: str = REGION, **keys: str) -> Any:
    """Return a client with these keys, which tries once."""
    return SESSION.client(service, region_name=region, endpoint_url=sandbox.url, config=ONCE, **keys)


def scanner(sandbox: AwsSandbox, account: str, service: str, region: str = REGION) -> Any:
    """Return a client that signs as a scanner does."""
    return signed(sandbox, service, region, **sandbox.credentials(account))


def faults_of_shape(shape: Any, value: Any, path: str = "") -> list[str]:
    """Return where an answer is not of its shape: required members, types, closed vocabularies."""
    if shape.type_name == "structure":
        found = [f"{path}.{name} is missing" for name in shape.required_members if name not in value]
        found += [f"{path}.{name} is not in the model" for name in value if name not in shape.members]
        for name, item in value.items():
            if name in shape.members:
                found += faults_of_shape(shape.members[name], item, f"{path}.{name}")
        return found
    if shape.type_name == "list":
        return [fault for item in value for fault in faults_of_shape(shape.member, item, f"{path}[]")]
    if shape.type_name == "map":
        return [
            fault for item in value.values() for fault in faults_of_shape(shape.value, item, f"{path}{{}}")
        ]
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str, dict),
        "integer": (int,),
        "long": (int,),
        "boolean": (bool,),
        "timestamp": (type(FIRST_NIGHT),),
        "blob": (bytes,),
    }
    if not isinstance(value, kinds.get(shape.type_name, (object,))):
        return [f"{path} is a {type(value).__name__}, not a {shape.type_name}"]
    allowed = getattr(shape, "enum", None)
    return [f"{path} is {value!r}, not one of {allowed}"] if allowed and value not in allowed else []


def checked(client: Any, operation: str, **parameters: Any) -> dict[str, Any]:
    """Call an operation, hold its answer against botocore's model, and return it."""
    method = next(name for name, title in client.meta.method_to_api_mapping.items() if title == operation)
    answer: dict[str, Any] = getattr(client, method)(**parameters)
    answer.pop("ResponseMetadata")
    assert faults_of_shape(client.meta.service_model.operation_model(operation).output_shape, answer) == []
    return answer


ANALYZER = f"arn:aws:access-analyzer:{REGION}:{DEV}:analyzer/unused-access"
CLUSTER = {"clusterName": "lantern-core"}
TERRAFORM = f"arn:aws:iam::{PROD}:role/terraform-admin"
ASKED: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("accessanalyzer", "ListAnalyzers"): (DEV, {}),
    ("accessanalyzer", "ListFindingsV2"): (DEV, {"analyzerArn": ANALYZER}),
    ("codebuild", "ListSourceCredentials"): (DEV, {}),
    ("codeconnections", "ListConnections"): (DEV, {}),
    ("codestar-connections", "ListConnections"): (DEV, {}),
    ("codedeploy", "ListApplications"): (DEV, {}),
    ("codedeploy", "ListDeploymentGroups"): (DEV, {"applicationName": "branch-servers"}),
    ("codedeploy", "BatchGetDeploymentGroups"): (
        DEV,
        {"applicationName": "branch-servers", "deploymentGroupNames": ["branches"]},
    ),
    ("codedeploy", "ListOnPremisesInstances"): (DEV, {}),
    ("codedeploy", "BatchGetOnPremisesInstances"): (DEV, {"instanceNames": ["berlin-01", "lisbon-01"]}),
    ("codepipeline", "ListWebhooks"): (DEV, {}),
    ("eks", "ListPodIdentityAssociations"): (PROD, CLUSTER),
    ("eks", "ListAccessEntries"): (PROD, CLUSTER),
    ("eks", "DescribeAccessEntry"): (PROD, {**CLUSTER, "principalArn": TERRAFORM}),
    ("eks", "ListAssociatedAccessPolicies"): (PROD, {**CLUSTER, "principalArn": TERRAFORM}),
    ("iam", "ListServiceSpecificCredentials"): (PROD, {"AllUsers": True}),
    ("lambda", "ListFunctionUrlConfigs"): (PROD, {"FunctionName": "webhook-intake"}),
    ("lambda", "GetPolicy"): (PROD, {"FunctionName": "webhook-intake"}),
    ("rolesanywhere", "ListTrustAnchors"): (PROD, {}),
    ("rolesanywhere", "ListProfiles"): (PROD, {}),
    ("ssm", "DescribeActivations"): (PROD, {}),
    ("iam", "GetAccountAuthorizationDetails"): (PROD, {}),
    ("iam", "GetAccountSummary"): (PROD, {}),
    ("iam", "GetAccessKeyLastUsed"): (PROD, {"AccessKeyId": key_id(PROD, "ci-ledger")}),
    ("iam", "GenerateCredentialReport"): (PROD, {}),
    ("iam", "GetCredentialReport"): (PROD, {}),
    ("iam", "ListOrganizationsFeatures"): (MANAGEMENT, {}),
    ("iam", "ListRoles"): (PROD, {}),
    ("iam", "ListVirtualMFADevices"): (PROD, {}),
    ("ec2", "DescribeRegions"): (PROD, {}),
    ("sts", "GetCallerIdentity"): (PROD, {}),
}
"""Operations that the sandbox answers itself, and a question to which there is an answer."""
ELSEWHERE = {
    ("accessanalyzer", "GetFindingV2"),
    ("codedeploy", "ListGitHubAccountTokenNames"),
    ("eks", "DescribePodIdentityAssociation"),
    ("iam", "GenerateServiceLastAccessedDetails"),
    ("iam", "GetServiceLastAccessedDetails"),
    ("iam", "PutUserPermissionsBoundary"),
    ("iam", "DeleteUserPermissionsBoundary"),
    ("rolesanywhere", "ListSubjects"),
    ("rolesanywhere", "ListCrls"),
    ("sso-admin", "ListInstances"),
    ("sts", "AssumeRole"),
}
"""Those that have a test of their own."""


@pytest.mark.parametrize(("service", "operation"), sorted(ASKED))
def test_own_answers_fit_the_service_model(company: AwsSandbox, service: str, operation: str) -> None:
    account, parameters = ASKED[service, operation]
    answer = checked(scanner(company, account, service), operation, **parameters)
    assert any(bool(value) for value in answer.values())


def test_every_own_answer_is_tested() -> None:
    assert {*SHELVES, *identity_answers.ANSWERS} == {*ASKED, *ELSEWHERE}


def test_details_of_what_was_listed(company: AwsSandbox) -> None:
    eks = scanner(company, PROD, "eks")
    listed = checked(eks, "ListPodIdentityAssociations", clusterName="lantern-core")["associations"]
    assert "roleArn" not in listed[0]
    found = checked(
        eks, "DescribePodIdentityAssociation", **CLUSTER, associationId=listed[0]["associationId"]
    )
    assert found["association"]["roleArn"] == f"arn:aws:iam::{PROD}:role/pod-payments-worker"
    analyzer = scanner(company, DEV, "accessanalyzer")
    finding = checked(analyzer, "ListFindingsV2", analyzerArn=ANALYZER)["findings"][0]
    detail = checked(analyzer, "GetFindingV2", analyzerArn=ANALYZER, id=finding["id"])
    assert detail["findingType"] == "UnusedPermission"
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        analyzer.get_finding_v2(analyzerArn=ANALYZER, id="none")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        eks.list_pod_identity_associations(clusterName="gone")
    assert checked(scanner(company, PROD, "rolesanywhere"), "ListCrls") == {"crls": []}


def test_what_the_scanner_lacks_is_refused_in_the_protocols_own_form(company: AwsSandbox) -> None:
    with pytest.raises(ClientError) as json_error:
        scanner(company, DEV, "codedeploy").list_git_hub_account_token_names()
    assert json_error.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "codedeploy:ListGitHubAccountTokenNames" in json_error.value.response["Error"]["Message"]
    with pytest.raises(ClientError) as rest_error:
        scanner(company, DEV, "rolesanywhere").list_subjects()
    assert rest_error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    subjects = checked(scanner(company, PROD, "rolesanywhere"), "ListSubjects", pageSize=2)
    rest = checked(scanner(company, PROD, "rolesanywhere"), "ListSubjects", nextToken=subjects["nextToken"])
    assert len(subjects["subjects"] + rest["subjects"]) == 3
    company.fail("ec2:DescribeRegions", 403)
    with pytest.raises(ClientError) as ec2_error:
        scanner(company, PROD, "ec2").describe_regions()
    assert ec2_error.value.response["Error"]["Code"] == "UnauthorizedOperation"


def test_last_accessed_belongs_to_the_session_that_asked(company: AwsSandbox) -> None:
    iam = scanner(company, DEV, "iam")
    arn = f"arn:aws:iam::{DEV}:role/codebuild-infra"
    job = checked(iam, "GenerateServiceLastAccessedDetails", Arn=arn)["JobId"]
    first = checked(iam, "GetServiceLastAccessedDetails", JobId=job, MaxItems=5)
    rest = checked(iam, "GetServiceLastAccessedDetails", JobId=job, Marker=first["Marker"])
    used = {
        item["ServiceNamespace"]: "LastAuthenticated" in item
        for item in first["ServicesLastAccessed"] + rest["ServicesLastAccessed"]
    }
    assert used["s3"]
    assert not used["rds"]
    other = signed(company, "iam", **company.credentials(DEV, "somebody-else"))
    with pytest.raises(ClientError, match="NoSuchEntity"):
        other.get_service_last_accessed_details(JobId=job)


def test_members_are_entered_by_role_and_external_id(company: AwsSandbox) -> None:
    sts = scanner(company, MANAGEMENT, "sts")
    role = f"arn:aws:iam::{{}}:role/{ROLE_NAME}".format
    answer = checked(
        sts, "AssumeRole", RoleArn=role(PROD), RoleSessionName="nightly", ExternalId=EXTERNAL_ID
    )["Credentials"]
    inside = signed(
        company,
        "sts",
        aws_access_key_id=answer["AccessKeyId"],
        aws_secret_access_key=answer["SecretAccessKey"],
        aws_session_token=answer["SessionToken"],
    )
    assert inside.get_caller_identity()["Account"] == PROD
    for arn, external in (
        (role(PROD), "wrong"),
        (role(LEGACY), EXTERNAL_ID),
        (role(PROD) + "x", EXTERNAL_ID),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            sts.assume_role(RoleArn=arn, RoleSessionName="nightly", ExternalId=external)


def test_unknown_keys_are_refused(company: AwsSandbox) -> None:
    client = signed(
        company,
        "sts",
        aws_access_key_id="AKIA" + "A" * 16,
        aws_secret_access_key="none",
    )
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client.get_caller_identity()


def test_a_static_key_signs_in_as_its_user(company: AwsSandbox) -> None:
    client = signed(
        company,
        "sts",
        aws_access_key_id=key_id(DEV, "ci-fraud"),
        aws_secret_access_key=key_secret(DEV, "ci-fraud"),
    )
    assert client.get_caller_identity()["Arn"] == f"arn:aws:iam::{DEV}:user/ci-fraud"


def details(sandbox: AwsSandbox, account: str, size: int = 1000) -> dict[str, list[dict[str, Any]]]:
    """Page through the identity graph."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in identity_answers.LISTS}
    pages = scanner(sandbox, account, "iam").get_paginator("get_account_authorization_details")
    for page in pages.paginate(PaginationConfig={"PageSize": size}):
        assert sum(len(page[name]) for name in found) <= size
        for name, items in found.items():
            items.extend(page[name])
    return found


def test_identity_graph_pages_and_says_what_moto_does_not(company: AwsSandbox) -> None:
    whole, paged = details(company, PROD), details(company, PROD, 7)
    assert json.dumps(whole, default=str) == json.dumps(paged, default=str)
    roles = {role["RoleName"]: role for role in whole["RoleDetailList"]}
    assert (FIRST_NIGHT - roles["deploy-mobile"]["RoleLastUsed"]["LastUsedDate"]).days == 200
    assert roles["blue-green-switch"]["RoleLastUsed"] == {}
    assert roles["team-sandbox"]["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith(
        "read-only-boundary"
    )
    users = {user["UserName"]: user for user in whole["UserDetailList"]}
    assert users["svc-tenant-provisioner"]["PermissionsBoundary"]["PermissionsBoundaryType"]
    assert all(user["UserId"].startswith("AIDA") for user in users.values())
    policies = {item["PolicyName"]: item for item in whole["Policies"]}
    assert (
        policies["AdministratorAccess"]["PolicyVersionList"][0]["Document"]["Statement"][0]["Action"] == "*"
    )
    assert all(item["PolicyId"] for item in policies.values())


def test_nothing_carries_the_day_on_which_the_sandbox_was_started(company: AwsSandbox) -> None:
    answers: list[Any] = [details(company, account) for account in (MANAGEMENT, PROD, DEV)]
    answers += [
        scanner(company, MANAGEMENT, "organizations").list_accounts(),
        scanner(company, PROD, "ecs").describe_services(cluster="core", services=["ledger"]),
        scanner(company, PROD, "lambda").list_functions(),
        scanner(company, PROD, "ec2").describe_instances(),
        scanner(company, PROD, "ssm").describe_parameters(),
        scanner(company, PROD, "secretsmanager").list_secrets(),
        scanner(company, PROD, "ecr").describe_images(repositoryName="ledger"),
        scanner(company, PROD, "s3").list_buckets(),
        scanner(company, PROD, "iam").list_server_certificates(),
        scanner(company, DEV, "codebuild").batch_get_projects(names=["model-train"]),
        scanner(company, DEV, "codepipeline").list_pipelines(),
    ]

    def times(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for name, item in value.items():
                if name not in {"ResponseMetadata", "Expiration"}:
                    yield from times(item)
        elif isinstance(value, list):
            for item in value:
                yield from times(item)
        elif isinstance(value, type(FIRST_NIGHT)):
            yield value

    found = list(times(answers))
    assert len(found) > 100
    assert max(found) <= FIRST_NIGHT


def test_dates_that_moto_lacks(company: AwsSandbox) -> None:
    secrets = {
        item["Name"]: item for item in scanner(company, PROD, "secretsmanager").list_secrets()["SecretList"]
    }
    assert (FIRST_NIGHT - secrets["prod/old/twilio"]["LastAccessedDate"]).days == 300
    assert "LastAccessedDate" not in secrets["prod/new/segment"]
    assert secrets["rds!cluster-5f0e2a77"]["OwningService"] == "rds"
    project = scanner(company, DEV, "codebuild").batch_get_projects(names=["docs-build"])["projects"][0]
    assert project["projectVisibility"] == "PUBLIC_READ"
    assert project["webhook"]["payloadUrl"]
    image = scanner(company, PROD, "ecr").describe_images(repositoryName="billing-worker")["imageDetails"][0]
    assert (FIRST_NIGHT - image["lastRecordedPullTime"]).days == 290
    cluster = scanner(company, PROD, "eks").describe_cluster(name="lantern-core")["cluster"]
    assert cluster["identity"]["oidc"]["issuer"].endswith("9B7E0F2A64C14E0BB1D1C2D3E4F5A6B7")


def credential_report(sandbox: AwsSandbox, account: str) -> dict[str, dict[str, str]]:
    """Return the rows of an account's credential report by user."""
    iam = scanner(sandbox, account, "iam")
    while iam.generate_credential_report()["State"] != "COMPLETE":
        pass
    text = iam.get_credential_report()["Content"].decode()
    return {row["user"]: row for row in csv.DictReader(io.StringIO(text))}


def test_credential_report(company: AwsSandbox) -> None:
    assert credential_report(company, DEV)["<root_account>"]["mfa_active"] == "false"
    rows = credential_report(company, MANAGEMENT)
    assert rows["<root_account>"]["access_key_1_active"] == "true"
    assert rows["<root_account>"]["access_key_1_last_rotated"].startswith("2023-")
    assert rows["tom.becker"]["password_enabled"] == "true"
    assert rows["tom.becker"]["mfa_active"] == "false"
    assert rows["finance-export"]["access_key_1_last_used_service"] == "s3"
    assert rows["finance-export"]["password_last_used"] == "N/A"
    rows = credential_report(company, PROD)
    assert rows["svc-sftp-import"]["access_key_1_last_used_date"] == "N/A"
    assert rows["svc-reconciliation"]["access_key_2_active"] == "true"
    assert rows["svc-archive"]["access_key_1_active"] == "false"


def test_faults(company: AwsSandbox) -> None:
    iam = scanner(company, PROD, "iam")
    company.fail("iam:ListUsers", "too-many", times=1)
    with pytest.raises(ClientError, match="Throttling"):
        iam.list_users()
    assert iam.list_users()["Users"]
    company.fail("iam:ListUsers", 500, account=DEV)
    assert iam.list_users()["Users"]
    with pytest.raises(ClientError) as error:
        scanner(company, DEV, "iam").list_users()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    company.heal()
    company.fail("*", 401)
    with pytest.raises(ClientError, match="ExpiredToken"):
        iam.list_users()
    company.heal()
    company.fail("iam:ListUsers", "malformed")
    with pytest.raises(ResponseParserError):
        iam.list_users()
    company.heal()
    company.fail("iam:ListUsers", "cut", region=REGION)
    with pytest.raises(ResponseParserError):
        iam.list_users()
    company.heal()
    company.fail("iam:ListUsers", "closed", region=REGION)
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        iam.list_users()


def test_a_report_can_be_truncated_within_a_sound_answer(company: AwsSandbox) -> None:
    whole = credential_report(company, PROD)
    company.fail("iam:GetCredentialReport", "truncated")
    half = scanner(company, PROD, "iam").get_credential_report()["Content"].decode()
    assert not half.endswith("\n")
    assert len(half.splitlines()) < len(whole)


def test_requests_of_scanners_are_counted_and_those_of_the_builder_are_not(company: AwsSandbox) -> None:
    before = company.calls["iam:ListGroups"]
    company.client(PROD, "iam").list_groups()
    scanner(company, PROD, "iam").list_groups()
    assert company.calls["iam:ListGroups"] == before + 1


def test_latency(company: AwsSandbox) -> None:
    iam = scanner(company, PROD, "iam")
    company.latency = 0.3
    before = time.monotonic()
    iam.list_groups()
    company.latency = 0.0
    assert time.monotonic() - before >= 0.3


def test_secret_values_are_known_so_that_they_can_be_looked_for(company: AwsSandbox) -> None:
    environment = scanner(company, DEV, "lambda").list_functions()["Functions"][0]["Environment"]["Variables"]
    assert environment["FEATURES_SECRET_ACCESS_KEY"] in ISSUED
    hook = scanner(company, DEV, "codepipeline").list_webhooks()["webhooks"][0]["definition"]
    assert hook["authenticationConfiguration"]["SecretToken"] in ISSUED


def test_a_second_sandbox_is_refused(company: AwsSandbox) -> None:
    with pytest.raises(RuntimeError, match="open in this process"), AwsSandbox():
        pass


def test_the_environment_signs_in_to_the_management_account(company: AwsSandbox) -> None:
    variables = company.environment()
    client = signed(
        company,
        "sts",
        region=variables["AWS_DEFAULT_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=variables["AWS_SESSION_TOKEN"],
    )
    assert client.get_caller_identity()["Account"] == MANAGEMENT
