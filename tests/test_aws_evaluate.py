"""`evaluate` over a stored night gives what the night itself gave, and over changed policies what would be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import collectors.aws as aws
from collectors.aws.evaluator.policy_records import document_text
from sandbox.aws.documents import trust
from sandbox.aws.estate import build
from sandbox.aws.server import AwsSandbox
from sandbox.estate import DEV, MANAGEMENT, PROD, REGION
from scanner.parquet import read_table, write_table
from scanner.records import TABLE_OF, TABLES, Account, Coverage, Gap, Grant, Identity, Link, Policy, Trust
from tests.aws_night import Night, collect, sign_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from scanner.records import Record

TOKEN = "ghp_" + "a1B2c3D4e5" * 4
PASSWORD = "Tr0ub4dor-and-3-horses"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[AwsSandbox]:
    with pytest.MonkeyPatch.context() as patch, AwsSandbox() as opened:
        build(opened, night=1)
        plant(opened)
        sign_in(patch, opened)
        yield opened


def plant(sandbox: AwsSandbox) -> None:
    """Add what the estate has none of: secrets in policies, a permissions boundary, a second version."""
    iam = sandbox.client(DEV, "iam")
    careless = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": TOKEN,
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:RequestTag/password": PASSWORD}},
            }
        ],
    }
    wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    kept = iam.create_policy(PolicyName="kept", PolicyDocument=json.dumps(careless))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=kept, PolicyDocument=json.dumps(wide), SetAsDefault=False)
    limit = iam.create_policy(
        PolicyName="limit",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        ),
    )["Policy"]["Arn"]
    for name in ("first", "second"):
        iam.create_role(
            RoleName=f"planted-{name}",
            AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{MANAGEMENT}:root"}),
            PermissionsBoundary=limit,
        )
        iam.attach_role_policy(RoleName=f"planted-{name}", PolicyArn=kept)
        iam.put_role_policy(RoleName=f"planted-{name}", PolicyName="same", PolicyDocument=json.dumps(wide))


@pytest.fixture(scope="module")
def night(sandbox: AwsSandbox, tmp_path_factory: pytest.TempPathFactory) -> Night:
    return collect(sandbox, tmp_path_factory.mktemp("cache"), regions=[REGION])


@pytest.fixture(scope="module")
def stored(night: Night, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The night's records, as they come back from Parquet files."""
    return list(kept(night.all(), tmp_path_factory.mktemp("night")))


def kept(records: Iterable[Record], folder: Path) -> Iterator[Record]:
    tables: dict[str, dict[str, Record]] = {}
    for record in records:
        tables.setdefault(TABLE_OF[type(record)], {}).setdefault(record.id, record)
    for name, rows in tables.items():
        path = folder / f"{name}.parquet"
        write_table(path, TABLES[name], rows.values())
        yield from read_table(path, TABLES[name])


def results_in(records: Iterable[Record]) -> dict[str, Record]:
    """Return the results of the evaluation: grants, trusts, and links from escalation paths."""
    return {
        record.id: record
        for record in records
        if (isinstance(record, Grant) and record.via != "EKS access entry")
        or isinstance(record, Trust)
        or (isinstance(record, Link) and record.relation == "can_become")
    }


def evaluated(records: Iterable[Record], sandbox: AwsSandbox) -> dict[str, Record]:
    every = list(records)
    policies = [record for record in every if isinstance(record, Policy)]
    others = [record for record in every if not isinstance(record, Policy)]
    return results_in(aws.evaluate(policies, others, sandbox.as_of))


def test_a_stored_night_comes_to_the_same(night: Night, stored: list[Record], sandbox: AwsSandbox) -> None:
    of_the_night = results_in(night.all())
    assert len(of_the_night) > 150
    assert {type(record) for record in of_the_night.values()} == {Grant, Trust, Link}
    assert evaluated(stored, sandbox) == of_the_night


def test_the_order_of_records_does_not_matter(stored: list[Record], sandbox: AwsSandbox) -> None:
    assert evaluated(reversed(stored), sandbox) == evaluated(stored, sandbox)


@pytest.mark.parametrize(
    "calls",
    [
        ("organizations:DescribeOrganization", "lambda:ListFunctions"),
        ("organizations:ListPolicies", "eks:ListClusters", "rolesanywhere:ListTrustAnchors"),
        ("organizations:ListRoots", "iam:ListOpenIDConnectProviders", "s3:GetBucketPolicy"),
        (
            "organizations:ListAccounts",
            "iam:GetServiceLastAccessedDetails",
            "eks:ListPodIdentityAssociations",
        ),
    ],
    ids=lambda calls: calls[0],
)
def test_what_the_night_did_not_know_is_not_known_afterwards(
    sandbox: AwsSandbox, tmp_path: Path, calls: tuple[str, ...]
) -> None:
    """One account without an organization target, so that it yields the organization's records itself."""
    alone: dict[str, Any] = {"organization": False, "accounts": [PROD], "regions": [REGION]}
    for call in calls:
        sandbox.fail(call, 403)
    try:
        blind = collect(sandbox, tmp_path / "cache", **alone)
    finally:
        sandbox.heal()
    told = {name for gap in blind.gaps() for name in f"{gap.call}, {gap.needs}".split(", ")}
    assert set(calls) <= told
    (tmp_path / "night").mkdir()
    assert evaluated(kept(blind.all(), tmp_path / "night"), sandbox) == results_in(blind.all())


