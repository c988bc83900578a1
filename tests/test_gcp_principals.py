"""Principals of IAM policies as identities, and rare trusts: what the demo company does not have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from collectors.gcp.evaluator import GcpEstate, PolicyEvaluation
from collectors.gcp.principals import principals
from scanner.records import Identity, Link, Record
from tests.google_estate import GoogleEstate, email

NOW = datetime(2026, 12, 1, tzinfo=UTC)
POOL = "principalSet://iam.googleapis.com/projects/100/locations/global/workloadIdentityPools/ci/*"


def _principals(estate: GoogleEstate, *, accounts_known: bool = True) -> list[Record]:
    known = GcpEstate()
    for record in estate.records:
        known.add(record)
    evaluation = PolicyEvaluation(estate.policies, known, NOW)
    list(evaluation.records())
    return list(principals(evaluation, accounts_known=accounts_known))


@pytest.mark.parametrize(
    ("member", "kind", "surface"),
    [
        ("user:ada@acme.example", "google-user", "human"),
        ("group:ops@acme.example", "google-group", None),
        ("domain:acme.example", "google-domain", None),
        ("allUsers", "google-public", None),
        (POOL, "gcp-federated-principal", "automation"),
        ("principalSet://iam.googleapis.com/locations/global/workforcePools/staff/group/ops", "gcp-workforce-principal", "human"),
        ("principalSet://cloudresourcemanager.googleapis.com/folders/2/type/ServiceAccount", "gcp-service-account-set", "automation"),
        ("principal://agents.global.org-1.system.id.goog/resources/aiplatform/projects/1/locations/l/reasoningEngines/7", "gcp-agent-identity", "workload"),
        ("serviceAccount:acme.svc.id.goog[shop/web]", "gke-service-account", "workload"),
        ("projectEditor:acme", "gcp-basic-role-holders", None),
        ("serviceAccount:ci@elsewhere.iam.gserviceaccount.com", "gcp-unlisted-service-account", "automation"),
        ("serviceAccount:service-100@gcp-sa-pubsub.iam.gserviceaccount.com", "gcp-service-agent", "automation"),
    ],
)  # fmt: skip
def test_each_principal_is_an_identity(member: str, kind: str, surface: str | None) -> None:
    estate = GoogleEstate()
    estate.role("roles/storage.objectViewer", "storage.objects.get")
    estate.bind("projects/100", "roles/storage.objectViewer", member)
    (grant,) = estate.grants(NOW)
    (identity,) = [record for record in _principals(estate) if isinstance(record, Identity)]
    assert (identity.kind, identity.surface) == (kind, surface)
    assert grant.identity_id in {identity.id, identity.address}


def test_a_listed_account_and_a_deleted_one_are_no_further_identity() -> None:
    estate = GoogleEstate()
    estate.role("roles/storage.objectViewer", "storage.objects.get")
    deleted = "deleted:serviceAccount:gone@acme.iam.gserviceaccount.com?uid=1"
    estate.bind("projects/100", "roles/storage.objectViewer", f"serviceAccount:{email('deployer')}", deleted)
    assert _principals(estate) == []


def test_an_account_is_not_called_foreign_while_accounts_are_not_known() -> None:
    estate = GoogleEstate()
    estate.role("roles/storage.objectViewer", "storage.objects.get")
    estate.bind(
        "projects/100", "roles/storage.objectViewer", "serviceAccount:ci@elsewhere.iam.gserviceaccount.com"
    )
    assert _principals(estate, accounts_known=False) == []


def test_all_service_accounts_of_a_place_belong_to_its_set() -> None:
    for place, count in (("projects/100", 2), ("folders/2", 2), ("organizations/1", 2), ("folders/9", 0)):
        estate = GoogleEstate()
        estate.role("roles/storage.objectViewer", "storage.objects.get")
        member = f"principalSet://cloudresourcemanager.googleapis.com/{place}/type/ServiceAccount"
        estate.bind("projects/100", "roles/storage.objectViewer", member)
        links = [record for record in _principals(estate) if isinstance(record, Link)]
        assert {link.source_id for link in links} == (set(estate.ids.values()) if count else set())
        assert all(link.relation == "member_of" and link.target_id.endswith(member) for link in links)


def test_holders_of_a_basic_role_have_what_buckets_give_to_the_role() -> None:
    # https://docs.cloud.google.com/storage/docs/access-control/iam#convenience-values
    estate = GoogleEstate()
    estate.role("roles/editor", "storage.buckets.create")
    estate.role("roles/storage.legacyBucketOwner", "storage.objects.create")
    estate.bind("projects/100", "roles/editor", "user:ada@acme.example")
    estate.bind_resource(
        "//storage.googleapis.com/logs", "roles/storage.legacyBucketOwner", "projectEditor:acme"
    )
    links = [record for record in _principals(estate) if isinstance(record, Link)]
    assert [(link.source_id, link.target_id) for link in links] == [
        ("gcp:principal:user:ada@acme.example", "gcp:principal:projectEditor:acme")
    ]


@pytest.mark.parametrize(("field", "kind"), [("saml", "saml"), ("x509", "certificate")])
def test_providers_of_other_kinds_are_trusts_of_unknown_exposure(field: str, kind: str) -> None:
    estate = GoogleEstate()
    estate.role("roles/iam.workloadIdentityUser", "iam.serviceAccounts.getAccessToken")
    fields: dict[str, Any] = {field: {}}
    estate.provider(oidc=None, **fields)
    estate.bind_account("deployer", "roles/iam.workloadIdentityUser", POOL)
    (trust,) = estate.trusts(NOW)
    assert (trust.kind, trust.exposure, trust.problem) == (kind, "unknown", None)
