"""Escalation paths of Entra ID: each with what opens it, and with what only reads like it.

Expected levels of built-in roles are from Microsoft's own descriptions of what each role can do, and its actions from the
same pages: https://learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from collectors.entra import powers
from scanner.records import level_of

PATHS = powers.escalation_paths()
PERMISSIONS = [(path, name) for path in PATHS for name in path.permissions]
ACTIONS = [(path, action) for path in PATHS for action in path.actions]


def example(pattern: str) -> str:
    return pattern.replace("UserAuthMethod-*", "UserAuthMethod-Passkey").replace("*", "")


@pytest.mark.parametrize(("path", "name"), PERMISSIONS, ids=[f"{p.id}-{n}" for p, n in PERMISSIONS])
def test_a_permission_opens_its_path(path: powers.DirectoryEscalation, name: str) -> None:
    verdict = powers.of_permission(powers.GRAPH, example(name))
    assert path.id in verdict.paths
    assert set(path.powers) <= set(verdict.powers)
    assert level_of(verdict.powers) in {"admin", "escalation"}
    assert verdict.way
    # The same name, as another API defines it, is another permission.
    assert powers.of_permission("11111111-2222-3333-4444-555555555555", example(name)).paths == ()
    # A delegated one is limited by the user who signs in.
    assert "admin" not in powers.of_delegated(powers.GRAPH, example(name)).powers


@pytest.mark.parametrize(("path", "action"), ACTIONS, ids=[f"{p.id}-{a}" for p, a in ACTIONS])
def test_an_action_of_a_custom_role_opens_its_path(path: powers.DirectoryEscalation, action: str) -> None:
    verdict = powers.of_role("a custom role", [action.replace("*", "x")], privileged=False)
    assert path.id in verdict.paths
    assert level_of(verdict.powers) in {"admin", "escalation"}


@pytest.mark.parametrize("path", PATHS, ids=[path.id for path in PATHS])
def test_a_look_alike_does_not_open_the_path(path: powers.DirectoryEscalation) -> None:
    twins = [*path.look_alike.permissions, *path.look_alike.actions]
    assert path.relation or twins
    for name in path.look_alike.permissions:
        verdict = powers.of_permission(powers.GRAPH, name)
        assert path.id not in verdict.paths
        assert level_of(verdict.powers) in {"read", "write"}, name
    for action in path.look_alike.actions:
        verdict = powers.of_role("a custom role", [action], privileged=False)
        assert path.id not in verdict.paths
        assert "admin" not in verdict.powers, action


def test_every_path_has_a_source_and_the_list_a_date() -> None:
    assert len({path.id for path in PATHS}) == len(PATHS)
    for path in PATHS:
        assert path.source.startswith("https://learn.microsoft.com/"), path.id
        assert bool(path.permissions) == bool(path.powers), path.id
        assert bool(path.actions or path.templates) == bool(path.action_powers), path.id
        assert path.permissions or path.actions or path.templates or path.relation, path.id
    file = Path(powers.__file__).parent / "data" / "escalation_paths.yaml"
    assert isinstance(yaml.safe_load(file.read_text())["as_of"], date)


_APPLICATIONS = ["applications/credentials/update", "applications/owners/update", "servicePrincipals/credentials/update",
                 "servicePrincipals/appRoleAssignedTo/update",
                 "servicePrincipals/managePermissionGrantsForAll.microsoft-application-admin"]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "template", "actions", "level"),
    [
        ("Application Administrator", "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3", _APPLICATIONS, "escalation"),
        ("Cloud Application Administrator", "158c047a-c907-4556-b7ef-446551a6b5f7", _APPLICATIONS, "escalation"),
        ("Application Developer", "cf1c38e5-3621-4004-a7cb-879624dced7c",
         ["applications/createAsOwner", "oAuth2PermissionGrants/createAsOwner", "servicePrincipals/createAsOwner"], "write"),
        ("Privileged Role Administrator", "e8611ab8-c189-46e8-94e1-60213ab1f814",
         ["roleAssignments/allProperties/allTasks", "servicePrincipals/managePermissionGrantsForAll.microsoft-company-admin"],
         "admin"),
        ("Privileged Authentication Administrator", "7be44c8a-adaf-4e2a-84d6-ab2649e08a13",
         ["users/password/update", "users/authenticationMethods/create"], "admin"),
        ("Authentication Administrator", "c4e39bd9-1100-46d3-8c65-fb160da0071f",
         ["users/password/update", "users/authenticationMethods/create"], "escalation"),
        ("Helpdesk Administrator", "729827e3-9c14-49f7-bb1b-9608f156bbb8", ["users/password/update"], "escalation"),
        ("User Administrator", "fe930be7-5e62-47db-91af-98c3a49a38b1",
         ["groups/members/update", "users/password/update", "entitlementManagement/allProperties/allTasks"], "escalation"),
        ("Groups Administrator", "fdd7a751-b60b-444a-984c-02652fe8fa1c", ["groups/members/update"], "escalation"),
        ("Directory Writers", "9360feb5-f418-4baa-8175-e2a00bac4301",
         ["groups/owners/update", "oAuth2PermissionGrants/create", "users/basic/update"], "escalation"),
        ("Hybrid Identity Administrator", "8ac3fc64-6eca-42ea-9e69-59f4c7b60eb2",
         ["domains/federation/update", "applications/owners/update"], "escalation"),
        ("Domain Name Administrator", "8329153b-31d0-4727-b945-745eb3bc5f31", ["domains/allProperties/allTasks"], "escalation"),
        ("External Identity Provider Administrator", "be2f45a1-457d-42af-a067-6ec1fa63bc45",
         ["domains/federation/update", "identityProviders/allProperties/allTasks"], "escalation"),
        ("Conditional Access Administrator", "b1be1c3e-b65d-4f19-8427-f6fa0d97feb9",
         ["conditionalAccessPolicies/basic/update", "namedLocations/create"], "escalation"),
        ("Attribute Assignment Administrator", "58a13ea3-c632-46ae-9ee0-9c0d43cd7f3d",
         ["users/customSecurityAttributes/update"], "escalation"),
        ("Attribute Assignment Reader", "ffd52fa5-98dc-465c-991d-fc073eb59f8f",
         ["users/customSecurityAttributes/read"], "read"),
        ("Cloud App Security Administrator", "892c5842-a9a6-463a-8041-72aa08ca3cf6",
         ["cloudAppSecurity/allProperties/allTasks"], "write"),
        ("Directory Readers", "88d8e3e3-8f55-4a1e-953a-9b9898b8876b", ["users/standard/read"], "read"),
        # Its actions say nothing of agents.
        ("Agent ID Administrator", "db506228-d27e-4b7d-95e5-295956d6615f", ["organization/standard/read"], "escalation"),
    ],
)  # fmt: skip
def test_a_built_in_role_is_as_strong_as_microsoft_says(
    role: str, template: str, actions: list[str], level: str
) -> None:
    verdict = powers.of_role(
        template, [f"microsoft.directory/{action}" for action in actions], privileged=None
    )
    assert level_of(verdict.powers) == level, role


@pytest.mark.parametrize(
    ("action", "level"),
    [
        ("microsoft.azure.devOps/allEntities/allTasks", "escalation"),
        ("microsoft.intune/allEntities/allTasks", "escalation"),
        ("microsoft.office365.exchange/allEntities/basic/allTasks", "escalation"),
        ("microsoft.directory/bitlockerKeys/key/read", "write"),
        ("microsoft.office365.supportTickets/allEntities/allTasks", "write"),
    ],
)
def test_an_action_of_another_service(action: str, level: str) -> None:
    assert level_of(powers.of_role("custom", [action], privileged=False).powers) == level


def test_of_two_paths_the_stronger_one_explains_the_role() -> None:
    actions = [
        "microsoft.directory/groups/members/update",
        "microsoft.directory/roleAssignments/allProperties/allTasks",
    ]
    verdict = powers.of_role("custom", actions, privileged=None)
    assert verdict.paths == ("assign-directory-role", "change-groups")
    assert verdict.way == "It assigns any directory role, Global Administrator included."
    assert verdict.actions[0] == actions[1]
