"""Any policy document is evaluated or reported as broken; none raises."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.aws.evaluator.evaluation import evaluate_dump
from collectors.aws.evaluator.facts import ResourcePolicy
from tests.aws_iam import ACCOUNT, AS_OF, facts, records, role, user

WORDS = st.sampled_from(
    [
        "*", "", "arn", "arn:aws", "arn:aws:iam", "arn:aws:iam::1:oidc-provider/x", "arn:aws:iam::1:saml-provider/x",
        "arn:x:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/A", "arn:oidc-provider/x", "pods.eks.amazonaws.com",
        "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com", "123456789012", "AROAABCDEFGHIJKLMN",
        "iam:*", "sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML", "${", "${aws:username}",
        "${aws:PrincipalTag/x, 'y'}", "lambda.amazonaws.com", "repo:", "repo:*", "project_path:", "organization:", "?",
        "Allow", "Deny", "2012-10-17", "StringLike", "ForAnyValue:StringEqualsIfExists", "Null", "IpAddress", "Date",
        "token.actions.githubusercontent.com:sub", "aws:SourceIp", "aws:PrincipalArn", "iam:PolicyARN", "true", "1/2",
        "rolesanywhere.amazonaws.com", "cognito-identity.amazonaws.com", "Federated", "AWS", "Service", "\ud800", "\0",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
TEXTS = WORDS | st.lists(WORDS, max_size=3)
CONDITIONS = st.dictionaries(
    st.sampled_from(
        ["StringLike", "StringEquals", "ForAllValues:StringLike", "Null", "Bool", "DateLessThan", "ArnLike"]
    ),
    st.dictionaries(WORDS, TEXTS | VALUES, max_size=2),
    max_size=2,
)


@st.composite
def statements(draw: st.DrawFn) -> Any:
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"]))}
    made[draw(st.sampled_from(["Action", "NotAction"]))] = draw(TEXTS | VALUES)
    if draw(st.booleans()):
        made[draw(st.sampled_from(["Resource", "NotResource"]))] = draw(TEXTS | VALUES)
    if draw(st.booleans()):
        kinds = st.sampled_from(["AWS", "Federated", "Service", "CanonicalUser", "Other"])
        made[draw(st.sampled_from(["Principal", "NotPrincipal"]))] = draw(
            st.dictionaries(kinds, TEXTS, max_size=2) | TEXTS | VALUES
        )
    if draw(st.booleans()):
        made["Condition"] = draw(CONDITIONS | VALUES)
    return made


DOCUMENTS = st.builds(
    lambda one, version: {"Version": version, "Statement": one},
    st.lists(statements(), max_size=3) | VALUES,
    WORDS,
)


@settings(max_examples=200)
@given(document=DOCUMENTS)
def test_nothing_raises(document: Any) -> None:
    holder = user("u") | {"UserPolicyList": [{"PolicyName": "p", "PolicyDocument": document}]}
    given_policy = ResourcePolicy(service="s3", arn="arn:aws:s3:::b", record_id="b", document=document)
    of = facts(
        users=[holder],
        roles=[role("r", trust=document)],
        scps=[[document]] if isinstance(document, dict) else [],
        resource_policies=[given_policy],
        organization_accounts=frozenset({ACCOUNT}),
        organization_id="o-1",
        oidc_providers=frozenset({"x"}),
        eks_issuers=frozenset(),
        pod_identity_roles=frozenset(),
        roles_anywhere_anchors=[],
    )
    found = records(of)
    assert len({one.id for one in found}) == len(found)


def test_dumps_with_little_in_them() -> None:
    assert evaluate_dump({}, ACCOUNT, AS_OF) == []
    bare: dict[str, Any] = {
        "UserDetailList": [{"UserName": "u", "Arn": "arn:aws:iam::1:user/u", "GroupList": None}],
        "GroupDetailList": [{"GroupName": "g"}],
        "RoleDetailList": [{"RoleName": "r", "Arn": "x"}],
        "Policies": [{"Arn": "y", "PolicyVersionList": None}],
    }
    assert {type(one).__name__ for one in evaluate_dump(bare, ACCOUNT, AS_OF)} <= {"Gap"}
