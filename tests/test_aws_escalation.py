"""Every escalation path: walked when all of it is there, not walked when any part is missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from collectors.aws.evaluator.actions import matching
from collectors.aws.evaluator.escalation_paths import EscalationPath, implied, paths
from collectors.aws.evaluator.policy_records import MANAGED, TRUST, document_text
from tests.aws_iam import (
    ACCOUNT,
    ADMINISTRATOR,
    ROOT,
    account,
    allow,
    arn,
    compute,
    deny,
    document,
    escalates,
    facts,
    grants,
    group,
    links,
    policy,
    role,
    trusting,
    user,
)

if TYPE_CHECKING:
    from collectors.aws.evaluator.escalation_hits import Hit
    from collectors.aws.evaluator.facts import AwsFacts

PATHS = {path.id: path for path in paths()}
HOLDER = "holder"
SAML = f"arn:aws:iam::{ACCOUNT}:saml-provider/corporate"
OIDC = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.example.com"
HARMLESS = {
    "self": arn("user", "somebody-else"),
    "own-policy": arn("policy", "somebody-elses"),
    "own-group": arn("group", "somebody-elses"),
    "target": arn("role", "harmless"),
    "policy-of-target": arn("policy", "somebody-elses"),
    "other-user": arn("user", "nobody"),
    "saml-provider": f"arn:aws:iam::{ACCOUNT}:saml-provider/other",
    "oidc-provider": f"arn:aws:iam::{ACCOUNT}:oidc-provider/other.example.com",
    "role": arn("user", "not-a-role"),
    "user": arn("role", "not-a-user"),
}


class Case:
    """One account in which a holder walks one path, and ways to spoil it."""

    def __init__(self, path: EscalationPath) -> None:
        self.path = path
        self.holder_kind = path.holder or "user"
        self.holder = arn(self.holder_kind, HOLDER)
        self.compute_arn = (path.arn or "").replace("{partition}", "aws").replace("{account}", ACCOUNT)
        self.compute_arn = self.compute_arn.replace("{name}", "app").replace(":*:", ":eu-west-1:")
        self.target = {
            "user": arn("user", "target"),
            "any-user": arn("user", "target"),
            "group": arn("group", "target"),
        }.get(path.target, arn("role", "target"))

    def resource(self, covers: str) -> str:
        """Return the narrowest resource on which a step works."""
        if covers == "compute" and self.path.compute == "ecs-service":
            return f"arn:aws:ecs:eu-west-1:{ACCOUNT}:task/main/*"
        return {
            "self": self.holder,
            "own-policy": arn("policy", "held"),
            "own-group": arn("group", "own"),
            "target": self.target,
            "policy-of-target": arn("policy", "of-target"),
            "other-user": arn("user", "target"),
            "compute": self.compute_arn,
            "saml-provider": SAML,
            "oidc-provider": OIDC,
            "role": arn("role", "app-*"),
            "user": arn("user", "app-*"),
            "anything": "*",
        }[covers]

    def steps(self, *, without: int | None = None, narrowed: int | None = None) -> list[dict[str, Any]]:
        """Return the holder's statements: one a step."""
        found = []
        for number, step in enumerate(self.path.steps):
            if number == without:
                continue
            action = step.actions[0]
            resource = self.resource(step.covers)
            if number == narrowed:
                resource = HARMLESS.get(step.covers, resource.replace(":eu-west-1:", ":us-west-2:"))
            found.append(allow(action, resource))
        return found

    def facts(self, statements: list[dict[str, Any]]) -> AwsFacts:
        path = self.path
        service = path.services[0] if path.services else "ec2.amazonaws.com"
        trust: dict[str, Any] = trusting({"Service": service})
        if path.target == "assumed-role":
            trust = trusting(ROOT)
        if path.target == "assumable-role":
            trust = trusting({"AWS": self.holder})
        if path.target == "federated-role":
            trust = trusting({"Federated": SAML}, "sts:AssumeRoleWithSAML")
        if path.target == "dangling-federated-role":
            trust = trusting({"Federated": OIDC}, "sts:AssumeRoleWithWebIdentity")
        strong = () if path.target in {"any-role", "any-user", "assumable-role"} else (ADMINISTRATOR,)
        weak = (arn("policy", "of-target"),)
        held: tuple[str, ...] = (arn("policy", "held"),)
        policies = [
            policy("of-target", allow("s3:ListAllMyBuckets")),
            policy("somebody-elses", allow("s3:ListAllMyBuckets"), others=(allow("*"),)),
            policy("no-more", *statements, allow("s3:*")),
        ]
        boundary = None
        inline: list[dict[str, Any]] = []
        match path.requires:
            case "stronger-version":
                policies.append(policy("held", *statements, others=(allow("*"),)))
            case "boundary-hides-admin":
                policies.append(policy("held", allow("*")))
                boundary = arn("policy", "no-more")
            case "managed-deny-hides-admin":
                held = (ADMINISTRATOR, arn("policy", "held"))
                policies.append(policy("held", *self.nothing_but(statements)))
            case "inline-deny-hides-admin":
                held = (ADMINISTRATOR,)
                inline = self.nothing_but(statements)
            case _:
                policies.append(policy("held", *statements))
        users, groups = [user("nobody")], [group("own"), group("somebody-elses")]
        roles = [role("harmless", trust=trusting({"Service": service}))]
        if self.holder_kind == "user":
            users.append(user(HOLDER, *inline, managed=held, groups=("own",), boundary=boundary))
        else:
            roles.append(role(HOLDER, *inline, managed=held, boundary=boundary))
        match path.target:
            case "user" | "any-user":
                users.append(user("target", managed=strong or weak))
            case "group":
                groups.append(group("target", managed=strong))
                users.append(user("target"))
            case "self" | "nothing":
                pass
            case _:
                roles.append(role("target", trust=trust, managed=strong or weak))
        existing = []
        if path.compute is not None:
            address = self.compute_arn
            if path.compute == "ecs-service":
                address = f"arn:aws:ecs:eu-west-1:{ACCOUNT}:service/main/app"
            existing = [compute(path.compute, address, "target")]
        return facts(
            users=users,
            groups=groups,
            roles=roles,
            policies=policies,
            compute=existing,
            compute_listed=frozenset({path.compute} if path.compute else ()),
            oidc_providers=frozenset({f"{OIDC}-still-there"}),
        )

    @staticmethod
    def nothing_but(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return a Deny of all of IAM but what some statements allow, and the denies among them."""
        spared = [one["Action"] for one in statements if one["Effect"] == "Allow"] or ["iam:GetUser"]
        return [
            {"Effect": "Deny", "NotAction": [*spared, "s3:*"], "Resource": "*"},
            *(one for one in statements if one["Effect"] == "Deny"),
        ]

    def hits(self, of: AwsFacts) -> list[Hit]:
        return account(of).hits.get(self.holder, [])


def found(case: Case, of: AwsFacts) -> bool:
    """Return whether the holder walks the path, or a shorter one that is part of it."""
    return any(hit.path.id == case.path.id or implied(case.path, hit.path) for hit in case.hits(of))


def test_there_are_paths_of_every_family() -> None:
    assert len(PATHS) >= 80
    assert {path.family for path in paths()} == {
        "self-escalation",
        "principal-access",
        "federation",
        "identity-center",
        "new-passrole",
        "existing-passrole",
    }
    for path in paths():
        assert re.fullmatch(r"[a-z0-9-]+", path.id)
        assert path.reference.startswith("https://")
        assert all(matching(action.lower()) for step in path.steps for action in step.actions), path.id
        assert (path.compute is not None) == (path.target == "compute")


@pytest.mark.parametrize("path_id", PATHS)
def test_a_path_is_walked(path_id: str) -> None:
    case = Case(PATHS[path_id])
    of = case.facts(case.steps())
    assert found(case, of)
    assert escalates(of, HOLDER)


NEGATIVES = [
    (path.id, number) for path in paths() for number in range(len(path.steps))
]  # every step of every path


@pytest.mark.parametrize(("path_id", "number"), NEGATIVES)
def test_a_dropped_action_ends_it(path_id: str, number: int) -> None:
    case = Case(PATHS[path_id])
    of = case.facts(case.steps(without=number))
    assert path_id not in {hit.path.id for hit in case.hits(of)}
    if not case.hits(of):
        assert not escalates(of, HOLDER)


@pytest.mark.parametrize(("path_id", "number"), NEGATIVES)
def test_a_deny_ends_it(path_id: str, number: int) -> None:
    case = Case(PATHS[path_id])
    step = case.path.steps[number]
    of = case.facts([*case.steps(), deny(list(step.actions))])
    assert path_id not in {hit.path.id for hit in case.hits(of)}
    if not case.hits(of):
        assert not escalates(of, HOLDER)


@pytest.mark.parametrize(
    ("path_id", "number"),
    [
        (path_id, number)
        for path_id, number in NEGATIVES
        if PATHS[path_id].steps[number].covers != "anything" and "deny" not in (PATHS[path_id].requires or "")
    ],
)
def test_a_harmless_resource_ends_it(path_id: str, number: int) -> None:
    case = Case(PATHS[path_id])
    of = case.facts(case.steps(narrowed=number))
    assert path_id not in {hit.path.id for hit in case.hits(of)}
    if not case.hits(of):
        assert not escalates(of, HOLDER)


@pytest.mark.parametrize(
    "path_id", [path.id for path in paths() if path.target in {"role", "compute"} and path.services]
)
def test_a_target_without_power_is_none(path_id: str) -> None:
    case = Case(PATHS[path_id])
    of = case.facts(case.steps())
    (target,) = (one.id for one in of.identities if one.name == "target")
    weak = [
        msgspec.structs.replace(one, attached_to=[held for held in one.attached_to if held != target])
        if one.kind == MANAGED
        else one
        for one in of.policies
    ]
    assert weak != of.policies
    of = msgspec.structs.replace(of, policies=weak)
    assert not case.hits(of)
    assert not escalates(of, HOLDER)


@pytest.mark.parametrize("path_id", [path.id for path in paths() if path.family == "new-passrole"])
def test_a_role_that_trusts_another_service_cannot_be_passed(path_id: str) -> None:
    case = Case(PATHS[path_id])
    of = case.facts(case.steps())
    other = trusting({"Service": "pricing.amazonaws.com"})
    policies = [
        msgspec.structs.replace(one, document=document_text(other)) if one.kind == TRUST else one
        for one in of.policies
    ]
    assert policies != of.policies
    assert not case.hits(msgspec.structs.replace(of, policies=policies))


def test_the_service_that_a_role_may_be_passed_to() -> None:
    target = role("target", trust=trusting({"Service": ["lambda.amazonaws.com"]}), managed=(ADMINISTRATOR,))
    made = allow(["lambda:CreateFunction", "lambda:InvokeFunction"])

    def walks(service: str) -> bool:
        passing = allow("iam:PassRole", Condition={"StringEquals": {"iam:PassedToService": service}})
        return escalates(facts(roles=[target, role(HOLDER, passing, made)]), HOLDER)

    assert walks("lambda.amazonaws.com")
    assert not walks("ec2.amazonaws.com")


def test_tags_of_the_target() -> None:
    target = role("target", trust=trusting(ROOT), managed=(ADMINISTRATOR,), tags={"team": "platform"})

    def walks(team: str) -> bool:
        assume = allow("sts:AssumeRole", Condition={"StringEquals": {"aws:ResourceTag/team": team}})
        return escalates(facts(roles=[target, role(HOLDER, assume)]), HOLDER)

    assert walks("platform")
    assert not walks("web")


def test_what_may_be_attached() -> None:
    def walks(attached: str) -> bool:
        own = allow(
            "iam:AttachUserPolicy", arn("user", HOLDER), Condition={"ArnEquals": {"iam:PolicyARN": attached}}
        )
        return escalates(facts(users=[user(HOLDER, own)]), HOLDER)

    assert walks(ADMINISTRATOR)
    assert not walks("arn:aws:iam::aws:policy/ReadOnlyAccess")


def test_a_boundary_that_new_roles_must_have() -> None:
    policies = [policy("limits", allow("s3:*"))]
    pinned = {"StringEquals": {"iam:PermissionsBoundary": arn("policy", "limits")}}
    actions = ["iam:CreateRole", "iam:AttachRolePolicy"]
    free = facts(roles=[role(HOLDER, allow(actions, arn("role", "app-*")))], policies=policies)
    bound = facts(
        roles=[role(HOLDER, allow(actions, arn("role", "app-*"), Condition=pinned))], policies=policies
    )
    assert escalates(free, HOLDER)
    assert not escalates(bound, HOLDER)


def test_a_boundary_keeps_the_holder_down() -> None:
    policies = [policy("limits", allow(["s3:*", "iam:PutUserPolicy"]))]
    own = allow("iam:PutUserPolicy", arn("user", HOLDER))
    assert escalates(facts(users=[user(HOLDER, own)], policies=policies), HOLDER)
    assert not escalates(
        facts(users=[user(HOLDER, own, boundary=arn("policy", "limits"))], policies=policies), HOLDER
    )


def test_service_control_policies_keep_the_holder_down() -> None:
    own = user(HOLDER, allow("*"))
    scps = [[document(allow("*"))], [document(allow("*")), document(deny("iam:*"))]]
    assert escalates(facts(users=[own]), HOLDER)
    assert not escalates(facts(users=[own], scps=scps), HOLDER)
    assert escalates(facts(users=[own], scps=scps, management=True), HOLDER)


def test_a_chain_is_followed_backwards() -> None:
    roles = [
        role("admin", trust=trusting({"Service": "lambda.amazonaws.com"}), managed=(ADMINISTRATOR,)),
        role("builder", allow("lambda:UpdateFunctionCode"), trust=trusting(ROOT)),
        role(HOLDER, allow("sts:AssumeRole", arn("role", "builder"))),
    ]
    address = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:app"
    of = facts(roles=roles, compute=[compute("lambda-function", address, "admin")])
    found_links = {(link.source_id, link.target_id, link.evidence) for link in links(of)}
    assert found_links == {
        ("aws:iam-role:AROABUILDER", "aws:iam-role:AROAADMIN", "lambda-update-function-code"),
        ("aws:iam-role:AROAHOLDER", "aws:iam-role:AROABUILDER", "sts-assume-role"),
    }


def test_links_are_few() -> None:
    targets = [role(f"admin{number}", trust=trusting(ROOT), managed=(ADMINISTRATOR,)) for number in range(40)]
    of = facts(roles=[*targets, role(HOLDER, allow("sts:AssumeRole"))])
    assert 1 <= len(links(of)) <= 5


def test_an_own_path_is_reported_as_a_grant() -> None:
    of = facts(users=[user(HOLDER, allow("iam:PutUserPolicy", arn("user", "${aws:username}")))])
    told = {one.role: one for one in grants(of, HOLDER)}
    own = told["escalation:iam-put-user-policy"]
    assert (own.level, own.powers, own.resource) == ("escalation", ["admin"], "*")
    assert own.why == "holder can use iam:PutUserPolicy and so become an administrator."
    assert told["own"].powers[0] == "grant-access"


def test_policies_of_aws_cannot_be_changed() -> None:
    of = facts(users=[user(HOLDER, allow("iam:CreatePolicyVersion", "arn:aws:iam::aws:policy/held-*"))])
    assert not escalates(of, HOLDER)


def test_a_service_linked_role_cannot_be_changed() -> None:
    linked = role(
        "linked",
        trust=trusting({"Service": "ec2.amazonaws.com"}),
        managed=(ADMINISTRATOR,),
        path="/aws-service-role/ec2.amazonaws.com/",
    )
    of = facts(roles=[linked, role(HOLDER, allow(["iam:PassRole", "ec2:RunInstances"]))])
    assert not escalates(of, HOLDER)


def test_new_identities_under_a_boundary_that_limits_them() -> None:
    """The delegation that AWS documents: every new identity has the boundary, which cannot be removed."""
    policies = [policy("limits", allow("s3:*")), policy("none", allow("*"))]
    actions = ["iam:CreateRole", "iam:AttachRolePolicy", "iam:PutRolePolicy"]

    def delegates(boundary: str) -> bool:
        pinned = {"StringEquals": {"iam:PermissionsBoundary": arn("policy", boundary)}}
        return escalates(
            facts(roles=[role(HOLDER, allow(actions, Condition=pinned))], policies=policies), HOLDER
        )

    assert not delegates("limits")
    assert delegates("none")


def test_only_policies_that_make_no_administrator_may_be_attached() -> None:
    actions = ["iam:CreateRole", "iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy"]

    def attaches(*arns: str) -> bool:
        pinned = {"ArnEquals": {"iam:PolicyARN": list(arns)}}
        held = [allow(actions[1], Condition=pinned), allow(actions[0])]
        return escalates(facts(roles=[role(HOLDER, *held)]), HOLDER)

    assert not attaches("arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert attaches("arn:aws:iam::aws:policy/ReadOnlyAccess", ADMINISTRATOR)
    assert attaches("arn:aws:iam::aws:policy/*")


def test_a_variable_that_roles_do_not_have() -> None:
    own = allow(["iam:CreateAccessKey", "iam:UpdateLoginProfile"], "arn:aws:iam::*:user/${aws:username}")
    users = [user("admin", managed=(ADMINISTRATOR,)), user("someone", own)]
    of = facts(users=users, roles=[role(HOLDER, own)])
    assert not escalates(of, HOLDER)
    assert not escalates(of, "someone")


def test_two_policies_that_make_an_administrator_together() -> None:
    parts = [allow("iam:CreateRole", arn("role", "*")), allow("iam:AttachRolePolicy", arn("role", "*"))]
    of = facts(
        roles=[role(HOLDER, managed=(arn("policy", "one"), arn("policy", "two")))],
        policies=[policy("one", parts[0]), policy("two", parts[1])],
    )
    assert "escalation:iam-attach-role-policy" in {one.role for one in grants(of, HOLDER)}


def test_tags_that_only_harmless_identities_have() -> None:
    def grants_access(**tags: str) -> bool:
        pinned = {"StringEquals": {"iam:ResourceTag/open": "yes"}}
        held = allow("iam:PutUserPolicy", Condition=pinned)
        return escalates(facts(users=[user("other", tags=tags)], roles=[role(HOLDER, held)]), HOLDER)

    assert not grants_access(open="no")
    assert grants_access(open="yes")


def test_compute_that_may_exist_lowers_the_confidence() -> None:
    target = role("target", trust=trusting({"Service": "lambda.amazonaws.com"}), managed=(ADMINISTRATOR,))
    holder = role(HOLDER, allow("lambda:UpdateFunctionCode"))
    (assumed,) = grants(facts(roles=[target, holder]), HOLDER)
    assert (assumed.level, assumed.confidence) == ("escalation", "low")
    (none,) = grants(facts(roles=[target, holder], compute_listed=frozenset({"lambda-function"})), HOLDER)
    assert (none.level, none.confidence) == ("write", "high")
    address = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:app"
    (known,) = grants(
        facts(roles=[target, holder], compute=[compute("lambda-function", address, "target")]), HOLDER
    )
    assert (known.level, known.confidence) == ("escalation", "high")
    assert [one.assumed_kinds for one in (assumed, none, known)] == [["lambda-function"], [], []]


def test_what_follows_from_assumed_compute_is_marked_and_what_does_not_is_not() -> None:
    target = role("target", trust=trusting({"Service": "lambda.amazonaws.com"}), managed=(ADMINISTRATOR,))
    holder = role(HOLDER, allow("lambda:UpdateFunctionCode"), trust=trusting(ROOT))
    caller = user("caller", allow("sts:AssumeRole", arn("role", HOLDER)))
    own = user("own", allow("iam:PutUserPolicy"), allow("lambda:UpdateFunctionCode"))
    given = facts(roles=[target, holder], users=[caller, own])
    (of_caller,), (of_own,) = (
        grants(given, "caller"),
        (one for one in grants(given, "own") if one.escalation_path is None),
    )
    assert (of_caller.level, of_caller.assumed_kinds) == ("escalation", ["lambda-function"])
    assert (of_own.level, of_own.assumed_kinds) == ("escalation", [])


def test_an_updated_glue_job_needs_its_role_passed() -> None:
    """UpdateJob replaces the whole definition, the role included.

    https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateJob.html
    """
    roles = [role("power", managed=(ADMINISTRATOR,), trust=trusting({"Service": "glue.amazonaws.com"}))]
    policies = [{**policy("AdministratorAccess", allow("*")), "Arn": ADMINISTRATOR}]
    alone = [allow(["glue:UpdateJob", "glue:StartJobRun"])]
    for statements, found in ((alone, False), ([*alone, allow("iam:PassRole", arn("role", "power"))], True)):
        assert escalates(facts(users=[user("u", *statements)], roles=roles, policies=policies), "u") is found
