"""Laws of policy evaluation, on generated policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.aws.evaluator.effective import effective_actions
from collectors.aws.evaluator.policy import glob, overlaps
from scanner.records import POWERS, Grant, Power
from tests.aws_iam import ACCOUNT, ADMINISTRATOR, AS_OF, ROOT, arn, document, facts, grants, role, trusting

if TYPE_CHECKING:
    from collectors.aws.evaluator.conditions import Truth

ACTIONS = st.sampled_from(
    [
        "*", "iam:*", "iam:Put*", "iam:PassRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:CreateRole",
        "sts:AssumeRole", "lambda:*", "lambda:CreateFunction", "lambda:InvokeFunction", "s3:Get*", "s3:PutObject",
        "secretsmanager:GetSecretValue", "ec2:RunInstances", "ec2:Describe*", "*:List*", "nothing:Known",
    ]
)  # fmt: skip
RESOURCES = st.sampled_from(
    [
        "*", arn("role", "*"), arn("role", "admin"), arn("role", "holder"), arn("role", "a*"), "arn:aws:s3:::data/*",
        "arn:aws:s3:::data/key", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:app", arn("role", "${aws:username}"),
    ]
)  # fmt: skip
CONDITIONS = st.sampled_from(
    [
        None,
        None,
        {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
        {"StringEquals": {"odd:Key": "x"}},
        {"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}},
    ]
)


@st.composite
def statements(draw: st.DrawFn, effect: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": effect or draw(st.sampled_from(["Allow", "Allow", "Allow", "Deny"]))}
    made[draw(st.sampled_from(["Action", "Action", "Action", "NotAction"]))] = draw(
        st.lists(ACTIONS, min_size=1, max_size=3)
    )
    made[draw(st.sampled_from(["Resource", "Resource", "Resource", "NotResource"]))] = draw(
        st.lists(RESOURCES, min_size=1, max_size=2)
    )
    condition = draw(CONDITIONS)
    if condition:
        made["Condition"] = condition
    return made


POLICY = st.lists(statements(), min_size=1, max_size=4)


def evaluated(*inline: list[dict[str, Any]]) -> list[Grant]:
    """Return the grants of a role with some inline policies, in an account with an administrator to become."""
    holder = role("holder") | {
        "RolePolicyList": [
            {"PolicyName": f"p{number}", "PolicyDocument": document(*one)}
            for number, one in enumerate(inline)
        ]
    }
    admin = role(
        "admin", trust=trusting({"Service": "lambda.amazonaws.com", **ROOT}), managed=(ADMINISTRATOR,)
    )
    return grants(facts(roles=[admin, holder]), "holder")


def powers(*inline: list[dict[str, Any]]) -> set[Power]:
    return {power for grant in evaluated(*inline) for power in grant.powers}


def strength(found: set[Power]) -> int:
    return max((len(POWERS) - POWERS.index(power) for power in found), default=0)


@settings(max_examples=60)
@given(policy=POLICY, more=statements(effect="Deny"))
def test_a_deny_never_adds(policy: list[dict[str, Any]], more: dict[str, Any]) -> None:
    before = effective_actions(identity=[document(*policy)], as_of=AS_OF)
    after = effective_actions(identity=[document(*policy, more)], as_of=AS_OF)
    allowed: dict[str, list[tuple[str, Truth]]] = {}
    for name, resource, truth in before:
        allowed.setdefault(name, []).append((resource, truth))
    # What a Deny with NotResource spares is a part of what was allowed.
    for name, resource, truth in after:
        assert any(glob(wide, resource) and truth <= most for wide, most in allowed.get(name, ()))


@settings(max_examples=60)
@given(policy=POLICY, more=statements(effect="Deny"))
def test_a_deny_never_adds_power(policy: list[dict[str, Any]], more: dict[str, Any]) -> None:
    assert strength(powers([*policy, more])) <= strength(powers(policy))


@settings(max_examples=60)
@given(actions=st.lists(ACTIONS, min_size=1, max_size=3), resource=RESOURCES, condition=CONDITIONS)
def test_a_narrower_resource_never_adds_power(
    actions: list[str], resource: str, condition: dict[str, Any] | None
) -> None:
    narrow: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resource}
    if condition:
        narrow["Condition"] = condition
    assert strength(powers([narrow])) <= strength(powers([narrow | {"Resource": "*"}]))


@settings(max_examples=60)
@given(policy=POLICY, data=st.data())
def test_order_does_not_matter(policy: list[dict[str, Any]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(policy))
    assert powers(policy) == powers(shuffled)


@settings(max_examples=60)
@given(policy=POLICY)
def test_splitting_a_policy_changes_nothing(policy: list[dict[str, Any]]) -> None:
    assert strength(powers(policy)) == strength(powers(*([one] for one in policy)))


@settings(max_examples=60)
@given(one=statements())
def test_scalar_and_list_agree(one: dict[str, Any]) -> None:
    scalar = {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in one.items()
    }
    assert powers([one]) == powers([scalar])


PATTERN = st.text(alphabet="ab*?", max_size=6)
TEXT = st.text(alphabet="ab", max_size=6)


@given(pattern=PATTERN, other=PATTERN, text=TEXT)
def test_patterns(pattern: str, other: str, text: str) -> None:
    if glob(pattern, text) and glob(other, text):
        assert overlaps(pattern, other)
    if glob(pattern, other) and glob(other, text):
        assert glob(pattern, text)
