"""Kinds of records that the simulated company does not have: one account that has each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.aws.account import AccountBuilder
from sandbox.aws.organization import build_organization
from sandbox.aws.server import AwsSandbox
from sandbox.estate import DEV, REGION
from sandbox.kit.authority import CertificateAuthority
from scanner.records import Control, Credential, Identity, Secret
from tests.aws_night import Night, collect, sign_in

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLIC_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDexample ci@example"


def build(sandbox: AwsSandbox, night: int) -> None:
    """An account with one object of each kind."""
    build_organization(sandbox)
    account = AccountBuilder(sandbox, DEV)
    iam, ec2, ecs = (account.client(name) for name in ("iam", "ec2", "ecs"))
    account.user("deployer", created=300)
    iam.upload_ssh_public_key(UserName="deployer", SSHPublicKeyBody=PUBLIC_KEY)
    with CertificateAuthority() as authority:
        iam.upload_signing_certificate(UserName="deployer", CertificateBody=authority.bundle.read_text())
    ec2.create_key_pair(KeyName="operations")
    image = ec2.describe_images(Owners=["self", "amazon"])["Images"]
    ec2.run_instances(
        ImageId=image[0]["ImageId"] if image else "ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        UserData="#!/bin/sh\nexport DB_PASSWORD=Xk29vQz71LmPw\n",
    )
    ecs.register_task_definition(
        family="nightly",
        containerDefinitions=[{"name": "main", "image": "registry.example/job:1", "memory": 128}],
    )
    account.put(
        "webhooks",
        definition={
            "name": "open-hook",
            "targetPipeline": "release",
            "targetAction": "Source",
            "filters": [],
            "authentication": "UNAUTHENTICATED",
            "authenticationConfiguration": {},
        },
        url=f"https://{REGION}.webhooks.aws/trigger?t=open",
        arn=account.arn("codepipeline", "webhook:open-hook"),
    )
    sandbox.night = night


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    with pytest.MonkeyPatch.context() as patch, AwsSandbox(builder=build) as sandbox:
        sandbox.show(1)
        sign_in(patch, sandbox)
        yield collect(
            sandbox, tmp_path_factory.mktemp("cache"), DEV, ssh_keys=True, user_data=True, regions=[REGION]
        )


def test_an_ssh_key_of_a_user_and_a_key_pair_of_instances_are_static_credentials(night: Night) -> None:
    found = {row.kind: row for row in night.of(Credential)}
    assert found["ssh-key"].lifetime == found["ec2-key-pair"].lifetime == "static"
    assert found["ec2-key-pair"].name == "operations"
    (user,) = [row for row in night.of(Identity) if row.name == "deployer"]
    assert found["ssh-key"].identity_id == user.id
    assert found["signing-certificate"].identity_id == user.id
    assert found["signing-certificate"].enabled


def test_user_data_holds_a_secret_by_name(night: Night) -> None:
    (secret,) = [row for row in night.of(Secret) if row.store == "ec2-user-data"]
    assert (secret.name, secret.readable) == ("DB_PASSWORD", True)


def test_a_task_definition_without_a_service_is_a_workload(night: Night) -> None:
    (task,) = [row for row in night.of(Identity) if row.kind == "ecs-task-definition"]
    assert (task.surface, task.name) == ("workload", "nightly:1")


def test_a_webhook_without_authentication_is_a_missing_control(night: Night) -> None:
    (hook,) = [row for row in night.of(Control) if row.kind == "webhook-authentication"]
    assert (hook.stage, hook.enforcement) == ("source", "absent")
