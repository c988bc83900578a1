"""What the sandbox answers has the fields and types of Microsoft's published models.

The data file names its source. `tests/data/reduce_graph_models.py` makes it of the two SDK wheels.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox.entra import EntraSandbox
from sandbox.entra.estate import GRAPH, guid
from sandbox.entra.server import BATCH, BATCHED, ROUTES
from tests.test_entra import collected

if TYPE_CHECKING:
    from sandbox.kit.api import ApiCall
    from sandbox.kit.http import Reply

PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "entra-graph-fields.json").read_text(encoding="utf-8")
)
MODELS = {
    "/v1.0/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')": "service_principal",
    "/v1.0/organization": "organization",
    "/v1.0/servicePrincipals": "service_principal",
    "/beta/servicePrincipals": "service_principal",
    "/beta/applications": "application",
    "/v1.0/applications": "application",
    "/beta/reports/servicePrincipalSignInActivities": "service_principal_sign_in_activity",
    "/beta/reports/appCredentialSignInActivities": "app_credential_sign_in_activity",
    "/v1.0/oauth2PermissionGrants": "o_auth2_permission_grant",
    "/beta/roleManagement/directory/roleDefinitions": "unified_role_definition",
    "/v1.0/roleManagement/directory/roleAssignments": "unified_role_assignment",
    "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances": "unified_role_eligibility_schedule_instance",
    "/v1.0/roleManagement/directory/roleAssignmentScheduleInstances": "unified_role_assignment_schedule_instance",
    "/beta/servicePrincipals/microsoft.graph.agentIdentity": "agent_identity",
    "/beta/servicePrincipals/microsoft.graph.agentIdentityBlueprintPrincipal": "agent_identity_blueprint_principal",
    "/beta/users/microsoft.graph.agentUser": "agent_user",
    "/v1.0/groups": "group",
    "/v1.0/directory/administrativeUnits": "administrative_unit",
    "/v1.0/auditLogs/directoryAudits": "directory_audit",
    "/v1.0/identityProtection/riskyServicePrincipals": "risky_service_principal",
    "/v1.0/domains": "domain",
    "/v1.0/domains/{id}/federationConfiguration": "internal_domain_federation",
    "/beta/identity/conditionalAccess/policies": "conditional_access_policy",
    "/v1.0/policies/crossTenantAccessPolicy/default": "cross_tenant_access_policy_configuration_default",
    "/v1.0/policies/crossTenantAccessPolicy/partners": "cross_tenant_access_policy_configuration_partner",
    "/v1.0/policies/permissionGrantPolicies": "permission_grant_policy",
    "/v1.0/policies/appManagementPolicies": "app_management_policy",
    "/v1.0/policies/authorizationPolicy": "authorization_policy",
    "/v1.0/policies/defaultAppManagementPolicy": "tenant_app_management_policy",
    "/servicePrincipals/{id}/owners": "directory_object",
    "/applications/{id}/owners": "directory_object",
    "/groups/{id}/owners": "directory_object",
    "/groups/{id}/transitiveMembers": "directory_object",
    "/groups/{id}/transitiveMemberOf": "directory_object",
    "/servicePrincipals/{id}/transitiveMemberOf": "directory_object",
    "/servicePrincipals/{id}/appRoleAssignedTo": "app_role_assignment",
    "/servicePrincipals/microsoft.graph.agentIdentity/{id}/inheritedAppRoleAssignments": "app_role_assignment",
    "/servicePrincipals/microsoft.graph.agentIdentity/{id}/inheritedOauth2PermissionGrants": "o_auth2_permission_grant",
    "/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances": (
        "privileged_access_group_eligibility_schedule_instance"
    ),
    "/identityGovernance/privilegedAccess/group/assignmentScheduleInstances": (
        "privileged_access_group_assignment_schedule_instance"
    ),
}
"""The model of each route's items. Those without a version are parts of a batch, which is beta's."""


class _Recording(EntraSandbox):
    """Keeps what it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[str, Any]] = []

    def answer(self, call: ApiCall) -> Reply:
        got = super().answer(call)
        if call.method == "GET" and call.template in MODELS:
            self.answers.append((call.template, msgspec.json.decode(got.body)))
        if call.path == BATCH:
            asked = {one["id"]: one["url"] for one in json.loads(call.request.body)["requests"]}
            for part in msgspec.json.decode(got.body)["responses"]:
                template = re.sub(r"/[0-9a-f-]{36}/", "/{id}/", asked[part["id"]].partition("?")[0])
                self.answers.append((template, part["body"]))
        return got


