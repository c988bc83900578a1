"""Trusts of workload identity federation: condition, mapping and binding together, against tokens of known issuers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from collectors.gcp.evaluator.claim_tests import member_condition, provider_tests
from scanner.analyze.trust import simulate
from scanner.records import Account
from tests.google_estate import PROJECT, GoogleEstate

if TYPE_CHECKING:
    from scanner.records import Trust

NOW = datetime(2026, 12, 1, tzinfo=UTC)
POOL = "principalSet://iam.googleapis.com/projects/100/locations/global/workloadIdentityPools/ci"
SUBJECT = POOL.replace("principalSet:", "principal:") + "/subject/"
OWN = {
    "sub": "repo:acme/app:ref:refs/heads/main", "repository": "acme/app", "repository_id": "7", "repository_owner": "acme",
    "repository_owner_id": "42", "ref": "refs/heads/main", "environment": "", "actor": "ada",
}  # fmt: skip
STRANGER = {
    "sub": "repo:evil/app:ref:refs/heads/main", "repository": "evil/app", "repository_id": "666", "repository_owner": "evil",
    "repository_owner_id": "13", "ref": "refs/heads/main", "environment": "", "actor": "mallory",
}  # fmt: skip


def _trusts(condition: str, member: str = f"{POOL}/*", **fields: Any) -> list[Trust]:
    estate = GoogleEstate()
    estate.role(
        "roles/iam.workloadIdentityUser",
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
    )
    estate.provider(condition, **fields)
    estate.bind_account("deployer", "roles/iam.workloadIdentityUser", member)
    assert not estate.grants(NOW), "who signs in as the account is its trust"
    trusts = estate.trusts(NOW)
    assert {trust.identity_id for trust in trusts} <= {estate.ids["deployer"]}
    return trusts


@pytest.mark.parametrize(
    ("condition", "member", "exposure", "problem", "severity"),
    [
        # https://docs.cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines
        ("", "/*", "anyone", "OIDC-1", "critical"),
        ("assertion.ref == 'refs/heads/main'", "/*", "anyone", "OIDC-1", "critical"),
        ("assertion.actor == 'ada'", "/*", "anyone", "OIDC-1", "critical"),
        ("assertion.repository_owner == 'acme'", "/*", "organization", "OIDC-4", "medium"),
        ("assertion.repository_owner_id == '42'", "/*", "organization", "OIDC-4", "medium"),
        ("assertion.repository_id == '7'", "/*", "repository", "OIDC-5", "low"),
        ("assertion.repository_id == '7' && assertion.ref == 'refs/heads/main'", "/*", "exact", None, None),
        ("assertion.repository == 'acme/app' && assertion.ref == 'refs/heads/main'", "/*", "exact", "OIDC-9", "info"),
        ("assertion.sub.startsWith('repo:acme')", "/*", "another-tenant", "OIDC-3", "high"),
        ("assertion.sub.startsWith('repo:acme/')", "/*", "organization", "OIDC-4", "medium"),
        ("assertion.repository.startsWith('acme/')", "/*", "organization", "OIDC-4", "medium"),
        ("assertion.sub.matches('repo:acme/.*')", "/*", "anyone", "OIDC-2", "critical"),
        ("assertion.sub.matches('^repo:acme/.*')", "/*", "organization", "OIDC-4", "medium"),
        ("assertion.sub.contains('acme')", "/*", "anyone", "OIDC-2", "critical"),
        ("attribute.repository in ['acme/app', 'acme/web']", "/*", "repository", "OIDC-5", "low"),
        ("extract.this(assertion.sub)", "/*", "unknown", None, None),
        # A wide condition with an exact binding is exact.
        ("assertion.repository_owner_id == '42'", "/attribute.repository/acme/app", "repository", "OIDC-5", "low"),
        ("", "/attribute.repository/acme/app", "repository", "OIDC-5", "low"),
        ("assertion.repository_owner_id == '42'", "/subject/repo:acme/app:environment:production", "exact", None, None),
    ],
)  # fmt: skip
def test_condition_and_binding_are_judged_together(
    condition: str, member: str, exposure: str, problem: str | None, severity: str | None
) -> None:
    bound = SUBJECT + member.removeprefix("/subject/") if member.startswith("/subject/") else POOL + member
    (trust,) = _trusts(condition, bound)
    assert (trust.exposure, trust.problem, trust.severity) == (exposure, problem, severity)
    assert (trust.fix is None) == (problem is None)


def test_each_alternative_is_a_trust_so_that_the_weak_one_shows() -> None:
    found = _trusts("assertion.repository_id == '7' || assertion.actor == 'ada'")
    assert [trust.exposure for trust in found] == ["repository", "anyone"]
    same = _trusts(
        "(assertion.repository_id == '7' || assertion.repository_id == '8') && assertion.ref == 'refs/heads/main'"
    )
    assert {trust.exposure for trust in same} == {"exact"}


def test_a_closed_provider_or_pool_admits_nobody() -> None:
    for fields in ({"state": "DELETED"}, {"disabled": True}, {"pool_state": "DELETED"}):
        (trust,) = _trusts("", **fields)
        assert (trust.exposure, trust.problem) == ("nobody", None)
    assert [trust.exposure for trust in _trusts("")] == ["anyone"]


def test_an_attribute_that_is_not_mapped_admits_nobody() -> None:
    assert _trusts("", f"{POOL}/attribute.environment/production") == []


def test_the_audience_is_the_provider_itself_unless_it_says_otherwise() -> None:
    (trust,) = _trusts("")
    assert (
        trust.audience[0] == "https://"
        "iam.googleapis.com/projects/100/locations/global/workloadIdentityPools/ci/providers/github"
    )
    oidc = {"issuerUri": "https://gitlab.com", "allowedAudiences": ["https://gitlab.com"]}
    (trust,) = _trusts("assertion.project_id == '5'", oidc=oidc)
    assert (trust.audience, trust.exposure) == (["https://gitlab.com"], "repository")


@pytest.mark.parametrize(
    ("issuer", "condition", "exposure", "problem"),
    [
        ("https://gitlab.com", "", "anyone", "OIDC-1"),
        ("https://gitlab.com", "assertion.namespace_id == '9'", "organization", "OIDC-4"),
        ("https://gitlab.com", "assertion.project_id == '9' && assertion.ref_protected == 'true'", "exact", None),
        ("https://gitlab.com", "assertion.namespace_path.startsWith('acme')", "another-tenant", "OIDC-3"),
        ("https://app.terraform.io", "assertion.terraform_organization_id == 'org-1'", "organization", "OIDC-4"),
        ("https://app.terraform.io", "assertion.sub.startsWith('organization:acme:project:x:workspace:y')", "organization", "OIDC-4"),
        ("https://sts.windows.net/6a1b/", "", "organization", "OIDC-4"),
        ("https://login.microsoftonline.com/6a1b/v2.0", "assertion.azp == 'app'", "exact", None),
        ("https://vstoken.dev.azure.com/6a1b", "", "organization", "OIDC-4"),
        ("https://vstoken.dev.azure.com/6a1b", "assertion.sub == 'sc://acme/shop/google'", "exact", None),
        ("https://gitlab.acme.example", "", "organization", "OIDC-4"),
        ("https://ci.acme.example", "assertion.sub == 'build'", "exact", None),
        ("http://ci.acme.example", "assertion.sub == 'build'", "exact", "ISSUER-1"),
        ("https://accounts.google.com", "", "anyone", "OIDC-1"),
    ],
)  # fmt: skip
def test_issuers(issuer: str, condition: str, exposure: str, problem: str | None) -> None:
    (trust,) = _trusts(condition, oidc={"issuerUri": issuer})
    assert (trust.exposure, trust.problem) == (exposure, problem)


@pytest.mark.parametrize(
    ("condition", "member", "own", "stranger"),
    [
        ("", ("*", ""), "exact", "exact"),
        ("assertion.repository_owner_id == '42'", ("*", ""), "exact", "no"),
        ("attribute.repository == 'acme/app'", ("*", ""), "exact", "no"),
        ("", ("attribute.repository", "acme/app"), "exact", "no"),
        ("", ("subject", "repo:acme/app:ref:refs/heads/main"), "exact", "no"),
        ("assertion.sub.matches('^repo:acme/')", ("*", ""), "exact", "no"),
        ("assertion.sub.extract('repo:{owner}/') == 'acme'", ("*", ""), "exact", "no"),
        ("assertion.repository != 'evil/app'", ("*", ""), "exact", "no"),
        ("assertion.environment == 'production'", ("*", ""), "no", "no"),
        ("assertion.enterprise == 'acme'", ("*", ""), "unknown", "unknown"),
        (
            "assertion.repository_owner_id == '42' || assertion.actor == 'mallory'",
            ("*", ""),
            "exact",
            "exact",
        ),
        ("!(assertion.repository_owner == 'evil')", ("*", ""), "exact", "no"),
        (
            "assertion.ref.endsWith('/main') && assertion.repository_id in ['7', '8']",
            ("*", ""),
            "exact",
            "no",
        ),
    ],
)
def test_tokens(condition: str, member: tuple[str, str], own: str, stranger: str) -> None:
    mapping = {"google.subject": "assertion.sub", "attribute.repository": "assertion.repository"}
    either = provider_tests(condition, mapping, member_condition(*member))

    def best(token: dict[str, str]) -> str:
        verdicts = {simulate(tests, token) for tests in either}
        return next(verdict for verdict in ("exact", "pattern", "unknown", "no") if verdict in verdicts)

    assert (best(OWN), best(STRANGER)) == (own, stranger)


def test_an_aws_account_is_trusted_whole_unless_the_role_is_bound() -> None:
    aws: dict[str, Any] = {"oidc": None, "aws": {"accountId": "123456789012"}, "attributeMapping": {}}
    (trust,) = _trusts("", **aws)
    assert (trust.kind, trust.trusted_account, trust.exposure, trust.problem) == ("account", "aws:account:123456789012", "organization", "OIDC-4")  # fmt: skip
    (trust,) = _trusts("", f"{POOL}/attribute.aws_role/arn:aws:sts::123456789012:assumed-role/ci", **aws)
    assert (trust.exposure, trust.problem) == ("exact", None)
    assert (trust.issuer, trust.trusted_account) == ("arn:aws:iam::123456789012:role/ci", None)
    (trust,) = _trusts("assertion.arn.startsWith('arn:aws:sts::123456789012:assumed-role/ci')", **aws)
    assert (trust.exposure, trust.problem) == ("unknown", None)


def test_a_principal_that_is_bound_directly_is_an_identity_of_its_own() -> None:
    estate = GoogleEstate()
    estate.role("roles/storage.admin", "storage.objects.create")
    estate.provider("assertion.repository_owner_id == '42'")
    estate.bind("projects/100", "roles/storage.admin", f"{POOL}/attribute.repository/acme/app")
    (trust,) = estate.trusts(NOW)
    (grant,) = estate.grants(NOW)
    assert trust.identity_id == grant.identity_id == f"gcp:principal:{POOL}/attribute.repository/acme/app"


@pytest.mark.parametrize(
    ("member", "subject", "exposure", "admitted"),
    [
        ("serviceAccount:acme.svc.id.goog[shop/web]", "system:serviceaccount:shop:web", "exact", True),
        ("serviceAccount:acme.svc.id.goog[shop/web]", "system:serviceaccount:shop:api", "exact", False),
        (f"{SUBJECT.replace('/ci/', '/acme.svc.id.goog/')}ns/shop/sa/web", "system:serviceaccount:shop:web", "exact", True),
        (f"{POOL.replace('/ci', '/acme.svc.id.goog')}/namespace/shop", "system:serviceaccount:shop:api", "repository", True),
        (f"{POOL.replace('/ci', '/acme.svc.id.goog')}/namespace/shop", "system:serviceaccount:shopping:api", "repository", False),
    ],
)  # fmt: skip
def test_workloads_of_clusters(member: str, subject: str, exposure: str, *, admitted: bool) -> None:
    estate = GoogleEstate()
    issuer = "https://container.googleapis.com/v1/projects/acme/locations/europe-west3/clusters/main"
    estate.records.append(
        Account(id="gcp:cluster:acme/europe-west3/main", provider="gcp", account_id=PROJECT, kind="gke-cluster", native_id="main", name="main", parent_id=PROJECT, issuer=issuer)
    )  # fmt: skip
    estate.role("roles/iam.workloadIdentityUser", "iam.serviceAccounts.getAccessToken")
    estate.bind_account("deployer", "roles/iam.workloadIdentityUser", member)
    (trust,) = estate.trusts(NOW)
    assert (trust.issuer, trust.exposure) == (issuer, exposure)
    assert (simulate(trust.tests, {"sub": subject}) == "exact") is admitted
