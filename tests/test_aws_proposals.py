"""Changed policies that a finding's fix amounts to: each is applied here, and the account evaluated again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from collectors.aws.evaluator.account import AccountEvaluation
from collectors.aws.evaluator.document_changes import without_actions
from collectors.aws.evaluator.facts import ResourcePolicy
from collectors.aws.evaluator.policy_records import RESOURCE
from collectors.aws.proposals import HolderChanges, trust_changes
from scanner.policies import applied, canonical_document, policy_record
from scanner.records import Trust
from tests.aws_iam import (
    ACCOUNT,
    ADMINISTRATOR,
    AS_OF,
    account,
    allow,
    arn,
    document,
    escalates,
    facts,
    grants,
    group,
    policy,
    records,
    role,
    trusting,
    trusts,
    user,
)
from tests.test_aws_escalation import HOLDER, PATHS, Case
from tests.test_aws_trust import EKS, GITHUB, WEB, provider

if TYPE_CHECKING:
    from collectors.aws.evaluator.facts import AwsFacts
    from scanner.policies import PolicyChange

ADMIN = {**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR}


def with_changes(of: AwsFacts, changes: list[PolicyChange]) -> AwsFacts:
    return msgspec.structs.replace(of, policies=list(applied(of.policies, changes)))


def proposed(of: AwsFacts, address: str) -> list[PolicyChange]:
    evaluated = account(of)
    return HolderChanges(evaluated, of.policies, evaluated.by_arn[address]).changes()


@pytest.mark.parametrize("path_id", [path.id for path in PATHS.values() if path.requires is None])
def test_the_changed_policies_end_each_path(path_id: str) -> None:
    case = Case(PATHS[path_id])
    of = case.facts(case.steps())
    changes = proposed(of, case.holder)
    assert changes
    assert all(change.how for change in changes)
    assert not escalates(with_changes(of, changes), HOLDER)


KEY = "iam:CreateAccessKey"


def small(*users: dict[str, Any], **more: Any) -> AwsFacts:
    given = more.pop("policies", [])
    return facts(users=[user("boss", managed=(ADMINISTRATOR,)), *users], policies=[ADMIN, *given], **more)


def shown(changes: list[PolicyChange]) -> list[tuple[str, Any]]:
    return [
        (
            change.how,
            json.loads(change.after.document)["Statement"]
            if change.after and change.after.document
            else None,
        )
        for change in changes
    ]


def test_an_action_that_is_named_is_removed_where_it_stands() -> None:
    of = small(user("ci", allow([KEY, "s3:GetObject"], arn("user", "boss"))))
    (change,) = shown(proposed(of, arn("user", "ci")))
    assert change == ("Replace the policy own of ci.", [allow(["s3:GetObject"], arn("user", "boss"))])


def test_a_wildcard_is_met_by_a_deny() -> None:
    """No list of what remains of ``iam:*`` would stay true."""
    of = small(user("ci", allow("iam:CreateAcc*", arn("user", "*"))))
    changes = proposed(of, arn("user", "ci"))
    assert [how for how, _ in shown(changes)] == ["Add the inline policy limits-of-ci to ci."]
    assert not escalates(with_changes(of, changes), "ci")


def test_a_policy_of_aws_is_replaced() -> None:
    keys = {**policy("IAMUserKeys", allow("iam:*AccessKey*")), "Arn": "arn:aws:iam::aws:policy/IAMUserKeys"}
    of = small(user("ci", managed=(keys["Arn"],)), user("other", managed=(keys["Arn"],)), policies=[keys])
    changes = proposed(of, arn("user", "ci"))
    assert [change.how for change in changes] == [
        "Create the managed policy IAMUserKeys-ci, and attach it to ci.",
        "Detach the AWS managed policy IAMUserKeys from ci.",
    ]
    after = with_changes(of, changes)
    assert not escalates(after, "ci")
    assert escalates(after, "other")


def test_a_policy_that_others_have_is_left_alone() -> None:
    shared = policy("shared", allow(KEY))
    of = small(
        user("ci", managed=(shared["Arn"],)), user("other", managed=(shared["Arn"],)), policies=[shared]
    )
    after = with_changes(of, proposed(of, arn("user", "ci")))
    assert (escalates(after, "ci"), escalates(after, "other")) == (False, True)


def test_what_a_group_gives_is_denied_to_the_user() -> None:
    of = small(user("ci", groups=("staff",)), groups=[group("staff", allow(KEY))])
    changes = proposed(of, arn("user", "ci"))
    assert [change.how for change in changes] == ["Add the inline policy limits-of-ci to ci."]
    assert not escalates(with_changes(of, changes), "ci")


def test_a_role_forgets_whom_its_trust_names() -> None:
    power = role(
        "power", managed=(ADMINISTRATOR,), trust=trusting({"AWS": [arn("user", "ci"), arn("user", "other")]})
    )
    of = small(user("ci"), user("other"), roles=[power])
    (change,) = shown(proposed(of, arn("user", "ci")))
    assert change[0] == "Replace the trust policy of role power."
    assert change[1][0]["Principal"] == {"AWS": [arn("user", "other")]}


def test_an_administrator_gets_the_services_that_it_used() -> None:
    used = {arn("user", "ci"): {"s3": AS_OF, "iam": AS_OF, "sqs": None}}
    of = small(user("ci", managed=(ADMINISTRATOR,)), last_accessed=used)
    changes = proposed(of, arn("user", "ci"))
    assert ("Create the managed policy AdministratorAccess-ci, and attach it to ci.", [allow(["s3:*"])]) in shown(changes)  # fmt: skip
    assert [one.powers for one in grants(with_changes(of, changes), "ci")] == [
        ["change-data", "read-data", "read"]
    ]
    unknown = small(user("ci", managed=(ADMINISTRATOR,)))
    assert proposed(unknown, arn("user", "ci")) == []


def test_an_ambiguous_statement_is_not_edited() -> None:
    for statement in (
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        allow("iam:*"),
        allow(KEY, arn("user", "*")),
    ):
        text = canonical_document(document(statement))
        assert without_actions(text, [KEY], arn("user", "boss")) is None
    text = canonical_document(document(allow("s3:*"), allow(KEY, [arn("user", "boss"), arn("user", "x")])))
    assert json.loads(without_actions(text, [KEY], arn("user", "boss")) or "")["Statement"] == [
        allow("s3:*"),
        allow([KEY], [arn("user", "x")]),
    ]


def of_trust(of: AwsFacts, callers: list[dict[str, str]]) -> tuple[list[PolicyChange], list[Trust]]:
    evaluated = AccountEvaluation(of, AS_OF)
    (trust,) = trusts(of)
    changes = trust_changes(evaluated, of.policies, trust, callers)
    return changes, trusts(with_changes(of, changes))


MAIN = {"sub": "repo:acme/app:ref:refs/heads/main", "repository_id": "7"}
TEST = {"sub": "repo:acme@1/app@2:environment:test", "repository_id": "7"}
AUD = {"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"}}


@pytest.mark.parametrize(
    ("condition", "callers", "pinned"),
    [
        (AUD, [TEST], ("StringEquals", f"{GITHUB}:sub", TEST["sub"])),
        (AUD | {"StringLike": {f"{GITHUB}:sub": "repo:acme/*"}}, [TEST], ("StringEquals", f"{GITHUB}:sub", TEST["sub"])),
        (AUD | {"StringLike": {f"{GITHUB}:sub": "*"}}, [TEST], ("StringEquals", f"{GITHUB}:sub", TEST["sub"])),
        ({"StringEquals": {f"{GITHUB}:sub": TEST["sub"]}}, [], ("StringEquals", f"{GITHUB}:aud", "sts.amazonaws.com")),
        ({"StringEquals": {**AUD["StringEquals"], f"{GITHUB}:sub": MAIN["sub"]}}, [MAIN], ("StringEquals", f"{GITHUB}:repository_id", "7")),
        ({"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com", f"{GITHUB}:sub": "repo:acme@1/app@2:*"}}, [], ("StringLike", f"{GITHUB}:sub", "repo:acme@1/app@2:*")),
    ],
)  # fmt: skip
def test_a_trust_is_pinned_to_its_known_callers(condition: Any, callers: list[dict[str, str]], pinned: tuple[str, str, str]) -> None:  # fmt: skip
    of = facts(
        roles=[role("ci", allow("s3:PutObject"), trust=trusting(provider(GITHUB), WEB, Condition=condition))]
    )
    assert trusts(of)[0].problem is not None
    changes, after = of_trust(of, callers)
    (change,) = changes
    assert change.after is not None
    operator, key, value = pinned
    (statement,) = json.loads(change.after.document or "")["Statement"]
    assert statement["Condition"][operator][key] == value
    if operator == "StringEquals":
        assert [one.problem for one in after] == [None]


def test_without_a_known_caller_there_is_nothing_to_pin() -> None:
    of = facts(roles=[role("ci", trust=trusting(provider(GITHUB), WEB, Condition=AUD))])
    assert of_trust(of, [])[0] == []


OTHER = "arn:aws:iam::999999999999:role/x"


@pytest.mark.parametrize(
    ("trust", "more", "problem"),
    [
        (trusting("*"), {"organization_id": "o-1"}, None),
        (trusting({"AWS": "*"}), {}, None),
        (trusting({"Service": "config.amazonaws.com"}), {}, None),
        (trusting(provider(EKS), WEB, Condition={"StringEquals": {f"{EKS}:sub": "system:serviceaccount:a:b"}}), {}, None),
        (trusting({"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"}, "sts:AssumeRoleWithSAML"), {}, "SAML-2"),
        (trusting({"AWS": "AIDAJQABLZS4A3QDU576Q"}), {}, "gone"),
    ],
)  # fmt: skip
def test_trusts_whose_pin_needs_no_caller(trust: Any, more: dict[str, Any], problem: str | None) -> None:
    of = facts(roles=[role("r", trust=trust)], **more)
    changes, after = of_trust(of, [])
    assert [change.how for change in changes] == ["Replace the trust policy of role r."]
    assert [one.problem for one in after] == ([] if problem == "gone" else [problem])


def test_of_several_principals_only_one_changes() -> None:
    of = facts(
        roles=[role("r", trust=trusting({"AWS": "*", "Service": "ec2.amazonaws.com"}))], organization_id="o-1"
    )
    evaluated = AccountEvaluation(of, AS_OF)
    trust = next(one for one in trusts(of) if one.problem)
    (change,) = trust_changes(evaluated, of.policies, trust, [])
    assert change.after is not None
    statements = json.loads(change.after.document or "")["Statement"]
    assert [one["Principal"] for one in statements] == [{"AWS": "*"}, {"Service": ["ec2.amazonaws.com"]}]
    assert "Condition" not in statements[1]


def test_roles_with_one_document_part_when_one_changes() -> None:
    of = facts(roles=[role("a", trust=trusting("*")), role("b", trust=trusting("*"))], organization_id="o-1")
    evaluated = AccountEvaluation(of, AS_OF)
    first, _ = trusts(of)
    after = trusts(with_changes(of, trust_changes(evaluated, of.policies, first, [])))
    assert {one.identity_id: one.problem for one in after} == {
        "aws:iam-role:AROAA": None,
        "aws:iam-role:AROAB": "XACCT-1",
    }


def test_the_policy_of_a_bucket() -> None:
    bucket = "arn:aws:s3:::data"
    text = document(
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{bucket}/*"}
    )
    held = ResourcePolicy(service="s3", arn=bucket, record_id=bucket, document=canonical_document(text))
    of = facts(resource_policies=[held], organization_id="o-1")
    stored = policy_record(
        provider="aws", kind=RESOURCE, account_id=of.account_ref, native_id="1", name="s3 resource policy",
        document=canonical_document(text), attached_to=[bucket],
    )  # fmt: skip
    (trust,) = trusts(of)
    (change,) = trust_changes(AccountEvaluation(of, AS_OF), [stored], trust, [])
    assert change.how == f"Replace the policy of {bucket}."
    assert change.after is not None
    kept = msgspec.structs.replace(held, document=change.after.document or "")
    (found,) = [
        one
        for one in records(facts(resource_policies=[kept], organization_id="o-1"))
        if isinstance(one, Trust)
    ]
    assert (found.problem, found.exposure) == (None, "organization")
