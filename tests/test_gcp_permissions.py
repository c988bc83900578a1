"""What permissions of Google Cloud give: each way of the data file with its true case, and a look-alike that lacks one word."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collectors.gcp.evaluator.permissions import EscalationWay, escalation_ways, power_of
from collectors.gcp.evaluator.roles import at_resource, role_powers
from scanner.records import Power, level_of
from tests.google_estate import GoogleEstate

NOW = datetime(2026, 12, 1, tzinfo=UTC)
WAYS = {way.id: way for way in escalation_ways()}


@pytest.mark.parametrize(
    ("permission", "power"),
    [
        # https://docs.cloud.google.com/iam/docs/roles-permissions
        ("resourcemanager.projects.setIamPolicy", "admin"),
        ("storage.buckets.setIamPolicy", "grant-access"),
        ("iam.serviceAccounts.setIamPolicy", "grant-access"),
        ("iam.roles.update", "grant-access"),
        ("iam.googleapis.com/workloadIdentityPoolProviders.update", "grant-access"),
        ("iam.googleapis.com/workloadIdentityPoolProviders.get", "read"),
        ("iam.serviceAccounts.getAccessToken", "become-other"),
        ("iam.serviceAccounts.get", "read"),
        ("secretmanager.versions.access", "read-secrets"),
        ("secretmanager.versions.list", "read"),
        ("cloudbuild.builds.create", "change-delivery"),
        ("artifactregistry.repositories.uploadArtifacts", "change-delivery"),
        ("artifactregistry.repositories.downloadArtifacts", "read-data"),
        ("run.services.update", "deploy"),
        ("run.jobs.run", "change-data"),
        ("storage.objects.get", "read-data"),
        ("storage.objects.create", "change-data"),
        ("bigquery.tables.getData", "read-data"),
        ("compute.instances.list", "read"),
        ("serviceusage.services.use", None),
        ("compute.networks.use", None),
    ],
)
def test_a_permission_has_one_power(permission: str, power: Power | None) -> None:
    assert power_of(permission) == power


def test_ids_of_ways_are_unique_and_each_has_a_source() -> None:
    assert len(WAYS) == len(escalation_ways()) > 75
    assert all(way.source.startswith("https://") for way in WAYS.values())


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_way_needs_each_of_its_permissions(way: EscalationWay) -> None:
    whole = frozenset(either[0] for either in way.needed)
    assert way.taken_by(whole) is not None
    for either in way.needed:
        assert way.taken_by(whole - set(either)) is None
        assert all(way.taken_by((whole - set(either)) | {one}) is not None for one in either)
    assert way.taken_by(frozenset(f"{one}s" for one in whole)) is None, (
        "a name that is nearly the same is another one"
    )


@pytest.mark.parametrize("way", [way for way in WAYS.values() if way.act_as], ids=lambda way: way.id)
def test_a_way_with_act_as_makes_its_holder_the_account(way: EscalationWay) -> None:
    estate = GoogleEstate()
    estate.role("roles/runs", *(either[0] for either in way.needed))
    estate.role("roles/uses", "iam.serviceAccounts.actAs")
    estate.bind("projects/100", "roles/runs", "user:both@acme.example", "user:half@acme.example")
    estate.bind_account("powerful", "roles/uses", "user:both@acme.example")
    links = estate.links(NOW)
    assert [(link.source_id, link.target_id) for link in links] == [
        ("gcp:principal:user:both@acme.example", estate.ids["powerful"])
    ]
    assert level_of([way.power]) == "escalation" or way.power == "change-delivery"


@pytest.mark.parametrize(
    "way",
    [way for way in WAYS.values() if way.target == "service-account" and not way.act_as],
    ids=lambda way: way.id,
)
def test_a_way_to_an_account_is_as_wide_as_its_binding(way: EscalationWay) -> None:
    estate = GoogleEstate()
    estate.role("roles/takes", *(either[0] for either in way.needed))
    estate.bind_account("powerful", "roles/takes", "user:one@acme.example")
    estate.bind("projects/100", "roles/takes", "user:all@acme.example")
    found = {(link.source_id.rpartition(":")[2], link.target_id) for link in estate.links(NOW)}
    wide = {("all@acme.example", number) for number in estate.ids.values()}
    # Keys of Cloud Storage are made in the project, not on an account.
    narrow = {("one@acme.example", estate.ids["powerful"])} if way.id != "create-hmac-key" else set()
    assert found == wide | narrow


def test_a_key_cannot_be_made_where_the_organization_bars_it() -> None:
    for enforced, count in ((False, 2), (True, 0)):
        estate = GoogleEstate()
        estate.role("roles/keys", "iam.serviceAccountKeys.create")
        estate.bind("projects/100", "roles/keys", "user:a@acme.example")
        estate.organization_policy("iam.disableServiceAccountKeyCreation", enforced=enforced)
        assert len(estate.links(NOW)) == count
        assert [grant.level for grant in estate.grants(NOW)] == (["escalation"] if count else [])


def test_editor_becomes_every_account_of_its_project_and_no_other() -> None:
    estate = GoogleEstate()
    estate.role("roles/editor", "iam.serviceAccounts.actAs", "run.services.update", "storage.buckets.create")
    estate.project("200", "other")
    stranger = estate.account("stranger", project="other")
    estate.bind("projects/100", "roles/editor", "user:a@acme.example")
    targets = {link.target_id for link in estate.links(NOW)}
    assert targets == {estate.ids["deployer"], estate.ids["powerful"]}
    assert stranger not in targets
    assert [grant.level for grant in estate.grants(NOW)] == ["escalation"]


def test_a_role_on_one_resource_has_only_the_permissions_of_its_service() -> None:
    permissions = frozenset(("storage.objects.get", "iam.serviceAccounts.actAs", "run.services.update"))
    assert at_resource(permissions, "//storage.googleapis.com/b") == {"storage.objects.get"}
    assert at_resource(permissions, "//iam.googleapis.com/projects/p/serviceAccounts/1") == {
        "iam.serviceAccounts.actAs"
    }
    assert at_resource(permissions, "//cloudresourcemanager.googleapis.com/projects/1") == permissions


def test_what_needs_something_else_is_not_sure() -> None:
    assert "become-other" in role_powers(frozenset(("iam.serviceAccounts.getOpenIdToken",))).powers
    assert "become-other" not in role_powers(frozenset(("iam.serviceAccounts.getOpenIdToken",))).sure
    assert "become-other" in role_powers(frozenset(("iam.serviceAccounts.getAccessToken",))).sure
