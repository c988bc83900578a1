"""Trust policies on the ladder: from anyone to one exact subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scanner.analyze.trust import simulate
from tests.aws_iam import ACCOUNT, allow, arn, document, facts, gaps, role, trusting, trusts

if TYPE_CHECKING:
    from scanner.records import Trust

WEB = "sts:AssumeRoleWithWebIdentity"
GITHUB = "token.actions.githubusercontent.com"
EKS = "oidc.eks.eu-west-1.amazonaws.com/id/ABCDEF"


def provider(name: str) -> dict[str, str]:
    return {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{name}"}


def oidc(name: str, condition: dict[str, Any] | None, **more: Any) -> Trust:
    """Return the trust of a role that trusts an issuer; keys of the condition without issuer get it."""
    spelled = {
        operator: {key if ":" in key else f"{name}:{key}": value for key, value in block.items()}
        for operator, block in (condition or {}).items()
    }
    trust = trusting(provider(name), WEB, **({"Condition": spelled} if spelled else {}))
    (found,) = trusts(facts(roles=[role("ci", allow("s3:PutObject"), trust=trust)], **more))
    return found


def sub(value: str | list[str], operator: str = "StringLike") -> dict[str, Any]:
    aud = {"StringEquals": {"aud": "sts.amazonaws.com"}}
    if operator == "StringEquals":
        return {"StringEquals": {"aud": "sts.amazonaws.com", "sub": value}}
    return aud | {operator: {"sub": value}}


@pytest.mark.parametrize(
    ("value", "problem", "severity", "exposure"),
    [
        ("*", "OIDC-2", "critical", "anyone"),
        ("repo:*", "OIDC-2", "critical", "anyone"),
        ("repo:*/*:ref:refs/heads/main", "OIDC-2", "critical", "anyone"),
        ("repo:?cme/app:*", "OIDC-2", "critical", "anyone"),
        ("*:acme/app:*", "OIDC-2", "critical", "anyone"),
        ("repo:acme*", "OIDC-3", "high", "another-tenant"),
        ("repo:acme*/app:ref:refs/heads/main", "OIDC-3", "high", "another-tenant"),
        ("repo:acme/*", "OIDC-4", "medium", "organization"),
        ("repo:acme/app*", "OIDC-4", "medium", "organization"),
        ("repo:acme/*:environment:production", "OIDC-4", "medium", "organization"),
        ("repo:acme@1/*", "OIDC-4", "medium", "organization"),
        ("repo:acme/app:*", "OIDC-5", "medium", "repository"),
        ("repo:acme/app:pull_request", "OIDC-5", "medium", "repository"),
        ("repo:acme/app:ref:refs/heads/*", "OIDC-5", "low", "repository"),
        ("repo:acme@1/app@2:*", "OIDC-5", "medium", "repository"),
        ("repo:acme/app:ref:refs/heads/main", "OIDC-9", "info", "exact"),
        ("repo:acme/app:environment:production", "OIDC-9", "info", "exact"),
        ("repo:acme@*/app@*:ref:refs/heads/main", "OIDC-9", "info", "exact"),
        ("repo:acme@1/app@2:ref:refs/heads/main", None, None, "exact"),
        ("repository_owner_id:1:*", "OIDC-4", "medium", "organization"),
        ("repository_owner_id:1:repository_id:2:ref:refs/heads/main", None, None, "exact"),
        ("repository_owner_id:*", "OIDC-2", "critical", "anyone"),
        (["repo:acme/app:ref:refs/heads/main", "repo:*"], "OIDC-2", "critical", "anyone"),
    ],
)
def test_github_subjects(value: str | list[str], problem: str, severity: str, exposure: str) -> None:
    found = oidc(GITHUB, sub(value))
    assert (found.problem, found.severity, found.exposure) == (problem, severity, exposure)
    assert found.issuer == f"https://{GITHUB}"
    assert found.audience == ["sts.amazonaws.com"]
    assert (found.fix is None) is (problem is None)


@pytest.mark.parametrize(
    ("condition", "problem", "exposure"),
    [
        (None, "OIDC-1", "anyone"),
        ({"StringEquals": {"aud": "sts.amazonaws.com"}}, "OIDC-1", "anyone"),
        ({"StringEquals": {"aud": "x", "actor": "alice"}}, "OIDC-1", "anyone"),
        # Every ID token has a subject; not every issuer's tokens have a repository.
        ({"StringEqualsIfExists": {"sub": "repo:acme/app:ref:refs/heads/main"}}, "OIDC-8", "exact"),
        ({"ForAllValues:StringLike": {"sub": "repo:acme/app:*"}}, "OIDC-5", "repository"),
        ({"ForAllValues:StringLike": {"sub": "*"}}, "OIDC-2", "anyone"),
        ({"StringEqualsIfExists": {"repository": "acme/app"}}, "OIDC-6", "anyone"),
        ({"StringNotEquals": {"sub": "repo:evil/app:ref:refs/heads/main"}}, "OIDC-6", "anyone"),
        ({"StringEquals": {"aud": "x", "sub": "repo:acme/*"}}, "OIDC-7", "nobody"),
        ({"ForAnyValue:StringEquals": {"sub": "repo:acme/app:environment:p"}}, "OIDC-8", "exact"),
        ({"StringEquals": {"aud": "x", "repository_id": "2"}}, "OIDC-5", "repository"),
        ({"StringEquals": {"aud": "x", "repository_owner_id": "1"}}, "OIDC-4", "organization"),
        ({"StringEquals": {"aud": "x", "repository_id": "2", "environment": "production"}}, None, "exact"),
        (
            {"StringEquals": {"aud": "x", "sub": "repo:acme/app:environment:p", "repository_id": "2"}},
            None,
            "exact",
        ),
        ({"StringEquals": {"aud": "x"}, "StringLike": {"repository": "acme/*"}}, "OIDC-4", "organization"),
        ({"StringEquals": {"aud": "x"}, "StringLike": {"repository": "*/app"}}, "OIDC-2", "anyone"),
    ],
)
def test_github_claims(condition: dict[str, Any] | None, problem: str | None, exposure: str) -> None:
    found = oidc(GITHUB, condition)
    assert (found.problem, found.exposure) == (problem, exposure)


def test_keys_are_found_in_any_case() -> None:
    keys = {f"{GITHUB}:SUB".upper(): "repo:acme@1/app@2:environment:p", f"{GITHUB}:Aud": "sts.amazonaws.com"}
    trust = trusting(provider(GITHUB), WEB.lower(), Condition={"stringequals": keys})
    (found,) = trusts(facts(roles=[role("ci", trust=trust)]))
    assert (found.problem, found.exposure) == (None, "exact")
    assert sorted(test.claim for test in found.tests) == ["aud", "sub"]


def test_a_deny_pins_too() -> None:
    trust = document(
        *trusting(provider(GITHUB), WEB, Condition={"StringEquals": {f"{GITHUB}:aud": "x"}})["Statement"],
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": WEB,
            "Condition": {"StringNotLike": {f"{GITHUB}:sub": "repo:acme@1/app@2:environment:p"}},
        },
    )
    (found,) = trusts(facts(roles=[role("ci", trust=trust)]))
    assert (found.problem, found.exposure) == (None, "exact")


def test_a_role_that_only_reads_weighs_less() -> None:
    condition = {"StringLike": {f"{GITHUB}:sub": "repo:acme/app:*"}}
    reading = role("ci", allow("s3:ListBucket"), trust=trusting(provider(GITHUB), WEB, Condition=condition))
    assert [found.severity for found in trusts(facts(roles=[reading]))] == ["low"]


def test_the_value_to_pin_is_reported() -> None:
    assert (oidc(GITHUB, sub("repo:acme/app:*")).fix or "").startswith(
        f'Pin StringEquals "{GITHUB}:sub" to the exact subject of each caller that needs it, '
        'which begins with "repo:acme/app:": '
    )
    assert 'begins with "repo:acme/":' in (oidc(GITHUB, sub("repo:acme/*")).fix or "")
    assert oidc(GITHUB, sub("repo:acme/*")).why == (
        "Statement 1 of the trust policy of ci trusts https://token.actions.githubusercontent.com where aud equals"
        " sts.amazonaws.com and sub glob repo:acme/*: every repository of the organization matches."
    )


def test_tests_are_what_tokens_are_simulated_against() -> None:
    found = oidc(GITHUB, sub("repo:acme/app:*"))
    token = {"aud": "sts.amazonaws.com", "sub": "repo:acme/app:ref:refs/heads/main"}
    assert simulate(found.tests, token) == "exact"
    assert simulate(found.tests, token | {"sub": "repo:acme/other:ref:refs/heads/main"}) == "no"
    assert simulate(found.tests, token | {"sub": "repo:acme/*"}) == "pattern"


@pytest.mark.parametrize(
    ("issuer", "condition", "problem", "severity", "exposure"),
    [
        ("gitlab.com", sub("*"), "OIDC-2", "critical", "anyone"),
        ("gitlab.com", sub("project_path:*:ref_type:branch:ref:main"), "OIDC-2", "critical", "anyone"),
        ("gitlab.com", sub("project_path:grp*"), "OIDC-3", "high", "another-tenant"),
        ("gitlab.com", sub("project_path:grp/*"), "OIDC-4", "medium", "organization"),
        ("gitlab.com", sub("project_path:grp/app:*"), "OIDC-5", "medium", "repository"),
        ("gitlab.com", sub("project_path:grp/app:ref_type:branch:ref:main"), None, None, "exact"),
        ("gitlab.com", {"StringEquals": {"aud": "x"}}, "OIDC-1", "critical", "anyone"),
        ("gitlab.acme.example", {"StringEquals": {"aud": "x"}}, "OIDC-1", "medium", "organization"),
        ("app.terraform.io", sub("organization:*"), "OIDC-2", "critical", "anyone"),
        ("app.terraform.io", sub("organization:acme*"), "OIDC-3", "high", "another-tenant"),
        ("app.terraform.io", sub("organization:acme:*"), "OIDC-4", "medium", "organization"),
        ("app.terraform.io", sub("organization:acme:project:p:workspace:*"), "OIDC-4", "medium", "organization"),
        ("app.terraform.io", sub("organization:acme:project:p:workspace:w:run_phase:*"), "OIDC-5", "low", "repository"),
        ("app.terraform.io", sub("organization:acme:project:p:workspace:w:run_phase:apply"), None, None, "exact"),
        ("agent.buildkite.com", sub("organization:acme:pipeline:app:ref:refs/heads/main:*"), None, None, "exact"),
        ("agent.buildkite.com", sub("organization:acme:pipeline:app:*"), "OIDC-5", "low", "repository"),
        ("agent.buildkite.com", sub("organization:acme:pipeline:*"), "OIDC-4", "medium", "organization"),
        ("oidc.codefresh.io", sub("*"), "OIDC-2", "critical", "anyone"),
        ("api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", None, "OIDC-4", "medium", "organization"),
        (
            "api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc",
            sub("{11111111-2222-3333-4444-555555555555}:*"),
            None,
            None,
            "repository",
        ),
        ("oidc.circleci.com/org/0000-1111", sub("org/0000-1111/project/2222-3333-4444/user/*"), None, None, "repository"),
        ("oidc.circleci.com/org/0000-1111", sub("org/0000-1111/project/*"), "OIDC-4", "medium", "organization"),
        ("api.pulumi.com/oidc", None, "OIDC-1", "critical", "anyone"),
        ("api.pulumi.com/oidc", {"StringEquals": {"aud": "aws:acme"}}, None, None, "organization"),
        ("accounts.google.com", None, "OIDC-1", "critical", "anyone"),
        ("accounts.google.com", {"StringEquals": {"aud": "1234"}}, None, None, "exact"),
        ("accounts.google.com", {"StringEquals": {"oaud": "sts.amazonaws.com"}}, "OIDC-1", "critical", "anyone"),
        ("accounts.google.com", {"StringEquals": {"oaud": "x", "sub": "1029384756"}}, None, None, "exact"),
        (EKS, {"StringEquals": {"aud": "sts.amazonaws.com"}}, "IRSA-1", "high", "organization"),
        (EKS, sub("system:serviceaccount:*"), "IRSA-1", "high", "organization"),
        (EKS, sub("system:serviceaccount:*:*"), "IRSA-1", "high", "organization"),
        (EKS, sub("system:serviceaccount:web:*"), "IRSA-2", "medium", "repository"),
        (EKS, sub("system:serviceaccount:web:app", "StringEquals"), None, None, "exact"),
        (EKS, {"StringEquals": {"sub": "system:serviceaccount:web:app"}}, "IRSA-3", "low", "exact"),
    ],
)  # fmt: skip
def test_other_issuers(
    issuer: str, condition: dict[str, Any] | None, problem: str | None, severity: str | None, exposure: str
) -> None:
    found = oidc(issuer, condition)
    assert (found.problem, found.severity, found.exposure) == (problem, severity, exposure)


def test_a_cluster_that_is_gone() -> None:
    pinned = sub("system:serviceaccount:web:app", "StringEquals")
    assert oidc(EKS, pinned, eks_issuers=frozenset({f"https://{EKS}"})).problem is None
    assert oidc(EKS, pinned, eks_issuers=frozenset()).problem == "DANGLING-2"
    assert oidc(EKS, pinned, eks_issuers=None).problem is None


def one(
    principal: Any, action: str = "sts:AssumeRole", condition: dict[str, Any] | None = None, **more: Any
) -> Trust:
    trust = trusting(principal, action, **({"Condition": condition} if condition else {}))
    (found,) = trusts(facts(roles=[role("target", trust=trust)], **more))
    return found


COGNITO = "cognito-identity.amazonaws.com"
POOL = {"StringEquals": {f"{COGNITO}:aud": "eu-west-1:pool"}}


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (None, "COGNITO-1"),
        (POOL | {"ForAnyValue:StringLike": {f"{COGNITO}:amr": "unauthenticated"}}, "COGNITO-2"),
        (POOL, "COGNITO-3"),
        (POOL | {"ForAnyValue:StringLike": {f"{COGNITO}:amr": "authenticated"}}, None),
    ],
)
def test_cognito(condition: dict[str, Any] | None, problem: str | None) -> None:
    assert one({"Federated": COGNITO}, WEB, condition).problem == problem


SAML = {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/corporate"}
SIGN_IN = {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}}


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (None, "SAML-1"),
        (SIGN_IN, "SAML-2"),
        ({"StringEquals": {**SIGN_IN["StringEquals"], "saml:sub": "alice"}}, None),
    ],
)
def test_saml(condition: dict[str, Any] | None, problem: str | None) -> None:
    assert one(SAML, "sts:AssumeRoleWithSAML", condition).problem == problem


ANCHOR = f"arn:aws:rolesanywhere:eu-west-1:{ACCOUNT}:trust-anchor/1"


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (None, "RA-1"),
        ({"ArnEquals": {"aws:SourceArn": ANCHOR}}, "RA-2"),
        ({"StringEquals": {"aws:PrincipalTag/x509Subject/CN": "app"}}, "RA-2"),
        (
            {
                "ArnEquals": {"aws:SourceArn": ANCHOR},
                "StringEquals": {"aws:PrincipalTag/x509Subject/CN": "app"},
            },
            None,
        ),
        ({"ArnEquals": {"aws:SourceArn": f"{ANCHOR}-gone"}}, "DANGLING-4"),
    ],
)
def test_roles_anywhere(condition: dict[str, Any] | None, problem: str | None) -> None:
    service = {"Service": "rolesanywhere.amazonaws.com"}
    found = one(service, ["sts:AssumeRole", "sts:TagSession"], condition, roles_anywhere_anchors=[ANCHOR])  # type: ignore[arg-type]
    assert (found.kind, found.problem) == ("certificate", problem)


OTHER = "arn:aws:iam::999999999999:root"
EXTERNAL_ID = {"StringEquals": {"sts:ExternalId": "8f14e45fceea167a5a36dedd4bea2543"}}


@pytest.mark.parametrize(
    ("principal", "condition", "problem", "severity", "exposure"),
    [
        ("*", None, "XACCT-1", "critical", "anyone"),
        ({"AWS": "*"}, None, "XACCT-1", "critical", "anyone"),
        ({"AWS": ["*"]}, EXTERNAL_ID, "XACCT-1", "high", "another-tenant"),
        ({"AWS": "*"}, {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/ci"}}, "XACCT-1", "critical", "anyone"),
        ({"AWS": "*"}, {"StringLike": {"aws:PrincipalOrgID": "*"}}, "XACCT-1", "critical", "anyone"),
        ({"AWS": "*"}, {"StringEquals": {"aws:PrincipalOrgID": "o-own"}}, None, None, "organization"),
        ({"AWS": "*"}, {"StringEquals": {"aws:PrincipalOrgID": "o-other"}}, "XACCT-2", "high", "another-tenant"),
        ({"AWS": "*"}, {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-other/*"}}, "XACCT-2", "high", "another-tenant"),
        ({"AWS": "arn:aws:iam::999999999999:role/vendor"}, {"StringEquals": {"aws:PrincipalOrgID": "o-other"}}, "XACCT-2", "high", "another-tenant"),
        ({"AWS": "arn:aws:iam::999999999999:role/vendor"}, {"StringEquals": {"aws:PrincipalOrgID": "o-own"}}, None, None, "exact"),
        ({"AWS": "*"}, {"StringLike": {"aws:userid": "ARO*"}}, "XACCT-1", "critical", "anyone"),
        ({"AWS": "*"}, {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, None, None, "organization"),
        ({"AWS": "*"}, {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/ci"}}, None, None, "exact"),
        ({"AWS": OTHER}, None, "XACCT-2", "high", "another-tenant"),
        ({"AWS": "999999999999"}, None, "XACCT-2", "high", "another-tenant"),
        ({"AWS": OTHER}, {"StringEquals": {"sts:ExternalId": "short"}}, "XACCT-2", "medium", "another-tenant"),
        ({"AWS": OTHER}, {"StringLike": {"sts:ExternalId": "some-long-external-id-*"}}, "XACCT-2", "medium", "another-tenant"),
        ({"AWS": OTHER}, {"StringEquals": {"sts:ExternalId": ACCOUNT}}, "XACCT-2", "medium", "another-tenant"),
        ({"AWS": OTHER}, {"StringEqualsIfExists": EXTERNAL_ID["StringEquals"]}, "XACCT-2", "high", "another-tenant"),
        ({"AWS": OTHER}, EXTERNAL_ID, "XACCT-3", "low", "another-tenant"),
        ({"AWS": "arn:aws:iam::999999999999:role/vendor"}, EXTERNAL_ID, None, None, "another-tenant"),
        ({"AWS": "arn:aws:iam::888888888888:root"}, None, None, None, "organization"),
        ({"AWS": "arn:aws:iam::888888888888:role/ci"}, None, None, None, "exact"),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, None, None, None, "organization"),
        ({"AWS": "AROAJQABLZS4A3QDU576Q"}, None, "DANGLING-1", "low", "nobody"),
        ({"AWS": "AIDAJQABLZS4A3QDU576Q"}, None, "DANGLING-1", "low", "nobody"),
    ],
)  # fmt: skip
def test_accounts(
    principal: Any, condition: dict[str, Any] | None, problem: str | None, severity: str | None, exposure: str
) -> None:
    found = one(
        principal,
        condition=condition,
        organization_id="o-own",
        organization_accounts=frozenset({ACCOUNT, "888888888888"}),
    )
    assert (found.problem, found.severity, found.exposure) == (problem, severity, exposure)
    assert found.external is (exposure in {"anyone", "another-tenant"}) or found.problem == "DANGLING-1"


@pytest.mark.parametrize(
    ("unique", "external", "issuer"),
    [
        ("AROADEPLOYER:*", False, arn("role", "deployer")),
        ("AROASOMEBODYELSE:session", None, "AROASOMEBODYELSE"),
        (ACCOUNT, False, f"arn:aws:iam::{ACCOUNT}:root"),
    ],
)
def test_everyone_with_one_unique_id(unique: str, external: bool | None, issuer: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable"""
    trust = trusting("*", Condition={"StringLike": {"aws:userid": unique}})
    (found,) = (
        each
        for each in trusts(facts(roles=[role("target", trust=trust), role("deployer")]))
        if each.identity_id.endswith("TARGET")
    )
    assert (found.problem, found.exposure, found.external, found.issuer) == (None, "exact", external, issuer)


