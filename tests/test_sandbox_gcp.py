"""The make-believe Google Cloud: pages, errors, permissions and quotas as Google documents them, and what the company's repositories say of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.estate import GOOGLE_ORGANIZATION, REPOSITORIES
from sandbox.gcp import GcpSandbox, open_sandbox
from sandbox.gcp.company import build
from sandbox.gcp.roles import PERMISSIONS
from sandbox.github.repositories import repositories

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSETS = f"/cloudasset/v1/organizations/{GOOGLE_ORGANIZATION}/assets"
SEARCH = f"/cloudasset/v1/organizations/{GOOGLE_ORGANIZATION}:searchAllIamPolicies"
ACCOUNTS = "iam.googleapis.com/ServiceAccount"
KEYS = "iam.googleapis.com/ServiceAccountKey"


@pytest.fixture
def sandbox() -> Iterator[GcpSandbox]:
    with open_sandbox() as made:
        yield made


def get(sandbox: GcpSandbox, path: str, token: str | None = None) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {token or sandbox.token.value}"}
    answer = sandbox.handle("GET", path, headers, b"")
    return answer.status, json.loads(answer.body)


def refusal(sandbox: GcpSandbox, path: str, token: str | None = None) -> tuple[int, str, str | None]:
    """Return the status of an error, its word, and its reason."""
    status, body = get(sandbox, path, token)
    error = body["error"]
    assert error["code"] == status
    reasons = [detail["reason"] for detail in error.get("details", [])]
    return status, error["status"], reasons[0] if reasons else None


def test_pages_hold_fewer_items_than_were_asked_for(sandbox: GcpSandbox) -> None:
    names: list[str] = []
    token = ""
    while True:
        _, body = get(
            sandbox, f"{ASSETS}?assetTypes={ACCOUNTS}&contentType=RESOURCE&pageSize=1000&pageToken={token}"
        )
        assert len(body["assets"]) <= sandbox.page
        names += [row["name"] for row in body["assets"]]
        token = body.get("nextPageToken", "")
        if not token:
            break
    assert len(names) == len(set(names)) == len(sandbox.company.accounts)
    _, two = get(sandbox, f"{SEARCH}?pageSize=2")
    assert len(two["results"]) == 2


def test_an_empty_list_has_no_key(sandbox: GcpSandbox) -> None:
    assert get(sandbox, "/storage/storage/v1/projects/lantern-shop/hmacKeys") == (200, {})


def test_errors_are_in_the_published_form(sandbox: GcpSandbox) -> None:
    denied = (403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED")
    assert refusal(sandbox, f"{ASSETS}?assetTypes=iam.googleapis.com/Nothing") == (
        400,
        "INVALID_ARGUMENT",
        None,
    )
    assert refusal(sandbox, ASSETS, "another") == (401, "UNAUTHENTICATED", None)
    assert refusal(sandbox, "/iam/v1/projects/-/serviceAccounts/nobody@x/keys") == (404, "NOT_FOUND", None)
    assert refusal(sandbox, "/iam/v1/nothing") == (404, "NOT_FOUND", None)
    # A project that is being deleted is still listed, and answers to no list of its own.
    deleted = "lantern-old-reports"
    status, project = get(sandbox, f"/cloudresourcemanager/v3/projects/{deleted}")
    assert (status, project["state"]) == (200, "DELETE_REQUESTED")
    assert refusal(sandbox, f"/iam/v1/projects/{deleted}/serviceAccounts") == denied
    assert refusal(sandbox, "/iam/v1/projects/not-there/serviceAccounts") == denied


def test_an_inventory_that_is_off_says_so() -> None:
    with open_sandbox(variant="projects") as sandbox:
        disabled = (403, "PERMISSION_DENIED", "SERVICE_DISABLED")
        assert refusal(sandbox, "/cloudasset/v1/projects/lantern-shop/assets") == disabled
        organization = f"/cloudresourcemanager/v3/organizations/{GOOGLE_ORGANIZATION}"
        assert refusal(sandbox, organization)[0] == 403
        assert "organizations" not in sandbox.section()
        assert "lantern-old-reports" not in sandbox.section()["projects"]


def test_a_quota_is_a_limit_of_each_api() -> None:
    with GcpSandbox(quota=2) as sandbox:
        assert [get(sandbox, ASSETS)[0] for _ in range(3)] == [200, 200, 429]
        assert refusal(sandbox, ASSETS) == (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")
        assert get(sandbox, "/iam/v1/roles")[0] == 200


def test_each_call_takes_its_permission(sandbox: GcpSandbox) -> None:
    keys = f"{ASSETS}?assetTypes={KEYS}&contentType=RESOURCE"
    sandbox.revoke("cloudasset.assets.exportIamServiceAccountKeys")
    assert get(sandbox, keys)[0] == 403
    assert get(sandbox, f"{ASSETS}?assetTypes={ACCOUNTS}&contentType=RESOURCE")[0] == 200
    sandbox.restore()
    assert get(sandbox, keys)[0] == 200


def test_a_deny_policy_is_listed_without_its_rules(sandbox: GcpSandbox) -> None:
    at = f"/iam/v2/policies/cloudresourcemanager.googleapis.com%2Forganizations%2F{GOOGLE_ORGANIZATION}/denypolicies"
    _, listed = get(sandbox, at)
    assert [("rules" in row) for row in listed["policies"]] == [False]
    _, whole = get(sandbox, f"{at}/no-keys")
    assert whole["rules"][0]["denyRule"]["deniedPermissions"] == [
        "iam.googleapis.com/serviceAccountKeys.create"
    ]


def test_roles_have_permissions_only_in_the_full_view(sandbox: GcpSandbox) -> None:
    _, basic = get(sandbox, "/iam/v1/roles")
    _, full = get(sandbox, "/iam/v1/roles?view=FULL")
    assert not any("includedPermissions" in role for role in basic["roles"])
    assert all(role["includedPermissions"] for role in full["roles"])


def test_what_is_granted_is_there() -> None:
    company = build(2)
    roles = {*PERMISSIONS, *(role["name"] for found in company.custom_roles.values() for role in found)}
    for row in company.grants.values():
        for binding in row["policy"]["bindings"]:
            assert binding["role"] in roles
            for member in binding["members"]:
                kind, _, email = member.partition(":")
                if kind == "serviceAccount" and ".svc.id.goog" not in email:
                    assert email in company.accounts, member


def test_the_repositories_sign_in_as_accounts_of_the_company() -> None:
    company = build(1)
    known = {one.name: one for one in repositories(1)}
    found = [one for one in REPOSITORIES if one.account in company.projects]
    assert {one.name for one in found} == {"basket", "rates", "exports"}
    pool = f"principalSet://iam.googleapis.com/{company.pools['lantern-build'][0]['name']}/attribute.repository_id"
    for one in found:
        email = company.projects[one.account].email(one.role or one.user or "")
        text = "\n".join(known[one.name].files.values())
        if one.login == "oidc":
            members = [member for row in company.policy(email)["bindings"] for member in row["members"]]
            assert members == [f"{pool}/{one.id}"]
            assert email in text
            assert company.providers[company.pools["lantern-build"][0]["name"]][0]["name"] in text
        else:
            assert company.keys[email]
