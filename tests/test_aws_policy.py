"""Policy documents: parsed in every form, matched and evaluated as AWS does."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from collectors.aws.evaluator.conditions import Truth
from collectors.aws.evaluator.effective import can, effective_actions
from collectors.aws.evaluator.policy import glob, overlaps, parse
from tests.aws_iam import ACCOUNT, AS_OF, allow, deny, document

ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
BUCKET = "arn:aws:s3:::data/key"
YES, NARROW, UNKNOWN, NO = Truth.YES, Truth.NARROW, Truth.UNKNOWN, Truth.NO


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*", "", True),
        ("a*c", "abc", True),
        ("a*c", "ab", False),
        ("a?c", "abc", True),
        ("a?c", "a*c", False),
        ("a*c", "a*c", True),
        ("ab*ba", "aba", False),
        ("*b?d*", "abcde", True),
        ("*b?d*", "abce", False),
        ("a*b*c", "axbxbxc", True),
        ("role/*", "role/x/y", True),
    ],
)
def test_glob(pattern: str, text: str, matches: bool) -> None:
    assert glob(pattern, text) is matches


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("a*", "*b", True),
        ("a*", "b*", False),
        ("a?", "?b", True),
        ("a*bb", "a*c", False),
        ("*x*", "*y*", True),
        ("a?*", "a", False),
        ("arn:aws:s3:::b/*", "arn:*:s3:::*", True),
    ],
)
def test_overlaps(one: str, other: str, both: bool) -> None:
    assert overlaps(one, other) is both
    assert overlaps(other, one) is both


def test_a_document_in_every_shape() -> None:
    plain = document(allow("s3:GetObject"))
    shapes: list[Any] = [
        plain,
        json.dumps(plain),
        quote(json.dumps(plain)),
        document(allow(["s3:GetObject"], ["*"])),
        {"Version": "2012-10-17", "Statement": allow("s3:GetObject")},
        {
            "version": "2012-10-17",
            "statement": [{"effect": "Allow", "action": "s3:GetObject", "resource": "*"}],
        },
        document(allow("S3:getobject")),
    ]
    for shape in shapes:
        assert can("s3:GetObject", BUCKET, identity=[shape], as_of=AS_OF) is YES


@pytest.mark.parametrize(
    "broken",
    [
        "not json",
        "",
        "[]",
        "{}",
        {"Statement": "x"},
        {"Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Action": "*", "NotAction": "x", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": "x"}]},
        {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Surprise": 1}]},
        {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": 7}]},
        '{"Statement": ' + "[" * 100_000,
    ],
)
def test_a_broken_document_says_so(broken: dict[str, Any] | str) -> None:
    assert parse(broken).broken
    assert can("s3:GetObject", BUCKET, identity=[broken], as_of=AS_OF) is NO


ALL = document(allow("*"))


@pytest.mark.parametrize(
    ("action", "resource", "identity", "truth"),
    [
        ("iam:PassRole", ROLE, [ALL], YES),
        ("iam:PassRole", ROLE, [ALL, document(deny("iam:*"))], NO),
        ("iam:PassRole", ROLE, [ALL, document(deny("iam:*", "arn:aws:iam::*:role/other"))], YES),
        ("iam:PassRole", ROLE, [document(allow("iam:Pass*", "arn:aws:iam::*:role/a??"))], YES),
        ("iam:PassRole", ROLE, [document(allow("iam:PassRole", "arn:aws:iam::*:role/App"))], NO),
        ("iam:passrole", ROLE, [document(allow("IAM:PASSROLE"))], YES),
        ("iam:PassRole", ROLE, [document({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"})], YES),
        ("iam:PassRole", ROLE, [document({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"})], NO),
        ("iam:PassRole", ROLE, [document({"Effect": "Allow", "NotAction": "*", "Resource": "*"})], NO),
        ("iam:PassRole", ROLE, [document({"Effect": "Allow", "Action": "*", "NotResource": ROLE})], NO),
        ("iam:PassRole", ROLE, [document({"Effect": "Allow", "Action": "*", "NotResource": BUCKET})], YES),
        ("iam:PassRole", ROLE, [ALL, document({"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"})], NO),
        (
            "s3:GetObject",
            BUCKET,
            [ALL, document({"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"})],
            YES,
        ),
        ("iam:PassRole", ROLE, [ALL, document({"Effect": "Deny", "Action": "*", "NotResource": ROLE})], YES),
        ("iam:PassRole", ROLE, [], NO),
    ],
)
def test_what_documents_allow(action: str, resource: str, identity: list[Any], truth: Truth) -> None:
    assert can(action, resource, identity=identity, as_of=AS_OF) is truth


KNOWN: dict[str, tuple[str, ...] | None] = {
    "aws:username": ("alice",),
    "aws:principalarn": (f"arn:aws:iam::{ACCOUNT}:user/alice",),
    "aws:principaltag/team": ("web",),
    "aws:principalorgid": ("o-1",),
    "aws:principaltag/none": None,
}


@pytest.mark.parametrize(
    ("condition", "truth", "denied"),
    [
        # constant, by what is known of the principal and of the clock
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, YES, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-2"}}, NO, False),
        ({"StringEquals": {"AWS:PRINCIPALTAG/TEAM": ["x", "web"]}}, YES, True),
        ({"StringNotEquals": {"aws:PrincipalTag/team": "web"}}, NO, False),
        ({"StringEquals": {"aws:PrincipalTag/none": "web"}}, NO, False),
        ({"StringNotEquals": {"aws:PrincipalTag/none": "web"}}, YES, True),
        ({"StringEqualsIfExists": {"aws:PrincipalTag/none": "web"}}, YES, True),
        ({"ForAllValues:StringEquals": {"aws:PrincipalTag/none": "web"}}, YES, True),
        ({"ForAnyValue:StringEquals": {"aws:PrincipalTag/none": "web"}}, NO, False),
        ({"Null": {"aws:PrincipalTag/none": "true"}}, YES, True),
        ({"Null": {"aws:PrincipalTag/team": True}}, NO, False),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/al*"}}, YES, True),
        ({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/al*"}}, NO, False),
        ({"StringLike": {"aws:username": "${aws:username}"}}, YES, True),
        ({"StringEqualsIgnoreCase": {"aws:username": "ALICE"}}, YES, True),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, NO, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, YES, True),
        ({"DateLessThan": {"aws:TokenIssueTime": "2020-01-01T00:00:01Z"}}, NO, False),
        ({"NumericGreaterThan": {"aws:EpochTime": "1"}}, YES, True),
        ({"DateLessThan": {"aws:CurrentTime": "no date"}}, NO, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, NO, False),
        ({"Bool": {"aws:SecureTransport": True}}, YES, True),
        ({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}, YES, True),
        ({"StringEquals": {"aws:SourceVpc": "vpc-*"}}, NO, False),
        # narrowed by circumstances
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, NARROW, None),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, NARROW, None),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, NARROW, None),
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, NARROW, None),
        ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, YES, None),
        ({"StringEquals": {"aws:ResourceTag/team": "web"}}, NARROW, None),
        ({"Null": {"aws:SourceVpce": "false"}}, NARROW, None),
        # vacuous: true when the key is left out, or the network is another
        ({"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}, YES, None),
        ({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, YES, None),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, YES, False),
        # what the caller chooses
        ({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, NARROW, False),
        ({"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}, YES, False),
        ({"StringEquals": {"aws:RequestTag/team": "web"}}, NARROW, False),
        ({"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}, NARROW, False),
        # nobody can say
        ({"StringEquals": {"surprise:Key": "x"}}, UNKNOWN, None),
        ({"StringSounds": {"aws:username": "alice"}}, UNKNOWN, None),
    ],
)
def test_conditions(condition: dict[str, Any], truth: Truth, denied: bool | None) -> None:
    """``denied``: whether a Deny with the condition stops everything, nothing (False), or may be avoided (None)."""
    allowed = document(allow("*", Condition=condition))
    assert can("iam:PassRole", ROLE, identity=[allowed], as_of=AS_OF, known=KNOWN) is truth
    refused = [ALL, document(deny("*", Condition=condition))]
    after = can("iam:PassRole", ROLE, identity=refused, as_of=AS_OF, known=KNOWN)
    assert (after is NO) is (denied is True)
    assert (after is YES) is (denied is False)


def test_all_conditions_must_hold() -> None:
    both = {"StringEquals": {"aws:username": "alice", "aws:PrincipalOrgID": "o-2"}}
    assert (
        can("iam:PassRole", ROLE, identity=[document(allow("*", Condition=both))], as_of=AS_OF, known=KNOWN)
        is NO
    )
    refusing = [ALL, document(deny("*", Condition=both))]
    assert can("iam:PassRole", ROLE, identity=refusing, as_of=AS_OF, known=KNOWN) is YES


@pytest.mark.parametrize(
    ("version", "resource", "truth"),
    [
        ("2012-10-17", "arn:aws:s3:::data/${aws:username}/*", YES),
        ("2008-10-17", "arn:aws:s3:::data/${aws:username}/*", NO),
        ("2012-10-17", "arn:aws:s3:::data/${aws:PrincipalTag/team}/*", NO),
        ("2012-10-17", "arn:aws:s3:::data/${saml:sub}/*", Truth.NARROW),
    ],
)
def test_policy_variables(version: str, resource: str, truth: Truth) -> None:
    text = {"Version": version, "Statement": allow("s3:GetObject", resource)}
    assert (
        can("s3:GetObject", "arn:aws:s3:::data/alice/x", identity=[text], as_of=AS_OF, known=KNOWN) is truth
    )


def test_an_unknown_variable_in_a_deny_may_deny() -> None:
    refusing = [ALL, document(deny("*", "arn:aws:s3:::data/${saml:sub}/*"))]
    assert can("s3:GetObject", "arn:aws:s3:::data/bob/x", identity=refusing, as_of=AS_OF) is Truth.UNKNOWN


def test_a_boundary_and_every_level_must_allow() -> None:
    only_s3 = document(allow("s3:*"))
    assert can("s3:GetObject", BUCKET, identity=[ALL], boundary=only_s3, as_of=AS_OF) is YES
    assert can("iam:PassRole", ROLE, identity=[ALL], boundary=only_s3, as_of=AS_OF) is NO
    assert can("s3:GetObject", BUCKET, identity=[], boundary=ALL, as_of=AS_OF) is NO
    assert can("s3:GetObject", BUCKET, identity=[ALL], scps=[[ALL], [only_s3]], as_of=AS_OF) is YES
    assert can("iam:PassRole", ROLE, identity=[ALL], scps=[[ALL], [only_s3]], as_of=AS_OF) is NO
    assert can("iam:PassRole", ROLE, identity=[ALL], scps=[[ALL, only_s3], [ALL]], as_of=AS_OF) is YES
    assert can("iam:PassRole", ROLE, identity=[ALL], scps=[[]], as_of=AS_OF) is NO


def test_effective_actions_names_actions_and_resources() -> None:
    only = effective_actions(
        identity=[ALL, document(deny("s3:Put*"))],
        boundary=document(allow(["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::data/*")),
        as_of=AS_OF,
    )
    assert only == [("s3:GetObject", "arn:aws:s3:::data/*", YES)]


def test_actions_only_work_on_their_own_resources() -> None:
    given = effective_actions(identity=[document(allow("*", "arn:aws:sqs:eu-west-1:1:q"))], as_of=AS_OF)
    assert {name.partition(":")[0] for name, _, _ in given} >= {"sqs"}
    assert "iam:CreateUser" not in {name for name, _, _ in given}
    assert not effective_actions(identity=[document(allow("ec2:DescribeInstances", BUCKET))], as_of=AS_OF)


def test_patterns_that_no_action_matches_are_no_error() -> None:
    odd = document(allow(["nothing:*", "s3:Frobnicate", "*:Frobnicate", "s3", "", "::"]))
    assert effective_actions(identity=[odd], as_of=AS_OF) == []
