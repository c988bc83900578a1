"""What a principal gains besides administrator access, and what the policies of resources give it."""

from __future__ import annotations

from typing import Any

import pytest

from collectors.aws.evaluator.facts import AwsFacts, ResourcePolicy
from tests.aws_iam import (
    ACCOUNT,
    ADMINISTRATOR,
    ROOT,
    allow,
    arn,
    compute,
    deny,
    document,
    escalates,
    facts,
    links,
    policy,
    role,
    trusting,
    trusts,
    user,
)

FUNCTION = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:app"
LAMBDA = trusting({"Service": "lambda.amazonaws.com"})
READ = allow("s3:GetObject", "arn:aws:s3:::one/*")


def given(arn_of: str, *statements: dict[str, Any], service: str = "lambda") -> ResourcePolicy:
    return ResourcePolicy(service=service, arn=arn_of, record_id=arn_of, document=document(*statements))


def named(principal: str, action: str | list[str], resource: str = FUNCTION, **more: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": action,
        "Resource": resource,
        **more,
    }


def becomes(of: AwsFacts, source: str) -> set[str]:
    return {
        link.target_id.rpartition(":")[2] for link in links(of) if link.source_id.endswith(source.upper())
    }


CODE = ["lambda:UpdateFunctionCode", "lambda:InvokeFunction"]


def _with_function(*statements: dict[str, Any], **more: Any) -> AwsFacts:
    return facts(
        users=[user("helper", **more.pop("user", {}))],
        roles=[role("power", managed=(ADMINISTRATOR,), trust=LAMBDA)],
        compute=[compute("lambda-function", FUNCTION, "power")],
        compute_listed=frozenset({"lambda-function"}),
        policies=[
            {**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR},
            policy("limits", allow("s3:*")),
            policy("no-code", deny("lambda:*")),
        ],
        resource_policies=[given(FUNCTION, *statements)],
        **more,
    )


def test_a_function_whose_own_policy_lets_a_user_change_its_code() -> None:
    """The user has no policy at all."""
    of = _with_function(named(arn("user", "helper"), CODE))
    assert escalates(of, "helper")
    assert becomes(of, "helper") == {"AROAPOWER"}
    (link,) = links(of)
    assert link.fix == f"Remove {arn('user', 'helper')} from the policy of {FUNCTION}."


@pytest.mark.parametrize(
    ("statements", "more"),
    [
        ((named(arn("user", "helper"), "lambda:InvokeFunction"),), {}),
        ((named(arn("user", "another"), CODE),), {}),
        ((named(f"arn:aws:iam::{ACCOUNT}:root", CODE),), {}),
        ((named(arn("user", "helper"), CODE), {**named(arn("user", "helper"), CODE), "Effect": "Deny"}), {}),
        ((named(arn("user", "helper"), CODE),), {"user": {"managed": (arn("policy", "no-code"),)}}),
        ((named(arn("user", "helper"), CODE),), {"scps": [[document(allow("s3:*"))]]}),
    ],
)
def test_a_function_whose_own_policy_does_not(
    statements: tuple[dict[str, Any], ...], more: dict[str, Any]
) -> None:
    """It allows less, or somebody else, delegates to IAM, refuses; or the user's own limits do."""
    assert not escalates(_with_function(*statements, **more), "helper")