def test_everybody_but_a_few() -> None:
    trust = document({"Effect": "Allow", "NotPrincipal": {"AWS": OTHER}, "Action": "sts:AssumeRole"})
    (found,) = trusts(facts(roles=[role("target", trust=trust)]))
    assert (found.kind, found.problem, found.exposure) == ("anyone", "XACCT-1", "anyone")


def test_an_organization_that_is_not_known() -> None:
    found = one({"AWS": OTHER})
    assert (found.problem, found.severity, found.external) == ("XACCT-2", "medium", None)


@pytest.mark.parametrize(
    ("service", "condition", "problem"),
    [
        ("lambda.amazonaws.com", None, None),
        ("ecs-tasks.amazonaws.com", None, None),
        ("config.amazonaws.com", None, "SVC-1"),
        ("config.amazonaws.com", {"StringEquals": {"aws:SourceAccount": ACCOUNT}}, None),
    ],
)
def test_services(service: str, condition: dict[str, Any] | None, problem: str | None) -> None:
    found = one({"Service": service}, condition=condition)
    assert (found.kind, found.issuer, found.problem) == ("service", service, problem)


def test_pod_identity() -> None:
    service = {"Service": "pods.eks.amazonaws.com"}
    arn = f"arn:aws:iam::{ACCOUNT}:role/target"
    assert one(service, pod_identity_roles=frozenset({arn})).problem is None
    assert one(service, pod_identity_roles=frozenset()).problem == "DANGLING-3"
    assert one(service).kind == "pod-identity"