def test_one_account_alone_keeps_the_policies_over_it(sandbox: AwsSandbox, tmp_path: Path) -> None:
    alone = collect(sandbox, tmp_path, organization=False, accounts=[PROD], regions=[REGION])
    kinds = {account.kind for account in alone.of(Account)}
    assert {"aws-organization", "aws-organizational-unit", "aws-account"} <= kinds
    (organization,) = [account for account in alone.of(Account) if account.kind == "aws-organization"]
    assert organization.administrator_id == f"aws:account:{MANAGEMENT}"
    assert f"aws:account:{DEV}" in organization.members
    assert {policy.kind for policy in alone.of(Policy)} >= {"scp", "role-trust"}


def test_an_account_whose_principals_were_not_read_is_passed_over(
    sandbox: AwsSandbox, tmp_path: Path
) -> None:
    sandbox.fail("iam:GetAccountAuthorizationDetails", 403)
    try:
        blind = collect(sandbox, tmp_path, DEV, regions=[REGION])
    finally:
        sandbox.heal()
    assert results_in(blind.all()) == {}
    assert evaluated(blind.all(), sandbox) == {}
    assert {"grants", "trusts"} <= {gap.table for gap in blind.gaps()}


def test_a_changed_policy_comes_to_what_would_be(stored: list[Record], sandbox: AwsSandbox) -> None:
    """Take a statement away from one role's policy and see its grant go; nobody else's changes."""
    before = evaluated(stored, sandbox)
    (role,) = [one for one in stored if isinstance(one, Identity) and one.name == "planted-first"]
    harmless = document_text(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    )
    changed: list[Record] = [
        msgspec.structs.replace(one, document=harmless)
        if isinstance(one, Policy) and one.kind == "inline-policy" and role.id in one.attached_to
        else one
        for one in stored
    ]
    after = evaluated(changed, sandbox)
    gone = {record.id for key, record in before.items() if key not in after}
    assert any(f"{role.native_id}:inline:same" in one for one in gone)
    assert {key for key in after if "payments" in key} == {key for key in before if "payments" in key}


def test_each_document_is_kept_once_with_all_that_it_is_attached_to(night: Night) -> None:
    policies: list[Policy] = night.of(Policy)
    assert len({policy.id for policy in policies}) == len(policies)
    mine = {
        (policy.kind, policy.name): policy for policy in policies if policy.name in {"kept", "limit", "same"}
    }
    roles = sorted(one.id for one in night.of(Identity) if one.name.startswith("planted-"))
    assert len(roles) == 2
    assert {key: policy.attached_to for key, policy in mine.items()} == {
        ("managed-policy", "kept"): roles,
        ("managed-policy-version", "kept"): [mine["managed-policy", "kept"].id],
        ("managed-policy", "limit"): [],
        ("permissions-boundary", "limit"): roles,
        ("inline-policy", "same"): roles,
    }
    for policy in policies:
        document: Any = json.loads(policy.document or "null")
        assert policy.document == json.dumps(document, sort_keys=True, separators=(",", ":"))
        assert len(policy.sha256 or "") == 64


def test_every_kind_of_policy_is_kept(night: Night) -> None:
    assert {policy.kind for policy in night.of(Policy)} == aws.KINDS["policies"]


def test_secrets_in_policies_are_masked_everywhere(night: Night) -> None:
    written = msgspec.json.encode(list(night.all())).decode()
    assert TOKEN not in written
    assert PASSWORD not in written
    (kept_policy,) = [one for one in night.of(Policy) if one.kind == "managed-policy" and one.name == "kept"]
    assert "[redacted:github-token]" in kept_policy.document
    assert "[redacted:value]" in kept_policy.document
    assert "aws:RequestTag/password" in kept_policy.document


def test_every_listing_counts_what_it_gave(night: Night) -> None:
    """Of a kind that one account's listings cover in full, the rows are as many as these say, or fewer where they overlap."""
    columns = ("kind", "store", "relation")
    for target, records in night.by_target.items():
        rows: dict[tuple[str, str | None], set[str]] = {}
        for record in records:
            if isinstance(record, Coverage | Gap):
                continue
            kind = next((getattr(record, name) for name in columns if hasattr(record, name)), None)
            table = TABLE_OF[type(record)]
            for key in {(table, kind), (table, None)}:
                rows.setdefault(key, set()).add(record.id)
        missing = {(gap.table, gap.kind) for gap in records if isinstance(gap, Gap)}
        told: dict[tuple[str, str | None], list[int]] = {}
        for row in records:
            if isinstance(row, Coverage):
                told.setdefault((row.table, row.kind), []).append(row.items)
        for key, counts in told.items():
            if key in missing or key[0] in {"grants", "trusts"}:
                continue
            found = len(rows.get(key, ()))
            assert max(counts) <= found <= sum(counts), (target, key, counts, found)
        # Grants and trusts of all kinds of policies are evaluated together.
        for table in ("grants", "trusts"):
            if (table, None) in told and not any(one[0] == table for one in missing):
                counts = [count for key, several in told.items() if key[0] == table for count in several]
                assert sum(counts) == len(rows.get((table, None), ())), (target, table)
        # No record is yielded without a listing that covers it.
        assert {key for key in rows if key[1] is not None and key[0] != "trusts"} <= {*told, *missing}, target
