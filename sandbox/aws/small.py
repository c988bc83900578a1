"""One member account with items for every listing, for tests that read it many times."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.aws.account import AccountBuilder
from sandbox.aws.development import build_development
from sandbox.aws.documents import service_trust
from sandbox.aws.organization import build_organization
from sandbox.aws.production_workloads import CLUSTER_ISSUER, build_cluster
from sandbox.estate import DEV, REGION

if TYPE_CHECKING:
    from sandbox.aws.server import AwsSandbox


def build_small(sandbox: AwsSandbox, night: int) -> None:
    """Build the account; nothing happens between its nights."""
    if sandbox.night:
        sandbox.night = night
        return
    build_organization(sandbox)
    build_development(sandbox)
    account = AccountBuilder(sandbox, DEV)
    build_cluster(account)
    account.oidc_provider(CLUSTER_ISSUER)
    _service(account)
    _bucket(account)
    sandbox.night = night


def _service(account: AccountBuilder) -> None:
    roles = [account.role(name, service_trust("ecs-tasks")) for name in ("batch-task", "batch-execution")]
    account.service(
        "batch",
        "batch",
        task_role=roles[0],
        execution_role=roles[1],
        image=f"{DEV}.dkr.ecr.{REGION}.amazonaws.com/batch:latest",
        environment={},
        owner="risk",
    )


def _bucket(account: AccountBuilder) -> None:
    s3 = account.client("s3")
    name = "lantern-dev-datasets"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{name}/*",
    }
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    account.about("s3", "Name", name, CreationDate=account.ago(900))
