"""The AWS collector's targets, and its messages if it cannot list them."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

import collectors.aws as aws
from collectors.aws.client import sign_in as sign_in_access
from collectors.aws.credential_report import CredentialReport
from collectors.aws.evaluator.evidence import Evidence
from collectors.aws.facts import KeySightings, ListedPrincipals
from collectors.aws.failures import TruncatedError
from collectors.aws.listings.credentials import reported
from collectors.aws.scope import AwsScope
from sandbox.aws.account import AccountBuilder
from sandbox.aws.documents import service_trust
from sandbox.aws.server import AwsSandbox
from sandbox.estate import DEV, FIRST_NIGHT, MANAGEMENT, PROD, REGION
from scanner.collect.collector import Run, TargetError
from scanner.records import Coverage, Gap, Identity, Link
from scanner.secrets.detectors import Fingerprint
from tests.aws_night import sign_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def sandbox() -> Iterator[AwsSandbox]:
    with AwsSandbox() as opened:
        yield opened


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(as_of=FIRST_NIGHT, fingerprint=Fingerprint(b"k"), cache=tmp_path, stopping=threading.Event())


def config(sandbox: AwsSandbox, **more: object) -> aws.Config:
    return aws.Config.model_validate({"endpoint_url": sandbox.url, "max_attempts": 1, **more})


def test_without_accounts_it_is_the_account_of_the_credentials(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    (target,) = aws.targets(config(sandbox), run)
    assert (target.name, target.account_id, target.params["role"]) == (
        MANAGEMENT,
        f"aws:account:{MANAGEMENT}",
        "",
    )


def test_other_accounts_are_entered_by_their_role(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    found = list(aws.targets(config(sandbox, accounts=[DEV, PROD], role_name="audit/reader"), run))
    assert [target.params["role"] for target in found] == [
        f"arn:aws:iam::{PROD}:role/audit/reader",
        f"arn:aws:iam::{DEV}:role/audit/reader",
    ]


def test_no_credentials(sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, sandbox)
    for name in [
        name for name in os.environ if (name.startswith("AWS_") and "KEY" in name) or "TOKEN" in name
    ]:
        monkeypatch.delenv(name)
    with pytest.raises(TargetError, match=r"cannot sign in to AWS: .*workload identity"):
        list(aws.targets(config(sandbox), run))


def test_wrong_credentials(sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, sandbox)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAZZZZZZZZZZZZZZZZ")
    with pytest.raises(TargetError, match=r"InvalidClientTokenId.*check the profile"):
        list(aws.targets(config(sandbox), run))


def test_expired_session(sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, sandbox)
    sandbox.fail("sts:GetCallerIdentity", 401, times=1)
    with pytest.raises(TargetError, match="expired: sign in again"):
        list(aws.targets(config(sandbox), run))
    sandbox.heal()


def test_a_profile_that_is_not_there(sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(monkeypatch, sandbox)
    with pytest.raises(TargetError, match="nightly"):
        list(aws.targets(config(sandbox, profile="nightly"), run))


def test_an_external_id_that_is_not_set(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    monkeypatch.delenv("SCANNER_EXTERNAL_ID", raising=False)
    section = config(sandbox, accounts=[PROD], external_id="${env:SCANNER_EXTERNAL_ID}")
    (target,) = aws.targets(section, run)
    (gap,) = aws.collect(target, section, run)
    assert isinstance(gap, Gap)
    assert (gap.table, gap.reason) == ("*", "denied")
    assert "SCANNER_EXTERNAL_ID" in gap.detail


def test_an_organization_that_is_not_there(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    with pytest.raises(TargetError, match="does not belong to an organization"):
        list(aws.targets(config(sandbox, organization=True), run))


def test_an_organization_that_may_not_be_listed(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    sandbox.fail("organizations:DescribeOrganization", 403)
    with pytest.raises(
        TargetError, match=r"cannot list the accounts of the organization.*DescribeOrganization"
    ):
        list(aws.targets(config(sandbox, organization=True), run))
    sandbox.heal()


def test_without_a_region_the_home_region_is_us_east_1(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert [target.name for target in aws.targets(config(sandbox), run)] == [MANAGEMENT]


def test_an_account_of_its_own_is_read_without_an_organization(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first thing that a user tries: one account, no configuration, all enabled regions."""
    sign_in(monkeypatch, sandbox)
    AccountBuilder(sandbox, MANAGEMENT).client("iam").create_user(UserName="first")
    section = config(sandbox)
    (target,) = aws.targets(section, run)
    records = list(aws.collect(target, section, run))
    assert [gap.call for gap in records if isinstance(gap, Gap)] == []
    assert "first" in {found.name for found in records if isinstance(found, Identity)}
    regions = {row.region for row in records if isinstance(row, Coverage) and row.region}
    assert regions == set(sandbox.state.regions)


