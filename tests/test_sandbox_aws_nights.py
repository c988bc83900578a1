"""The company's two nights in AWS, the list of what is planted there, and large accounts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.aws.account import AccountBuilder
from sandbox.aws.estate import build
from sandbox.aws.keys import key_id, key_secret, unique_id
from sandbox.aws.large import build_large
from sandbox.aws.server import AwsSandbox
from sandbox.estate import DEV, FIRST_NIGHT, MANAGEMENT, PROD, REGION, SECOND_NIGHT, SECOND_REGION
from scanner.yaml_data import read_yaml

PLANTED: dict[str, list[dict[str, Any]]] = read_yaml(Path(__file__).parents[1] / "sandbox" / "planted.yaml")[
    "aws"
]
SESSION: Any = boto3.session.Session()
LISTED = PLANTED["planted"] + PLANTED["look_alikes"]
IAM = ("UserDetailList", "RoleDetailList", "Policies")


def asked(sandbox: AwsSandbox, account: str, service: str, region: str = REGION) -> Any:
    """Return a client that signs as a scanner does."""
    return SESSION.client(
        service, region_name=region, endpoint_url=sandbox.url, **sandbox.credentials(account)
    )


def graph(sandbox: AwsSandbox, account: str) -> dict[str, Any]:
    """Return an account's identity graph."""
    answer: dict[str, Any] = asked(sandbox, account, "iam").get_account_authorization_details(MaxItems=1000)
    return {name: answer[name] for name in IAM}


@pytest.fixture(scope="module")
def nights() -> dict[int, dict[str, Any]]:
    """What an observer saw on each night."""
    seen: dict[int, dict[str, Any]] = {}
    with AwsSandbox() as sandbox:
        for night in (1, 2):
            build(sandbox, night)
            seen[night] = _observed(sandbox)
    return seen


def _observed(sandbox: AwsSandbox) -> dict[str, Any]:
    keys: dict[str, list[str]] = {}
    addresses: dict[str, set[str]] = {}
    names: dict[str, set[str]] = {}
    roles: dict[str, dict[str, Any]] = {}
    graphs: dict[str, dict[str, Any]] = {}
    for account in (MANAGEMENT, PROD, DEV):
        builder = AccountBuilder(sandbox, account)
        whole = graphs[account] = graph(sandbox, account)
        found = {f"arn:aws:iam::{account}:root"}
        found |= {item["Arn"] for name in IAM for item in whole[name]}
        iam = builder.client("iam")
        found |= {item["Arn"] for item in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]}
        found |= {f"arn:aws:s3:::{item['Name']}" for item in builder.client("s3").list_buckets()["Buckets"]}
        called = {item["ServerCertificateName"] for item in _certificates(iam)}
        for (number, _region, shelf), items in sandbox.state.shelves.items():
            if number == account and shelf == "on-premises":
                found |= {item["instanceArn"] for item in items}
            if number == account and shelf in {"on-premises", "connections", "source-credentials"}:
                called |= {
                    item.get("instanceName") or item.get("ConnectionName") or item["serverType"]
                    for item in items
                }
        for region in (REGION, SECOND_REGION):
            found |= {
                f["FunctionArn"] for f in builder.client("lambda", region).list_functions()["Functions"]
            }
            called |= _names(builder, region)
            for repository in builder.client("ecr", region).describe_repositories()["repositories"]:
                found.add(repository["repositoryArn"])
                called.add(repository["repositoryName"])
        for user in whole["UserDetailList"]:
            listed = iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]
            keys[user["Arn"]] = [key["AccessKeyId"] for key in listed]
            called |= {policy["PolicyName"] for policy in user["AttachedManagedPolicies"]}
        for role in whole["RoleDetailList"]:
            roles[role["Arn"]] = role
            called |= {policy["PolicyName"] for policy in role["AttachedManagedPolicies"]}
        addresses[account], names[account] = found, called
    return {
        "keys": keys,
        "addresses": addresses,
        "names": names,
        "roles": roles,
        "graphs": graphs,
        "functions": [_functions(sandbox, account) for account in (PROD, DEV)],
        "settings": sandbox.section(),
    }


def _functions(sandbox: AwsSandbox, account: str) -> int | str:
    """Return the number of functions that a scanner sees, or the error."""
    try:
        return len(asked(sandbox, account, "lambda").list_functions()["Functions"])
    except ClientError as error:
        return str(error.response["Error"]["Code"])


