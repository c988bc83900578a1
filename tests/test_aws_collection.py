"""The AWS collector on the simulated organization: its records, its gaps, and the calls that it never sends."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from collectors.aws.evaluator.authorization_details import principal_records
from collectors.aws.facts import ListedPrincipals
from collectors.aws.listings.last_accessed import riskiest
from collectors.aws.permissions import policy
from collectors.aws.regions import REGIONAL
from sandbox.aws.estate import build
from sandbox.aws.keys import key_id, key_secret
from sandbox.aws.organization import LEGACY
from sandbox.aws.server import AwsSandbox
from sandbox.estate import DEV, MANAGEMENT, PROD, REGION
from sandbox.kit.issued import secret_value
from scanner.records import Account, Control, Coverage, Credential, Gap, Identity, Link, Secret
from tests.aws_night import Night, collect, key_of, run_of, sign_in, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ = re.compile(r"^(List|Get|Describe|BatchGet)")
ALSO_READ = {
    "sts:AssumeRole",
    "iam:GenerateCredentialReport",
    "iam:GenerateServiceLastAccessedDetails",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[AwsSandbox]:
    with pytest.MonkeyPatch.context() as patch, AwsSandbox() as opened:
        build(opened, night=1)
        sign_in(patch, opened)
        yield opened


@pytest.fixture(scope="module")
def night(sandbox: AwsSandbox, tmp_path_factory: pytest.TempPathFactory) -> Night:
    return collect(sandbox, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def calls(sandbox: AwsSandbox, night: Night) -> dict[str, int]:
    """What the scanner called for that night."""
    return dict(sandbox.calls)


def arn(account: str, resource: str) -> str:
    return f"arn:aws:iam::{account}:{resource}"


def links(night: Night, relation: str) -> set[tuple[str, str]]:
    return {(link.source_id, link.target_id) for link in night.of(Link) if link.relation == relation}


def test_targets_are_the_organization_and_its_active_accounts(night: Night) -> None:
    assert list(night.by_target) == ["organization", MANAGEMENT, PROD, DEV, LEGACY]


def test_nothing_is_called_that_the_policy_does_not_allow(calls: dict[str, int]) -> None:
    allowed = {
        action
        for statement in policy()["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
    }
    assert set(calls) - allowed - {"sts:AssumeRole"} == set()
    assert len(set(calls)) > 60


def test_everything_that_is_called_only_reads(calls: dict[str, int]) -> None:
    strange = {call for call in calls if not READ.match(call.split(":")[1])}
    assert strange <= ALSO_READ


def test_ids_are_unique(night: Night) -> None:
    counts = Counter((table_of(record), record.id) for record in night.all() if record.provider == "aws")
    mine = {key: n for key, n in counts.items() if key[0] not in {"grants", "trusts"}}
    assert {key for key, n in mine.items() if n > 1} == set()


def test_no_listing_failed_by_a_bug(night: Night) -> None:
    assert [(gap.call, gap.detail) for gap in night.gaps() if gap.reason == "bug"] == []


def test_what_was_refused_is_reported_with_the_permission_that_it_takes(
    night: Night, sandbox: AwsSandbox, calls: dict[str, int]
) -> None:
    refused = [(account, action) for account, actions in sandbox.deny.items() for action in actions]
    assert refused
    for account, action in refused:
        if action in calls:
            gaps = [gap for gap in night.gaps(account) if action in f"{gap.call}, {gap.needs}".split(", ")]
            assert {gap.reason for gap in gaps} == {"denied"}, action


def test_a_listing_is_either_covered_or_missing(night: Night) -> None:
    gaps = {key_of(gap) for gap in night.of(Gap)}
    covered = [key_of(row) for row in night.of(Coverage)]
    assert gaps.isdisjoint(covered)
    assert len(covered) == len(set(covered))


def test_without_its_regions_an_account_lacks_all_that_is_read_by_region(night: Night) -> None:
    by_region = {
        f"{row.table}/{row.kind}" if row.kind else row.table
        for row in (*night.of(Coverage), *night.of(Gap))
        if row.region is not None and row.table not in {"coverage", "*"}
    }
    assert len(by_region) > 30
    assert by_region - set(REGIONAL) == set()


def test_an_account_that_lets_nobody_in_is_one_gap_and_keeps_its_name(night: Night) -> None:
    (gap,) = night.gaps(LEGACY)
    assert (gap.table, gap.kind, gap.call, gap.reason) == ("*", None, "sts:AssumeRole", "denied")
    assert "NhiInventoryReadOnly" in (gap.needs or "")
    (account,) = night.of(Account, LEGACY)
    assert account.name != LEGACY


def test_accounts_hang_in_the_organization(night: Night) -> None:
    accounts = {account.id: account for account in night.of(Account)}
    production = accounts[f"aws:account:{PROD}"]
    assert production.name == "lantern-prod"
    unit = accounts[production.parent_id]
    assert unit.name == "Workloads"
    assert accounts[unit.parent_id].kind == "aws-organizational-unit"
    assert accounts[accounts[unit.parent_id].parent_id].kind == "aws-organization"


def test_service_control_policies_are_guards(night: Night) -> None:
    found = {(control.name, control.target) for control in night.of(Control) if control.kind == "scp"}
    assert ("NoKeysInDevelopment", f"aws:account:{DEV}") in found


def test_users_with_a_password_are_people_and_the_others_are_not(night: Night) -> None:
    assert night.address(arn(MANAGEMENT, "user/tom.becker")).surface == "human"
    assert night.address(arn(MANAGEMENT, "user/tom.becker")).mfa is False
    assert night.address(arn(PROD, "user/ci-ledger")).surface == "automation"


def test_without_the_report_nobody_is_taken_for_automation(
    sandbox: AwsSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sandbox.deny, DEV, {"iam:GetCredentialReport"})
    night = collect(sandbox, tmp_path, DEV, regions=[REGION], resource_policies=[])
    assert {one.surface for one in night.of(Identity, DEV) if one.kind == "iam-user"} == {None}
    assert "automation" in {one.surface for one in night.of(Identity, DEV) if one.kind == "iam-role"}


def test_a_key_that_cannot_be_listed_is_the_one_that_the_report_names(
    sandbox: AwsSandbox, night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys(of: Night) -> list[Credential]:
        return [one for one in of.of(Credential, DEV) if one.kind == "access-key" and one.enabled]

    monkeypatch.setitem(sandbox.deny, DEV, {"iam:ListAccessKeys"})
    refused = collect(sandbox, tmp_path, DEV, regions=[REGION], resource_policies=[])
    assert {one.id for one in keys(refused)} == {one.substitute_id for one in keys(night)}
    assert len(keys(refused)) > 1


def test_a_role_without_use_in_the_window_is_only_young_enough_to_be_never_used(night: Night) -> None:
    old, young = (
        night.address(arn(PROD, f"role/{name}")) for name in ("blue-green-switch", "partner-webhooks")
    )
    assert (old.last_used_at, old.never_used, old.usage_window_days) == (None, None, 400)
    assert (young.last_used_at, young.never_used) == (None, True)


def test_roles_of_identity_center_are_human_and_service_linked_roles_are_the_providers(night: Night) -> None:
    roles = [role for role in night.of(Identity) if role.kind == "iam-role"]
    assert {role.surface for role in roles if role.name.startswith("AWSReservedSSO_")} == {"human"}
    linked = [role for role in roles if role.name.startswith("AWSServiceRoleFor")]
    assert linked
    assert {role.managed_by for role in linked} == {"provider"}


def test_owner_comes_from_tags_with_its_source(night: Night) -> None:
    role = night.address(arn(PROD, "role/deploy-web"))
    assert role.owner
    assert role.owner_source == "tag:owner"
    assert night.address(arn(PROD, "role/etl-adhoc")).owner is None


def test_keys_have_their_id_use_and_age(night: Night) -> None:
    keys = {key.native_id: key for key in night.of(Credential) if key.kind == "access-key"}
    ledger = keys[key_id(PROD, "ci-ledger")]
    assert ledger.identity_id == night.address(arn(PROD, "user/ci-ledger")).id
    assert ledger.lifetime == "static"
    assert (ledger.never_used, ledger.enabled) == (False, True)
    unused = keys[key_id(PROD, "svc-sftp-import")]
    assert (unused.last_used_at, unused.never_used) == (None, True)
    assert keys[key_id(PROD, "svc-archive")].enabled is False
    assert keys[key_id(DEV, "svc-branch-berlin")].location == "berlin-01"


def test_the_root_user_and_its_key(night: Night) -> None:
    root = night.address(arn(MANAGEMENT, "root"))
    assert (root.kind, root.surface, root.mfa) == ("root", "human", True)
    (key,) = [key for key in night.of(Credential) if key.kind == "root-access-key"]
    assert key.identity_id == root.id
    assert key.created_at is not None
    assert night.address(arn(DEV, "root")).mfa is False


def test_service_credentials_that_end_and_that_do_not(night: Night) -> None:
    found = {c.identity_id: c for c in night.of(Credential) if c.kind == "service-credential"}
    forever = found[night.address(arn(PROD, "user/ml-playground")).id]
    ending = found[night.address(arn(PROD, "user/svc-mailer")).id]
    assert (forever.never_expires, forever.lifetime) == (True, "static")
    assert (ending.never_expires, ending.lifetime) == (False, "expiring")


def test_workloads_run_as_roles(night: Night) -> None:
    runs = links(night, "runs_as")
    function = night.address(f"arn:aws:lambda:{REGION}:{PROD}:function:payments-api")
    assert function.surface == "workload"
    assert next(target for source, target in runs if source == function.id).startswith("aws:iam-role:AROA")
    kinds = {record.id: record.kind for record in night.of(Identity)}
    assert {kinds[source] for source, _ in runs} >= {
        "lambda-function",
        "ecs-service",
        "ec2-instance",
        "eks-service-account",
        "codebuild-project",
        "codepipeline",
        "codedeploy-group",
        "codedeploy-on-premises-instance",
    }


def test_links_end_at_records_or_addresses_that_exist(night: Night) -> None:
    known = {record.id for record in night.of(Identity)} | {r.address for r in night.of(Identity)}
    loose = {
        end
        for link in night.of(Link)
        for end in (link.source_id, link.target_id)
        if end not in known and end.startswith("aws:")
    }
    assert loose == set()


def test_a_pod_identity_service_account_presents_the_clusters_tokens(night: Night) -> None:
    (account,) = [found for found in night.of(Identity) if found.kind == "eks-service-account"]
    assert account.issuer.startswith("https://oidc.eks.")
    assert account.subjects == [f"system:serviceaccount:{account.name.replace('/', ':')}"]


def test_values_in_clear_leave_name_detector_length_and_fingerprint(night: Night) -> None:
    secrets = {(secret.store, secret.name): secret for secret in night.of(Secret)}
    stripe = secrets["lambda-env", "STRIPE_API_KEY"]
    assert (stripe.looks_like, stripe.readable, stripe.encrypted) == ("stripe-key", True, False)
    assert stripe.length > 20
    assert len(stripe.fingerprint) == 32
    mine = f"aws:access-key:{key_id(DEV, 'svc-feature-store')}"
    assert secrets["codebuild-env", "AWS_ACCESS_KEY_ID"].credential_id == mine
    assert secrets["codebuild-env", "AWS_SECRET_ACCESS_KEY"].credential_id == mine
    shared = {
        secrets[place].fingerprint
        for place in (("ecs-env", "DB_PASSWORD"), ("lambda-env", "LEDGER_DB_PASSWORD"))
    }
    assert len(shared) == 1


def test_variables_that_name_a_store_are_no_copies(night: Night) -> None:
    secrets = {(secret.store, secret.name): secret for secret in night.of(Secret)}
    session = secrets["ecs-env", "SESSION_SECRET"]
    assert (session.readable, session.managed_by, session.looks_like) == (False, "ssm-parameter", None)
    assert ("lambda-env", "STRIPE_SECRET_ARN") not in secrets
    assert ("codebuild-env", "TOKEN_URL") not in secrets


def test_parameters_that_are_no_secrets_are_left_out(night: Night) -> None:
    names = {secret.name: secret for secret in night.of(Secret) if secret.store == "ssm-parameter"}
    assert names["/prod/ledger/db_password"].encrypted is False
    assert names["/prod/web/session_secret"].encrypted is True
    assert not {"/prod/ledger/db_host", "/prod/auth/token_url", "/dev/features/password_min_length"} & set(
        names
    )


def test_stores_tell_rotation_and_use(night: Night) -> None:
    secrets = {secret.name: secret for secret in night.of(Secret) if secret.store == "secrets-manager"}
    assert secrets["prod/payments/stripe"].rotation_enabled is True
    assert secrets["prod/experiments/openai"].never_used is True
    assert secrets["prod/old/twilio"].never_used is False
    assert secrets["rds!cluster-5f0e2a77"].managed_by == "rds"


def test_source_credentials_that_are_static_and_that_are_not(night: Night) -> None:
    found = {c.name: c for c in night.of(Credential) if c.kind == "source-credential"}
    assert found["GITHUB"].lifetime == "static"
    assert found["GITLAB"].lifetime == "short-lived"
    connections = {c.name: c.enabled for c in night.of(Credential) if c.kind == "connection"}
    assert connections == {"github-lantern": True, "gitlab-migration": False}


def values_in_the_sandbox(sandbox: AwsSandbox, secret: Secret) -> str:
    """Return the value of a readable variable, asked of the sandbox by its builder."""
    where, region = secret.location or "", (secret.location or "").split(":")[3]
    account = secret.account_id.split(":")[-1]
    match secret.store:
        case "lambda-env":
            function = sandbox.client(account, "lambda", region).get_function_configuration(
                FunctionName=where
            )
            return str(function["Environment"]["Variables"][secret.name])
        case "codebuild-env":
            name = where.rsplit("/", 1)[-1]
            (project,) = sandbox.client(account, "codebuild", region).batch_get_projects(names=[name])[
                "projects"
            ]
            variables = project["environment"]["environmentVariables"]
        case _:
            _, cluster, service, container = where.rsplit("/", 3)
            client = sandbox.client(account, "ecs", region)
            (found,) = client.describe_services(cluster=cluster, services=[service])["services"]
            definition = client.describe_task_definition(taskDefinition=found["taskDefinition"])[
                "taskDefinition"
            ]
            containers = {each["name"]: each for each in definition["containerDefinitions"]}
            variables = containers[container]["environment"]
    return str(next(variable["value"] for variable in variables if variable["name"] == secret.name))


def test_no_secret_value_leaves_the_collector(night: Night, sandbox: AwsSandbox) -> None:
    readable = [secret for secret in night.of(Secret) if secret.readable]
    planted = {secret.id: values_in_the_sandbox(sandbox, secret) for secret in readable}
    for secret in readable:
        assert len(planted[secret.id]) == secret.length
    mine = key_id(DEV, "svc-feature-store")
    written = msgspec.json.encode(list(night.all())).decode()
    assert mine in written  # the public part of a key may be stored
    values = {value for value in planted.values() if value != mine}
    values |= {key_secret(DEV, "svc-feature-store"), secret_value("webhook")}
    assert len(values) >= 4
    assert [value for value in values if value in written] == []


def test_policies_are_evaluated(night: Night) -> None:
    grants = [record for record in night.by_target[PROD] if table_of(record) == "grants"]
    trusts = [record for record in night.by_target[PROD] if table_of(record) == "trusts"]
    assert grants
    assert trusts
    covered = {(row.table, row.kind) for row in night.of(Coverage, PROD)}
    assert {("grants", None), ("trusts", None), ("links", "can_become")} <= covered


def test_last_use_is_kept_for_seven_days(sandbox: AwsSandbox, night: Night, tmp_path: Path) -> None:
    def asked(days: int) -> int:
        before = sandbox.calls["iam:GenerateServiceLastAccessedDetails"]
        run = msgspec.structs.replace(run_of(sandbox, tmp_path), as_of=sandbox.as_of + timedelta(days=days))
        more = {"regions": [REGION], "resource_policies": []}
        assert [
            g for g in collect(sandbox, tmp_path, DEV, run=run, **more).gaps() if g.kind == "last-accessed"
        ] == []
        return sandbox.calls["iam:GenerateServiceLastAccessedDetails"] - before

    first = asked(0)
    assert first > 5
    assert asked(6) == 0
    assert asked(8) == first
    (kept,) = tmp_path.glob("aws-last-accessed-*.json")
    assert kept.stat().st_mode & 0o777 == 0o600


def test_the_riskiest_principals_are_asked_first(sandbox: AwsSandbox, night: Night) -> None:
    client = sandbox.client(PROD, "iam")
    answer = client.get_account_authorization_details(MaxItems=1000)
    found = principal_records(answer, f"aws:account:{PROD}", PROD)
    principals = ListedPrincipals(
        identities=found.identities,
        memberships=found.memberships,
        policies=found.policies,
        profile_roles={},
        ids={},
    )
    ranked = riskiest(principals, 1000)
    admin, reader = (
        ranked.index(arn(PROD, "role/deploy-payments")),
        ranked.index(arn(PROD, "role/deploy-web")),
    )
    assert admin < reader
    assert not [found for found in ranked if "/aws-service-role/" in found]
    assert riskiest(principals, 3) == ranked[:3]


def test_the_policy_is_json_that_fits_into_one_managed_policy() -> None:
    text = json.dumps(policy(), separators=(",", ":"))
    assert len(text) <= 6144
    denied: list[Any] = [s for s in policy()["Statement"] if s["Effect"] == "Deny"]
    assert "secretsmanager:GetSecretValue" in denied[0]["Action"]