def test_a_boundary_does_not_limit_what_a_resource_gives_to_a_user_but_to_a_role() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html"""
    limits = arn("policy", "limits")
    assert escalates(_with_function(named(arn("user", "helper"), CODE), user={"boundary": limits}), "helper")
    of = facts(
        roles=[
            role("power", managed=(ADMINISTRATOR,), trust=LAMBDA),
            role("helper", boundary=limits),
        ],
        compute=[compute("lambda-function", FUNCTION, "power")],
        compute_listed=frozenset({"lambda-function"}),
        policies=[{**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR}, policy("limits", allow("s3:*"))],
        resource_policies=[given(FUNCTION, named(arn("role", "helper"), CODE))],
    )  # fmt: skip
    assert not escalates(of, "helper")


def test_a_chain_over_a_role_without_powers_of_its_own() -> None:
    of = facts(
        users=[user("start", allow("sts:AssumeRole", arn("role", "hop")))],
        roles=[
            role("hop", allow("sts:AssumeRole", arn("role", "end")), trust=trusting(ROOT)),
            role("end", READ, trust=trusting(ROOT)),
            role("aside", trust=trusting(ROOT)),
        ],
    )
    assert becomes(of, "hop") == {"AROAEND"}
    assert becomes(of, "start") == {"AROAHOP"}


@pytest.mark.parametrize(
    ("own", "gains"),
    [
        (allow("s3:GetObject", "arn:aws:s3:::two/*"), True),
        (allow("s3:GetObject", "arn:aws:s3:::one/*"), False),
        (allow("s3:GetObject"), False),
    ],
)
def test_the_same_power_on_another_resource_is_a_gain(own: dict[str, Any], *, gains: bool) -> None:
    of = facts(
        users=[user("start", own, allow("sts:AssumeRole", arn("role", "reader")))],
        roles=[role("reader", READ, trust=trusting(ROOT))],
    )
    assert becomes(of, "start") == ({"AROAREADER"} if gains else set())


def test_a_power_that_only_a_bucket_gives_is_a_gain() -> None:
    bucket = "arn:aws:s3:::one"
    statement = named(arn("role", "reader"), "s3:GetObject", f"{bucket}/*")
    base: dict[str, Any] = {
        "users": [user("start", allow("sts:AssumeRole", arn("role", "reader")))],
        "roles": [role("reader", trust=trusting(ROOT))],
    }
    assert becomes(facts(**base, resource_policies=[given(bucket, statement, service="s3")]), "start") == {
        "AROAREADER"
    }
    assert becomes(facts(**base), "start") == set()


@pytest.mark.parametrize(
    ("action", "with_password", "found"),
    [
        ("iam:CreateLoginProfile", False, True),
        ("iam:CreateLoginProfile", True, False),
        ("iam:UpdateLoginProfile", True, True),
        ("iam:UpdateLoginProfile", False, False),
        (["iam:CreateLoginProfile", "iam:DeleteLoginProfile"], True, True),
        ("iam:CreateLoginProfile", None, True),
        ("iam:UpdateLoginProfile", None, True),
    ],
)
def test_a_password_is_made_for_users_without_and_changed_for_users_with(
    action: str | list[str], *, with_password: bool | None, found: bool
) -> None:
    """None: the credential report was not read."""
    of = facts(
        users=[user("boss", managed=(ADMINISTRATOR,)), user("help", allow(action, arn("user", "boss")))],
        passwords=None
        if with_password is None
        else frozenset({"aws:iam-user:AIDABOSS"} if with_password else ()),
    )
    assert escalates(of, "help") is found


@pytest.mark.parametrize(
    ("conditions", "exposure"),
    [
        ({"StringEqualsIfExists": {"aws:PrincipalAccount": ACCOUNT}}, "organization"),
        ({"ForAllValues:StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, "organization"),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-own"}}, "anyone"),
        ({"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}, "anyone"),
    ],
)
def test_a_key_that_every_signed_request_has_is_tested_with_if_exists_too(
    conditions: dict[str, Any], exposure: str
) -> None:
    """A caller without an organization has no aws:PrincipalOrgID, but every caller has an account."""
    trust = trusting({"AWS": "*"}, Condition=conditions)
    of = facts(roles=[role("open", READ, trust=trust)], organization_id="o-own", organization_accounts=frozenset({ACCOUNT}))  # fmt: skip
    (found,) = trusts(of)
    assert found.exposure == exposure


@pytest.mark.parametrize(("service", "resource", "exposure"), [
    ("kms", f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/one", "organization"),
    ("s3", "arn:aws:s3:::one", "anyone"),
])  # fmt: skip
def test_anonymous_requests_have_no_account(service: str, resource: str, exposure: str) -> None:
    """A bucket answers them, a key does not."""
    action = "kms:Decrypt" if service == "kms" else "s3:GetObject"
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": f"{resource}/*" if service == "s3" else "*", "Condition": {"StringEqualsIfExists": {"aws:PrincipalAccount": ACCOUNT}}}  # fmt: skip
    of = facts(resource_policies=[given(resource, statement, service=service)])
    (found,) = trusts(of)
    assert found.exposure == exposure
