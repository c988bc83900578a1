"""What IAM policies of Google Cloud come to: principals, conditions, deny policies and access boundaries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from collectors.gcp.evaluator.denies import permission_in_roles
from collectors.gcp.evaluator.members import member_of
from collectors.gcp.names import default_of, email_project, is_service_agent, normal_member
from collectors.gcp.records import stored_policy
from scanner.cel import extract, holds
from tests.google_estate import ORGANIZATION, PROJECT, GoogleEstate, email

NOW = datetime(2026, 12, 1, tzinfo=UTC)
BUCKET = "resource.name.startsWith('projects/_/buckets/logs')"


@pytest.mark.parametrize(
    ("text", "normal", "kind"),
    [
        # https://docs.cloud.google.com/iam/docs/principal-identifiers
        ("user:Ada@Example.com", "user:ada@example.com", "user"),
        ("principal://goog/subject/Ada@Example.com", "user:ada@example.com", "user"),
        ("principalSet://goog/group/ops@example.com", "group:ops@example.com", "group"),
        ("principalSet://goog/public:all", "allUsers", "public"),
        ("principalSet://goog/cloudIdentityCustomerId/C01", "principalSet://goog/cloudIdentityCustomerId/C01", "other"),
        ("principal://iam.googleapis.com/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com", "serviceAccount:a@p.iam.gserviceaccount.com", "service-account"),
        ("deleted:serviceAccount:a@p.iam.gserviceaccount.com?uid=1", "deleted:serviceAccount:a@p.iam.gserviceaccount.com?uid=1", "deleted"),
        ("serviceAccount:p.svc.id.goog[shop/web]", "serviceAccount:p.svc.id.goog[shop/web]", "cluster-workload"),
        ("principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p.svc.id.goog/namespace/shop", None, "cluster-workload"),
        ("principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/repo:a/b:ref:x", None, "federated"),
        ("principalSet://iam.googleapis.com/locations/global/workforcePools/staff/group/ops", None, "workforce"),
        ("principalSet://cloudresourcemanager.googleapis.com/folders/2/type/ServiceAccount", None, "account-set"),
        ("principal://agents.global.org-1.system.id.goog/resources/aiplatform/projects/1/locations/l/reasoningEngines/7", None, "agent"),
        ("projectEditor:acme", "projectEditor:acme", "basic-role"),
        ("allAuthenticatedUsers", "allAuthenticatedUsers", "public"),
    ],
)  # fmt: skip
def test_principals_in_all_forms(text: str, normal: str | None, kind: str) -> None:
    assert normal_member(text) == (normal or text)
    assert member_of(text).kind == kind


def test_a_subject_may_contain_slashes_and_colons() -> None:
    found = member_of(
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/subject/repo:acme/app:ref:refs/heads/main"
    )
    assert (found.project, found.pool, found.selector, found.value) == (
        "1",
        "ci",
        "subject",
        "repo:acme/app:ref:refs/heads/main",
    )


def test_accounts_by_their_email_address() -> None:
    assert default_of("123-compute@developer.gserviceaccount.com") == "compute"
    assert default_of("compute@acme.iam.gserviceaccount.com") is None
    assert email_project("a@acme.iam.gserviceaccount.com") == "acme"
    assert is_service_agent("service-1@gcp-sa-pubsub.iam.gserviceaccount.com")
    assert is_service_agent("service-1@container-engine-robot.iam.gserviceaccount.com")
    assert not is_service_agent("robot@acme.iam.gserviceaccount.com")


@pytest.mark.parametrize(
    ("condition", "powers", "conditional", "confidence"),
    [
        ("", ["admin", "become-other", "read-data"], False, "high"),
        (
            "request.time < timestamp('2027-01-01T00:00:00Z')",
            ["admin", "become-other", "read-data"],
            False,
            "high",
        ),
        # https://docs.cloud.google.com/iam/docs/conditions-resource-attributes: service accounts have no name there
        (BUCKET, ["admin", "read-data"], True, "high"),
        (
            f"resource.type != 'storage.googleapis.com/Bucket' || {BUCKET}",
            ["admin", "become-other", "read-data"],
            True,
            "high",
        ),
        ("resource.matchTag('1/env', 'prod')", ["admin", "become-other", "read-data"], True, "low"),
        ("request.time.getHours('Europe/Berlin') > 8", ["admin", "become-other", "read-data"], True, "low"),
        ("this is no expression", ["admin", "become-other", "read-data"], True, "low"),
    ],
)
def test_conditions(condition: str, powers: list[str], conditional: bool, confidence: str) -> None:
    estate = GoogleEstate()
    estate.role(
        "roles/owner",
        "resourcemanager.projects.setIamPolicy",
        "iam.serviceAccounts.actAs",
        "storage.objects.get",
    )
    estate.bind("projects/100", "roles/owner", "user:a@acme.example", condition=condition)
    (grant,) = estate.grants(NOW)
    assert (grant.powers, grant.conditional, grant.confidence) == (powers, conditional, confidence)


def test_a_condition_that_is_over_grants_nothing_and_one_that_ends_says_when() -> None:
    estate = GoogleEstate()
    estate.role("roles/takes", "iam.serviceAccounts.getAccessToken")
    for year in (2025, 2027):
        condition = f"request.time < timestamp('{year}-01-01T00:00:00Z') && true"
        estate.bind("projects/100", "roles/takes", f"user:{year}@acme.example", condition=condition)
    estate.bind("projects/100", "roles/takes", "user:never@acme.example", condition="false")
    ends = {grant.identity_id.rpartition(":")[2]: grant.expires_at for grant in estate.grants(NOW)}
    assert ends == {
        "2025@acme.example": datetime(2025, 1, 1, tzinfo=UTC),
        "2027@acme.example": datetime(2027, 1, 1, tzinfo=UTC),
    }
    assert {link.source_id for link in estate.links(NOW)} == {"gcp:principal:user:2027@acme.example"}


def test_who_may_hand_out_some_roles_only_has_their_powers() -> None:
    only = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/reads'])"
    for condition, level in (
        (only, "read"),
        (only.replace("roles/reads", "roles/owner"), "admin"),
        ("", "admin"),
    ):
        estate = GoogleEstate()
        estate.role("roles/hands-out", "resourcemanager.projects.setIamPolicy")
        estate.role("roles/reads", "storage.objects.get")
        estate.role("roles/owner", "resourcemanager.projects.setIamPolicy")
        estate.bind("projects/100", "roles/hands-out", "user:a@acme.example", condition=condition)
        assert [grant.level for grant in estate.grants(NOW)] == [level]


def _tokens(estate: GoogleEstate) -> list[tuple[str, str]]:
    return [(grant.level, grant.confidence) for grant in estate.grants(NOW)]


def _denied(*rules: dict[str, Any], member: str = "serviceAccount:" + email("deployer"), place: str = ORGANIZATION) -> GoogleEstate:  # fmt: skip
    estate = GoogleEstate()
    estate.role("roles/takes", "iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.list")
    estate.bind("projects/100", "roles/takes", member)
    estate.deny(*rules, place=place)
    return estate


DENIED = {"deniedPermissions": ["iam.googleapis.com/serviceAccounts.getAccessToken"]}
ME = [f"principal://iam.googleapis.com/projects/-/serviceAccounts/{email('deployer')}"]


def test_a_deny_policy_takes_what_it_names_and_says_where_it_may() -> None:
    # https://docs.cloud.google.com/iam/docs/deny-overview
    assert _tokens(_denied()) == [("escalation", "high")]
    assert _tokens(_denied({**DENIED, "deniedPrincipals": ME})) == [("read", "high")]
    assert _tokens(_denied({**DENIED, "deniedPrincipals": ["principalSet://goog/public:all"]})) == [
        ("read", "high")
    ]
    assert _tokens(_denied({**DENIED, "deniedPrincipals": ME}, place="gcp:project:elsewhere")) == [
        ("escalation", "high")
    ]
    everyone_but_me = {
        **DENIED,
        "deniedPrincipals": ["principalSet://goog/public:all"],
        "exceptionPrincipals": ME,
    }
    assert _tokens(_denied(everyone_but_me)) == [("escalation", "high")]
    for place, level in (
        ("projects/100", "read"),
        ("folders/2", "read"),
        ("organizations/1", "read"),
        ("folders/9", "escalation"),
    ):
        all_of_it = [f"principalSet://cloudresourcemanager.googleapis.com/{place}/type/ServiceAccount"]
        assert _tokens(_denied({**DENIED, "deniedPrincipals": all_of_it})) == [(level, "high")], place
    wild = {"deniedPrincipals": ME, "deniedPermissions": ["iam.googleapis.com/serviceAccounts.*"]}
    assert _tokens(_denied(wild)) == []
    but = {**wild, "exceptionPermissions": ["iam.googleapis.com/serviceAccounts.getAccessToken"]}
    assert _tokens(_denied(but)) == [("escalation", "high")]
    pool = "principalSet://iam.googleapis.com/projects/100/locations/global/workloadIdentityPools/ci/*"
    assert _tokens(_denied({**DENIED, "deniedPrincipals": [pool]})) == [("escalation", "high")], (
        "no account is in a pool"
    )
    # Who is in a group is not known, nor which tags a resource has.
    assert _tokens(_denied({**DENIED, "deniedPrincipals": ["principalSet://goog/group/x@acme.example"]})) == [
        ("escalation", "low")
    ]
    tagged = {
        **DENIED,
        "deniedPrincipals": ME,
        "denialCondition": {"expression": "resource.matchTag('1/env', 'prod')"},
    }
    assert _tokens(_denied(tagged)) == [("escalation", "low")]
    grouped = {
        **DENIED,
        "deniedPrincipals": ["principalSet://goog/public:all"],
        "exceptionPrincipals": ["principalSet://goog/group/x@acme.example"],
    }
    assert _tokens(_denied(grouped)) == [("escalation", "low")]


def test_permissions_of_deny_policies_have_another_form() -> None:
    assert permission_in_roles("iam.googleapis.com/roles.update") == "iam.roles.update"
    assert (
        permission_in_roles("cloudresourcemanager.googleapis.com/projects.setIamPolicy")
        == "resourcemanager.projects.setIamPolicy"
    )
    provider = "iam.googleapis.com/workloadIdentityPoolProviders.update"
    assert permission_in_roles(provider) == provider


def test_a_boundary_that_leaves_the_resource_out_makes_a_grant_doubtful() -> None:
    # https://docs.cloud.google.com/iam/docs/principal-access-boundary-policies
    for resource, confidence in (
        ("folders/9", "low"),
        ("projects/100", "high"),
        ("projects/acme", "high"),
        ("organizations/1", "high"),
    ):
        estate = GoogleEstate()
        estate.role("roles/takes", "iam.serviceAccounts.getAccessToken")
        estate.bind(
            "projects/100", "roles/takes", f"serviceAccount:{email('deployer')}", "user:a@acme.example"
        )
        name = "organizations/1/locations/global/principalAccessBoundaryPolicies/p"
        rules = {
            "rules": [{"resources": [f"//cloudresourcemanager.googleapis.com/{resource}"], "effect": "ALLOW"}]
        }
        target = {"principalSet": "//cloudresourcemanager.googleapis.com/projects/acme"}
        estate.policies += [
            stored_policy(
                "principal-access-boundary",
                ORGANIZATION,
                name,
                document={"details": rules},
                to=[ORGANIZATION],
                name=name,
            ),
            stored_policy(
                "policy-binding", PROJECT, "b", document={"policy": name, "target": target}, to=[PROJECT]
            ),
        ]
        assert [grant.confidence for grant in estate.grants(NOW)] == [confidence, "high"]


def test_a_role_that_was_not_read_is_unknown_and_not_harmless() -> None:
    estate = GoogleEstate()
    estate.bind("projects/100", "roles/new", "user:a@acme.example")
    (grant,) = estate.grants(NOW)
    assert (grant.level, grant.powers, grant.confidence) == ("unknown", [], "low")


def test_a_disabled_account_cannot_be_used() -> None:
    estate = GoogleEstate()
    estate.account("old", enabled=False)
    estate.role("roles/takes", "iam.serviceAccounts.getAccessToken")
    estate.bind_account("old", "roles/takes", "user:a@acme.example")
    estate.bind_account("powerful", "roles/takes", "user:a@acme.example")
    assert {link.target_id for link in estate.links(NOW)} == {estate.ids["powerful"]}


def test_a_recommendation_marks_the_grant_that_nobody_uses() -> None:
    estate = GoogleEstate()
    estate.role("roles/takes", "iam.serviceAccounts.getAccessToken")
    estate.bind(
        "projects/100", "roles/takes", "user:a@acme.example", "user:b@acme.example", "user:c@acme.example"
    )
    for name, roles in (("a", []), ("b", ["roles/less"])):
        document = {"member": f"user:{name}@acme.example", "removedRole": "roles/takes", "addedRoles": roles}
        estate.policies.append(
            stored_policy("iam-recommendation", PROJECT, name, document=document, to=[PROJECT])
        )
    found = {grant.identity_id[-14]: (grant.never_used, grant.fix) for grant in estate.grants(NOW)}
    assert found["a"] == (True, "Remove roles/takes: nothing of it was used.")
    assert found["b"][0] is None
    assert "roles/less" in str(found["b"][1])
    assert found["c"][0] is None


def test_expressions_are_true_false_or_unknown() -> None:
    assert holds("a.b == 'x'", {"a": {"b": "x"}}) is True
    assert holds("a.b == 'x'", {"a": {"b": "y"}}) is False
    assert holds("a.c == 'x'", {"a": {"b": "y"}}) is None
    assert holds("a.c == 'x' || true", {"a": {}}) is True
    assert holds("a.b", {"a": {"b": "x"}}) is None, "a text is neither true nor false"
    assert holds("(" * 5000, {}) is None
    assert holds("1 == 1 || " * 1000 + "true", {}) is None, "longer than Google accepts"
    # https://docs.cloud.google.com/iam/docs/conditions-attribute-reference#extract
    assert extract("projects/_/buckets/acme-orders/objects/x", "buckets/{name}/") == "acme-orders"
    assert extract("projects/_/buckets/acme", "buckets/{name}/") == ""
    assert extract("a/b", "a/{x}") == "b"