def test_one_record_a_principal() -> None:
    trust = trusting({"AWS": [OTHER, f"arn:aws:iam::{ACCOUNT}:root"], "Service": "lambda.amazonaws.com"})
    found = trusts(facts(roles=[role("target", trust=trust)]))
    assert [item.issuer for item in found] == [OTHER, f"arn:aws:iam::{ACCOUNT}:root", "lambda.amazonaws.com"]
    assert len({item.id for item in found}) == 3


def test_a_condition_that_is_never_true() -> None:
    past = {"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}
    assert one({"AWS": "*"}, condition=past).exposure == "nobody"


def test_statements_that_let_nobody_in_are_no_trust() -> None:
    assert trusts(facts(roles=[role("target", trust=trusting({"AWS": OTHER}, "sts:TagSession"))])) == []


@pytest.mark.parametrize("broken", ["{", {"Statement": [{"Effect": "Maybe", "Action": "sts:AssumeRole"}]}])
def test_a_broken_trust_policy_is_a_gap(broken: Any) -> None:
    (found,) = gaps(facts(roles=[role("target", trust=broken)]))
    assert (found.table, found.reason) == ("trusts", "malformed")


@pytest.mark.parametrize(
    ("issuer", "subject", "audience"),
    [
        (GITHUB, "repo:acme/app:environment:p", '"sts.amazonaws.com"'),
        (
            "app.terraform.io",
            "organization:acme:project:p:workspace:w:run_phase:apply",
            '"aws.workload.identity"',
        ),
        ("oidc.circleci.com/org/0000-1111", "org/0000-1111/project/2222-3333-4444/user/*", '"0000-1111"'),
        (
            "gitlab.com",
            "project_path:grp/app:ref_type:branch:ref:main",
            "the client ID of the identity provider",
        ),
    ],
)
def test_the_audience_that_is_proposed(issuer: str, subject: str, audience: str) -> None:
    """One that the issuer's tokens have: another one would lock out the pipelines that the trust is for."""
    found = oidc(issuer, {"StringLike": {"sub": subject}})
    assert found.problem == "OIDC-8"
    assert audience in (found.fix or "")