def test_every_route_has_a_model() -> None:
    assert set(MODELS) == {route.replace("{app_id}", GRAPH) for route in (*ROUTES, *BATCHED)}


def test_each_answer_has_the_published_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _Recording() as sandbox:
        owners = [sandbox.directory.user(f"owner-{number}") for number in range(21)]
        for held in (
            sandbox.directory.applications[1],
            sandbox.directory.service_principals[3],
            sandbox.directory.groups[guid("group future use")],
        ):
            held["owners"] = owners
        collected(sandbox, tmp_path, monkeypatch)
    wrong: list[str] = []
    checked: Counter[str] = Counter()
    for template, body in sandbox.answers:
        version = "v1.0" if template.startswith("/v1.0") else "beta"
        items = body.get("value", [body])
        for item in items:
            checked[template] += 1
            wrong += [f"{template}{problem}" for problem in problems(version, MODELS[template], item)]
    assert not wrong, "\n".join(sorted(set(wrong))[:30])
    unseen = set(MODELS) - set(checked)
    # Nothing in the company is in so many groups, or has a policy of its own.
    assert unseen <= {"/servicePrincipals/{id}/transitiveMemberOf", "/v1.0/policies/appManagementPolicies"}


def problems(version: str, model: str, item: Any) -> list[str]:
    """Return what in an object is not of a published model: one text a field."""
    if not isinstance(item, dict):
        return [f": {item!r} is no {model}"]
    published = PUBLISHED[version]
    kind = str(item.get("@odata.type") or "").removeprefix("#microsoft.graph.")
    named = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
    if named in published["models"]:
        model = named
    found: list[str] = []
    for name, value in item.items():
        if name.startswith("@"):
            continue
        expected = field(published["models"], model, name)
        if expected is None:
            found.append(f".{name}: {model} of {version} has no such field")
        elif value is not None:
            found += [f".{name}{one}" for one in mismatch(version, expected, value)]
    return found


def field(models: dict[str, Any], model: str | None, name: str) -> Any:
    """Return the type of a field, of the model or of what it inherits from."""
    while model is not None:
        held = models[model]
        if name in held["fields"]:
            return held["fields"][name]
        model = held.get("base")
    return None


def mismatch(version: str, expected: Any, value: Any) -> list[str]:
    """Return why a value is not of a published type."""
    match expected:
        case [inner]:
            if not isinstance(value, list):
                return [f": {value!r} is no list"]
            return [problem for one in value for problem in mismatch(version, inner, one)]
        case "string" | "duration":
            return [] if isinstance(value, str) else [f": {value!r} is no string"]
        case "boolean":
            return [] if isinstance(value, bool) else [f": {value!r} is no boolean"]
        case "integer":
            return [] if isinstance(value, int) else [f": {value!r} is no number"]
        case "time":
            datetime.fromisoformat(str(value))
            return []
        case str() if expected.startswith("enum "):
            allowed = PUBLISHED[version]["enums"][expected.removeprefix("enum ")]
            return [] if value in allowed else [f": {value!r} is none of {allowed}"]
        case _:
            return problems(version, str(expected), value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"madeUp": 1}, ".madeUp: application of v1.0 has no such field"),
        ({"appId": 7}, ".appId: 7 is no string"),
        ({"passwordCredentials": {}}, ".passwordCredentials: {} is no list"),
        ({"keyCredentials": [{"keyId": 5}]}, ".keyCredentials.keyId: 5 is no string"),
    ],
)
def test_a_field_that_is_made_up_is_noticed(change: dict[str, Any], words: str) -> None:
    assert problems("v1.0", "application", {"id": "x", **change}) == [words]