def action(name: str, category: str, provider: str, **configuration: str) -> dict[str, object]:
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    return {"name": name, "actionTypeId": kind, "configuration": configuration}


def test_a_pipeline_deploys_what_its_actions_name(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    home = AccountBuilder(sandbox, MANAGEMENT)
    role = f"arn:aws:iam::{MANAGEMENT}:role/pipeline"
    home.client("codepipeline").create_pipeline(
        pipeline={
            "name": "release",
            "roleArn": home.role("pipeline", service_trust("codepipeline")),
            "artifactStore": {"type": "S3", "location": "lantern-artifacts"},
            "version": 1,
            "stages": [
                {"name": "Source", "actions": [action("Get", "Source", "S3", S3Bucket="b", S3ObjectKey="k")]},
                {
                    "name": "Deploy",
                    "actions": [
                        action("Service", "Deploy", "ECS", ClusterName="core", ServiceName="ledger"),
                        action(
                            "Group", "Deploy", "CodeDeploy", ApplicationName="app", DeploymentGroupName="blue"
                        ),
                        {**action("Stack", "Deploy", "CloudFormation", RoleArn=role), "roleArn": role},
                    ],
                },
            ],
        }
    )
    section = config(sandbox, regions=[REGION])
    (target,) = aws.targets(section, run)
    records = list(aws.collect(target, section, run))
    address = f"arn:aws:codepipeline:{REGION}:{MANAGEMENT}:release"
    pipeline = f"aws:codepipeline:{address}"
    (role_id,) = [found.id for found in records if isinstance(found, Identity) and found.address == role]
    ends = {
        (link.relation, link.target_id)
        for link in records
        if isinstance(link, Link) and link.source_id == pipeline
    }
    assert ends == {
        ("runs_as", role_id),
        ("uses", role_id),
        ("deploys", f"arn:aws:ecs:{REGION}:{MANAGEMENT}:service/core/ledger"),
        ("deploys", f"arn:aws:codedeploy:{REGION}:{MANAGEMENT}:deploymentgroup:app/blue"),
    }


def test_more_resources_than_the_limit_are_reported(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    s3 = sandbox.client(MANAGEMENT, "s3")
    for number in range(3):
        s3.create_bucket(Bucket=f"many-{number}", CreateBucketConfiguration={"LocationConstraint": REGION})
    section = config(sandbox, regions=[REGION], resource_policy_limit=2)
    (target,) = aws.targets(section, run)
    told = [gap for gap in aws.collect(target, section, run) if isinstance(gap, Gap)]
    assert [(gap.table, gap.call, gap.reason) for gap in told] == [
        ("policies", "s3:GetBucketPolicy", "truncated"),
        ("grants", "s3:GetBucketPolicy", "truncated"),
        ("trusts", "s3:GetBucketPolicy", "truncated"),
    ]


def test_a_report_that_lacks_a_user_is_truncated(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    section = config(sandbox)
    (target,) = aws.targets(section, run)
    scope = AwsScope(
        config=section,
        run=run,
        target=target,
        access=sign_in_access(section, run),
        account=MANAGEMENT,
        partition="aws",
    )
    missing = iam_user("ada", FIRST_NIGHT - timedelta(days=10))
    young = iam_user("bob", FIRST_NIGHT)
    report = CredentialReport(rows={}, generated_at=FIRST_NIGHT - timedelta(hours=3))
    with pytest.raises(TruncatedError, match="lacks 1 users, such as ada"):
        list(reported(scope.knowing(listed(missing, young)), report, KeySightings()))
    assert list(reported(scope.knowing(listed(young)), report, KeySightings())) == []


def iam_user(name: str, created_at: datetime) -> Identity:
    return Identity(
        id=f"aws:iam-user:{name}",
        provider="aws",
        account_id=f"aws:account:{MANAGEMENT}",
        surface="automation",
        kind="iam-user",
        native_id=name,
        name=name,
        address=f"arn:aws:iam::{MANAGEMENT}:user/{name}",
        created_at=created_at,
    )


def listed(*identities: Identity) -> ListedPrincipals:
    ids = {one.address or "": one.id for one in identities}
    return ListedPrincipals(
        identities=list(identities), memberships=[], policies=[], profile_roles={}, ids=ids
    )


def test_regions_that_cannot_be_listed_are_reported_for_all_that_is_in_them(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, sandbox)
    sandbox.fail("ec2:DescribeRegions", 403)
    section = config(sandbox)
    (target,) = aws.targets(section, run)
    records = list(aws.collect(target, section, run))
    sandbox.heal()
    missing = {(gap.table, gap.kind) for gap in records if isinstance(gap, Gap)}
    assert {
        ("identities", "lambda-function"),
        ("secrets", "secrets-manager"),
        ("links", "runs_as"),
    } <= missing


def test_a_region_of_the_configuration_that_is_not_enabled_is_one_warning_and_no_gap(
    sandbox: AwsSandbox, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sign_in(monkeypatch, sandbox)
    section = config(sandbox, regions=[REGION, "ap-south-2"])
    (target,) = aws.targets(section, run)
    records = list(aws.collect(target, section, run))
    assert {row.region for row in records if isinstance(row, Coverage | Gap)} == {None, REGION}
    assert [row.message for row in caplog.records if "ap-south-2" in str(vars(row))] == [
        "collectors.aws.regions names regions that are not enabled; they are not read"
    ]


def test_an_issuer_in_a_region_that_is_not_read_is_not_gone() -> None:
    urls = [f"oidc.eks.{region}.amazonaws.com/id/A" for region in (REGION, "ap-south-1")]
    account = f"aws:account:{MANAGEMENT}"
    evidence = Evidence()
    for url in [*urls, "token.actions.githubusercontent.com"]:
        evidence.add(
            Identity(
                id=url,
                provider="aws",
                account_id=account,
                surface="automation",
                kind="oidc-provider",
                native_id=url,
                name=url,
            )
        )
    assert evidence.facts(account).eks_issuers is None
    evidence.add(clusters_listed(account, REGION))
    assert evidence.facts(account).eks_issuers == frozenset({f"https://{urls[1]}"})
    evidence.add(clusters_listed(account, "ap-south-1"))
    assert evidence.facts(account).eks_issuers == frozenset()


def clusters_listed(account: str, region: str) -> Coverage:
    return Coverage(
        id=region,
        provider="aws",
        account_id=account,
        collector="aws",
        target=MANAGEMENT,
        table="accounts",
        kind="eks-cluster",
        call="eks:ListClusters",
        region=region,
        items=0,
    )


def test_external_ids_are_references_or_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCANNER_EXTERNAL_ID", "4f0c9e6b")
    assert aws.Config(external_id="plain").read_external_id() == "plain"
    section = aws.Config.model_validate({"external_id": "${env:SCANNER_EXTERNAL_ID}"})
    assert section.read_external_id() == "4f0c9e6b"
    with pytest.raises(ValidationError):
        aws.Config.model_validate({"external_id": "${SCANNER_EXTERNAL_ID}"})


def test_account_numbers_are_twelve_digits() -> None:
    with pytest.raises(ValidationError):
        aws.Config.model_validate({"accounts": ["1234"]})