def _certificates(iam: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = iam.list_server_certificates()["ServerCertificateMetadataList"]
    return found


def _names(builder: AccountBuilder, region: str) -> set[str]:
    """Return names of secrets, parameters and variables of a region."""
    found = {item["Name"] for item in builder.client("secretsmanager", region).list_secrets()["SecretList"]}
    found |= {item["Name"] for item in builder.client("ssm", region).describe_parameters()["Parameters"]}
    if builder.number != DEV or region != REGION:
        return found | _variables(builder, region)
    found |= {item["name"] for item in builder.client("codepipeline", region).list_pipelines()["pipelines"]}
    build = builder.client("codebuild", region)
    projects = build.list_projects()["projects"]
    for project in build.batch_get_projects(names=projects)["projects"] if projects else []:
        found |= {item["name"] for item in project["environment"]["environmentVariables"]}
    return found | _variables(builder, region)


def _variables(builder: AccountBuilder, region: str) -> set[str]:
    """Return names of variables in functions' and tasks' environments of a region."""
    found: set[str] = set()
    for function in builder.client("lambda", region).list_functions()["Functions"]:
        found |= set(function.get("Environment", {}).get("Variables", {}))
    ecs = builder.client("ecs", region)
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        for container in ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"][
            "containerDefinitions"
        ]:
            found |= {item["name"] for item in container["environment"] + container.get("secrets", [])}
    return found


def test_ids_are_unique() -> None:
    assert len({item["id"] for item in LISTED}) == len(LISTED) >= 120


@pytest.mark.parametrize("item", LISTED, ids=[item["id"] for item in LISTED])
def test_what_is_planted_is_there(nights: dict[int, dict[str, Any]], item: dict[str, Any]) -> None:
    assert item["what" if item in PLANTED["planted"] else "why"].endswith(".")
    for night in item.get("nights", [1]):
        seen = nights[night]
        if "address" in item:
            assert item["address"] in seen["addresses"][item["account"]]
        if "name" in item:
            assert item["name"] in seen["names"][item["account"]]
        if "key" in item:
            user = item["address"].rsplit("/", 1)[1]
            assert key_id(item["account"], user, item["key"]) in seen["keys"][item["address"]]
        assert "address" in item or "name" in item


def test_changes_name_what_is_planted() -> None:
    planted = {item["id"]: item for item in PLANTED["planted"]}
    expected = {"resolved": [1], "unobserved": [1], "new": [2]}
    for change in PLANTED["changes"]:
        assert planted[change["id"]]["nights"] == expected[change["status"]]


def test_second_night(nights: dict[int, dict[str, Any]]) -> None:
    user = f"arn:aws:iam::{PROD}:user/svc-reconciliation"
    assert len(nights[1]["keys"][user]) == 2
    assert nights[2]["keys"][user] == [key_id(PROD, "svc-reconciliation", 2)]
    hotfix = f"arn:aws:iam::{PROD}:role/hotfix-runner"
    assert hotfix not in nights[1]["roles"]
    assert FIRST_NIGHT < nights[2]["roles"][hotfix]["CreateDate"] < SECOND_NIGHT
    web, mobile = f"arn:aws:iam::{PROD}:role/deploy-web", f"arn:aws:iam::{PROD}:role/deploy-mobile"
    used = [nights[night]["roles"][web]["RoleLastUsed"]["LastUsedDate"] for night in (1, 2)]
    assert (used[1] - used[0]).days == 1
    assert nights[1]["roles"][mobile] == nights[2]["roles"][mobile]


def test_a_permission_is_lost_between_the_nights(nights: dict[int, dict[str, Any]]) -> None:
    assert nights[1]["functions"] == [4, 1]
    assert nights[2]["functions"] == [4, "AccessDeniedException"]


def test_settings_are_those_of_the_collector(nights: dict[int, dict[str, Any]]) -> None:
    from collectors.aws import Config

    assert Config(**nights[1]["settings"]).endpoint_url


def test_the_same_every_time(nights: dict[int, dict[str, Any]]) -> None:
    """Ids and dates depend only on the description: another sandbox gives the same graph."""
    with AwsSandbox() as sandbox:
        build(sandbox, 1)
        again = {account: graph(sandbox, account) for account in (MANAGEMENT, PROD, DEV)}
    assert json.dumps(again, default=str) == json.dumps(nights[1]["graphs"], default=str)


def test_keys_and_ids_are_made_from_names() -> None:
    one = key_id(PROD, "ci-ledger")
    assert one == key_id(PROD, "ci-ledger") != key_id(PROD, "ci-ledger", 2)
    assert len(one) == 20
    assert one.startswith("AKIA")
    assert len(unique_id("AIDA", PROD, "ci-ledger")) == 21
    assert len(key_secret(PROD, "ci-ledger")) == 40
    assert one[4:12] == key_id(PROD, "svc-mailer")[4:12] != key_id(DEV, "ci-ledger")[4:12]


def test_large_accounts() -> None:
    with AwsSandbox() as sandbox:
        build_large(sandbox, roles=120, users=50)
        iam = asked(sandbox, MANAGEMENT, "iam")
        found: Counter[str] = Counter()
        for page in iam.get_paginator("get_account_authorization_details").paginate():
            found.update({name: len(page[name]) for name in IAM})
        assert found["RoleDetailList"] == 120
        assert found["UserDetailList"] == 50
        assert sandbox.calls["iam:GetAccountAuthorizationDetails"] == 2
        iam.generate_credential_report()
        assert iam.get_credential_report()["Content"].count(b"\n") == 52
