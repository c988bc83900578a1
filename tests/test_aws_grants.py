"""What comes out of an account: grants, links and gaps, as a reader of the policies would tell them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from collectors.aws.evaluator.evaluation import evaluate_dump
from collectors.aws.evaluator.facts import ResourcePolicy
from collectors.aws.evaluator.usage import WINDOW
from scanner.records import Gap, Grant, Trust
from tests.aws_iam import (
    ACCOUNT,
    ADMINISTRATOR,
    AS_OF,
    ROOT,
    allow,
    arn,
    compute,
    deny,
    document,
    escalates,
    facts,
    gaps,
    grants,
    group,
    links,
    policy,
    records,
    role,
    trusting,
    user,
)

MANAGED: dict[str, dict[str, Any]] = (
    json.loads(aws_managed_policies_data)
    if isinstance(aws_managed_policies_data, str)
    else aws_managed_policies_data
)


@cache
def managed_grants() -> dict[str, Grant]:
    """Return the grant of each AWS managed policy, each held by a role of its own that no service can be given."""
    policies, roles = [], []
    for number, (name, entry) in enumerate(sorted(MANAGED.items())):
        address = f"arn:aws:iam::aws:policy{entry['Path']}{name}"
        version = {"VersionId": "v1", "IsDefaultVersion": True, "Document": entry["Document"]}
        policies.append({"PolicyName": name, "Arn": address, "PolicyVersionList": [version]})
        roles.append(role(f"r{number}", managed=(address,)))
    found = evaluate_dump({"RoleDetailList": roles, "Policies": policies}, ACCOUNT, AS_OF)
    assert not [one for one in found if isinstance(one, Gap)]
    return {
        one.role: one for one in found if isinstance(one, Grant) and not one.role.startswith("escalation:")
    }


def test_every_policy_of_aws_is_evaluated() -> None:
    found = managed_grants()
    assert len(MANAGED) > 1000
    missing = set(MANAGED) - set(found)
    denying_or_tagged = ('"Deny"', "aws:PrincipalTag", "${aws:username}")
    assert all(
        any(word in json.dumps(MANAGED[name]["Document"]) for word in denying_or_tagged) for name in missing
    )
    unknown = [name for name, grant in found.items() if grant.level == "unknown"]
    assert len(unknown) < 20
    assert all(found[name].confidence == "low" for name in unknown)
    assert all(grant.why and grant.resource for grant in found.values())


def test_nobody_is_reported_to_edit_a_policy_of_aws() -> None:
    fixes = {grant.role: grant.fix for grant in managed_grants().values() if grant.fix is not None}
    assert len(fixes) > 1000
    assert [
        fix
        for role, fix in fixes.items()
        if not fix.startswith(f"Replace the AWS managed policy {role} with ")
    ] == []


@pytest.mark.parametrize(
    ("name", "level", "has", "lacks"),
    [
        ("AdministratorAccess", "admin", {"admin", "read-secrets", "deploy"}, set()),
        ("IAMFullAccess", "admin", {"admin"}, {"read-secrets", "read-data"}),
        ("PowerUserAccess", "write", {"read-secrets", "deploy", "change-delivery", "change-data"}, {"admin"}),
        (
            "ReadOnlyAccess",
            "write",
            {"read-secrets", "read-data", "read"},
            {"admin", "deploy", "change-data"},
        ),
        ("SecurityAudit", "read", {"read"}, {"read-secrets", "change-data"}),
        ("ViewOnlyAccess", "read", {"read"}, {"read-secrets", "change-data"}),
        ("AmazonS3ReadOnlyAccess", "read", {"read-data"}, {"change-data"}),
        ("AmazonS3FullAccess", "write", {"change-data", "read-data"}, {"admin", "grant-access"}),
        ("AWSLambdaBasicExecutionRole", "read", {"read"}, {"change-data"}),
        ("AWSCodeBuildDeveloperAccess", "write", {"change-delivery"}, {"admin"}),
        ("SecretsManagerReadWrite", "write", {"read-secrets"}, {"admin"}),
    ],
)
def test_policies_of_aws_as_a_reader_would_tell_them(
    name: str, level: str, has: set[str], lacks: set[str]
) -> None:
    grant = managed_grants()[name]
    assert grant.level == level
    assert has <= set(grant.powers)
    assert not lacks & set(grant.powers)
    assert len(grant.actions) <= 10


def only(of: Any, name: str) -> Grant:
    (found,) = grants(of, name)
    return found


def test_a_grant_explains_itself() -> None:
    reading = allow("secretsmanager:GetSecretValue", Sid="Secrets")
    grant = only(facts(users=[user("u", allow("s3:ListAllMyBuckets"), reading)]), "u")
    assert grant.powers == ["read-secrets", "read"]
    assert grant.why == (
        "Statement 'Secrets' of policy own allows secretsmanager:GetSecretValue on *, which allows reading secrets."
    )
    assert grant.fix == (
        "In statement 'Secrets' of policy own, replace Resource * with the ARNs that need secretsmanager:GetSecretValue,"
        " or remove the action."
    )
    assert (grant.via, grant.breadth, grant.confidence, grant.conditional) == (
        "inline",
        "account",
        "high",
        False,
    )


@pytest.mark.parametrize(
    ("resource", "breadth"),
    [("*", "account"), ("arn:aws:s3:::data-*/*", "group"), ("arn:aws:s3:::data/key", "resource")],
)
def test_breadth(resource: str, breadth: str) -> None:
    grant = only(facts(users=[user("u", allow("s3:GetObject", resource))]), "u")
    assert (grant.resource, grant.breadth) == (resource, breadth)


@pytest.mark.parametrize(
    ("statement", "wildcard"),
    [
        (allow("*"), "*"),
        (allow("s3:*"), "s3:*"),
        (allow(["s3:Get*", "sqs:*"]), "sqs:*"),
        (allow("s3:Get*"), "s3:get*"),
        (allow("s3:GetObject"), None),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, "NotAction"),
        ({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::a/*"}, "NotResource"),
    ],
)
def test_wildcard(statement: dict[str, Any], wildcard: str | None) -> None:
    assert only(facts(users=[user("u", statement)]), "u").wildcard == wildcard


def test_powers_are_what_is_left_after_denies_and_limits() -> None:
    both = allow(["s3:GetObject", "secretsmanager:GetSecretValue"])
    assert only(facts(users=[user("u", both, deny("secretsmanager:*"))]), "u").powers == ["read-data"]
    bounded = user("u", both, boundary=arn("policy", "limits"))
    policies = [policy("limits", allow("secretsmanager:*"))]
    assert only(facts(users=[bounded], policies=policies), "u").powers == ["read-secrets"]
    scps = [[document(allow("*")), document(deny("s3:*"))]]
    assert only(facts(users=[user("u", both)], scps=scps), "u").powers == ["read-secrets"]
    assert grants(facts(users=[user("u", both, deny("*"))]), "u") == []


def test_conditions_are_reported() -> None:
    phone = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    grant = only(facts(users=[user("u", allow("s3:GetObject", Condition=phone))]), "u")
    assert grant.conditional is True
    assert grant.confidence == "high"
    assert "under a condition on aws:multifactorauthpresent" in (grant.why or "")
    odd = only(facts(users=[user("u", allow("s3:GetObject", Condition={"StringEquals": {"x:y": "z"}}))]), "u")
    assert odd.confidence == "low"


def test_a_second_factor_that_a_machine_never_has() -> None:
    phone = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    machine = role("m", allow("*", Condition=phone), trust=trusting({"Service": "ec2.amazonaws.com"}))
    assert grants(facts(roles=[machine]), "m") == []


def test_unread_limits_lower_the_confidence() -> None:
    own = [user("u", allow("s3:GetObject"))]
    assert only(facts(users=own, scps=None), "u").confidence == "low"
    assert only(facts(users=own, scps=None, management=True), "u").confidence == "high"
    bounded = [user("u", allow("s3:GetObject"), boundary=arn("policy", "missing"))]
    assert only(facts(users=bounded), "u").confidence == "low"


def test_groups() -> None:
    of = facts(
        users=[user("u", groups=("devs",))],
        groups=[group("devs", allow("s3:GetObject"), managed=(ADMINISTRATOR,)), group("empty", allow("*"))],
    )
    held = {(one.role, one.via, one.level) for one in grants(of, "u")}
    assert held == {("AdministratorAccess", "group devs", "admin"), ("own", "group devs, inline", "read")}
    assert grants(of, "devs") == []
    assert [one.level for one in grants(of, "empty")] == ["admin"]
    (member,) = links(of, "member_of")
    assert (member.source_id, member.target_id) == ("aws:iam-user:AIDAU", "aws:iam-group:AGPADEVS")


@pytest.mark.parametrize(
    "broken", ["{", "", {"Statement": [{"Effect": "Allow", "Action": "s3:*", "What": 1}]}]
)
def test_a_broken_policy_is_unknown_and_a_gap(broken: Any) -> None:
    holder = user("u") | {"UserPolicyList": [{"PolicyName": "odd", "PolicyDocument": broken}]}
    of = facts(users=[holder])
    grant = only(of, "u")
    assert (grant.level, grant.powers, grant.confidence) == ("unknown", [], "low")
    (found,) = gaps(of)
    assert (found.table, found.reason) == ("grants", "malformed")


def test_one_broken_statement_beside_a_sound_one() -> None:
    half = {"Statement": [allow("*"), {"Effect": "Perhaps"}]}
    of = facts(users=[user("u") | {"UserPolicyList": [{"PolicyName": "odd", "PolicyDocument": half}]}])
    assert only(of, "u").level == "unknown"
    assert len(gaps(of)) == 1


def test_a_policy_that_was_not_given_is_unknown() -> None:
    of = facts(users=[user("u", managed=("arn:aws:iam::aws:policy/Rare",))])
    assert only(of, "u").level == "unknown"
    assert len(gaps(of)) == 1


def test_actions_that_nobody_knows_are_unknown() -> None:
    grant = only(facts(users=[user("u", allow("quantum:Entangle"))]), "u")
    assert (grant.level, grant.powers, grant.confidence) == ("unknown", [], "low")


def test_usage() -> None:
    holder = role("r", allow(["s3:GetObject", "sqs:ReceiveMessage"]))
    used = datetime(2026, 11, 1, tzinfo=UTC)
    seen: dict[str, dict[str, datetime | None]] = {arn("role", "r"): {"s3": used, "sqs": None, "ec2": None}}
    grant = only(facts(roles=[holder], last_accessed=seen), "r")
    assert (grant.unused_actions, grant.last_used_at, grant.never_used) == (1, used, False)
    never: dict[str, dict[str, datetime | None]] = {arn("role", "r"): {"s3": None, "sqs": None}}
    grant = only(facts(roles=[holder], last_accessed=never), "r")
    assert (grant.unused_actions, grant.last_used_at, grant.never_used) == (2, None, True)
    young = holder | {"CreateDate": AS_OF - WINDOW / 2}
    grant = only(facts(roles=[young], last_accessed=never), "r")
    assert (grant.unused_actions, grant.never_used) == (None, None)
    grant = only(facts(roles=[holder]), "r")
    assert (grant.unused_actions, grant.never_used) == (None, None)


def test_who_has_a_power_that_the_holder_lacks() -> None:
    address = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:app"
    roles = [
        role("secrets", allow("secretsmanager:GetSecretValue"), trust=trusting(ROOT)),
        role("nothing", allow("s3:ListAllMyBuckets"), trust=trusting(ROOT)),
        role("fn", allow("dynamodb:GetItem"), trust=trusting({"Service": "lambda.amazonaws.com"})),
        role("caller", allow("sts:AssumeRole", [arn("role", "secrets"), arn("role", "nothing")])),
        role("deployer", allow("lambda:UpdateFunctionCode", address)),
    ]
    of = facts(roles=roles, compute=[compute("lambda-function", address, "fn")])
    found = {(one.source_id, one.target_id) for one in links(of)}
    assert found == {
        ("aws:iam-role:AROACALLER", "aws:iam-role:AROASECRETS"),
        ("aws:iam-role:AROADEPLOYER", "aws:iam-role:AROAFN"),
    }
    assert not escalates(of, "caller")
    assert not escalates(of, "deployer")


def test_roles_of_other_accounts() -> None:
    grant = only(facts(roles=[role("r", allow("sts:AssumeRole", "arn:aws:iam::999999999999:role/x"))]), "r")
    assert grant.powers[0] == "become-other"
    assert (grant.why or "").endswith(
        ", which allows acting as another identity if a role of another account trusts it."
    )


def test_ids_are_unique_and_the_same_every_time() -> None:
    of = facts(
        users=[user("u", allow("s3:GetObject"), groups=("g", "h"), managed=(ADMINISTRATOR,))],
        groups=[group("g", managed=(ADMINISTRATOR,)), group("h", managed=(ADMINISTRATOR,))],
        roles=[role("r", allow("iam:*"), trust=trusting({"AWS": ["*", "*"]}))],
    )
    found = records(of)
    assert len({one.id for one in found}) == len(found)
    assert found == records(of)


BUCKET = "arn:aws:s3:::data"


def resource_records(
    service: str, address: str, *statements: dict[str, Any], **more: Any
) -> list[Grant | Trust]:
    given = ResourcePolicy(
        service=service, arn=address, record_id="aws:bucket:data", document=document(*statements)
    )
    of = facts(users=[user("u")], resource_policies=[given], **more)
    return [one for one in records(of) if isinstance(one, Grant | Trust)]


def principal(who: Any, action: str = "s3:GetObject", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": who, "Action": action, "Resource": f"{BUCKET}/*", **more}


@pytest.mark.parametrize(
    ("statement", "problem", "severity", "exposure"),
    [
        (principal("*"), "PUBLIC-1", "high", "anyone"),
        (principal("*", "s3:PutObject"), "PUBLIC-1", "critical", "anyone"),
        (
            principal({"AWS": "*"}, Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
            None,
            None,
            "organization",
        ),
        (
            principal("*", Condition={"StringEquals": {"aws:SourceVpce": "vpce-1"}}),
            None,
            None,
            "organization",
        ),
        (
            principal("*", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
            "PUBLIC-1",
            "high",
            "anyone",
        ),
        (principal({"Service": "cloudtrail.amazonaws.com"}, "s3:PutObject"), "SVC-1", "info", "exact"),
        (principal({"AWS": "arn:aws:iam::999999999999:root"}), "XACCT-3", "low", "another-tenant"),
        (principal({"AWS": "AIDAJQABLZS4A3QDU576Q"}), "DANGLING-1", "low", "nobody"),
    ],
)
def test_resource_policies(
    statement: dict[str, Any], problem: str | None, severity: str | None, exposure: str
) -> None:
    found = resource_records("s3", BUCKET, statement, organization_accounts=frozenset({ACCOUNT}))
    (trust,) = [one for one in found if isinstance(one, Trust)]
    assert (trust.problem, trust.severity, trust.exposure) == (problem, severity, exposure)
    assert trust.identity_id == "aws:bucket:data"


def test_who_a_resource_policy_names_holds_a_grant() -> None:
    named = [arn("user", "u"), "arn:aws:iam::999999999999:role/x"]
    found = resource_records("s3", BUCKET, principal({"AWS": named}, "s3:*"))
    held = {one.identity_id: one for one in found if isinstance(one, Grant)}
    assert set(held) == {"aws:iam-user:AIDAU", "arn:aws:iam::999999999999:role/x"}
    grant = held["aws:iam-user:AIDAU"]
    assert (grant.via, grant.resource, grant.powers) == (
        "resource policy",
        BUCKET,
        ["change-data", "read-data", "read"],
    )


def test_the_account_itself_decides_by_iam() -> None:
    own = {"Effect": "Allow", "Principal": ROOT, "Action": "kms:*", "Resource": "*"}
    assert resource_records("kms", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1", own) == []


def test_a_deny_for_everybody_counts() -> None:
    refuse = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [BUCKET, f"{BUCKET}/*"]}
    assert resource_records("s3", BUCKET, principal("*"), refuse) == []


@pytest.mark.parametrize(
    ("changes", "exposure"),
    [
        ({}, "organization"),
        ({"Action": ["s3:*"], "Resource": [BUCKET, f"{BUCKET}/*"]}, "organization"),
        # One that speaks of less, or of others, leaves the rest open to everybody.
        ({"Action": "s3:PutObject"}, "anyone"),
        ({"Resource": f"{BUCKET}/private/*"}, "anyone"),
        ({"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}, "anyone"),
    ],
)
def test_a_deny_on_a_condition_binds_whom_and_what_it_names(changes: dict[str, Any], exposure: str) -> None:
    refuse = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"{BUCKET}/*",
        "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}},
    }
    found = resource_records("s3", BUCKET, principal("*"), refuse | changes)
    (trust,) = [one for one in found if isinstance(one, Trust)]
    assert trust.exposure == exposure


def test_a_broken_resource_policy_is_a_gap() -> None:
    broken = ResourcePolicy(service="s3", arn=BUCKET, record_id=BUCKET, document="{")
    found = gaps(facts(resource_policies=[broken]))
    assert {(one.table, one.reason) for one in found} == {("grants", "malformed"), ("trusts", "malformed")}


def test_an_administrator_on_a_condition_is_reported_once() -> None:
    phone = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    of = facts(users=[user("u", allow("*", Condition=phone)), user("v"), user("w")])
    (grant,) = grants(of, "u")
    assert (grant.level, grant.conditional) == ("admin", True)
    assert links(of) == []
    free = facts(users=[user("u", allow("*", Condition=phone), allow("iam:PutUserPolicy", arn("user", "u")))])
    assert "escalation:iam-put-user-policy" in {one.role for one in grants(free, "u")}


def test_a_path_over_several_users_is_reported_once() -> None:
    held = allow(["iam:PutUserPolicy", "iam:CreateAccessKey"], arn("user", "app-*"))
    of = facts(users=[user("app-one"), user("app-two")], roles=[role("r", held)])
    found = records(of)
    assert len({one.id for one in found}) == len(found)
    roles = [one.role for one in grants(of, "r")]
    assert roles.count("escalation:iam-put-user-policy-key") == 1
    why = next(one.why for one in grants(of, "r") if one.role.startswith("escalation"))
    assert why == (
        "r can use iam:PutUserPolicy and iam:CreateAccessKey and so make user app-one an administrator and act as it."
    )
