"""The Azure collector against its sandbox, and its evaluator against the published built-in roles."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

import collectors.azure
from collectors.azure.custom_role import CLOSES_A_GAP, NEEDED
from collectors.azure.evaluator.conditions import Sure, condition
from collectors.azure.evaluator.denies import concerns, deny_of
from collectors.azure.evaluator.estate import Estate
from collectors.azure.evaluator.grants import RoleEvaluator
from collectors.azure.evaluator.patterns import covers
from collectors.azure.evaluator.roles import allowed, role_of
from collectors.azure.records import stored_policy
from sandbox.azure import AzureSandbox
from sandbox.azure.tenant import EVERYONE, PROD, element
from sandbox.entra.estate import guid as entra
from sandbox.estate import FIRST_NIGHT
from sandbox.kit.http import RefusedError
from scanner.collect.collector import Run
from scanner.records import Account, Control, Coverage, Credential, Gap, Grant, Identity, Link, Policy, Trust
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.kit.api import ApiCall
    from sandbox.kit.http import Reply
    from scanner.records import Record


def collected(
    sandbox: AzureSandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> list[Record]:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    config = collectors.azure.Config.model_validate({**sandbox.section(), **options})
    run = Run(as_of=FIRST_NIGHT, fingerprint=Fingerprint(b"k" * 32), cache=folder, stopping=threading.Event())
    return [
        row
        for target in collectors.azure.targets(config, run)
        for row in collectors.azure.collect(target, config, run)
    ]


# Permission elements as published in https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
@pytest.mark.parametrize(
    ("permissions", "has", "lacks"),
    [
        ([element(["*"])], {"admin", "become-other", "read-secrets"}, set()),
        (
            [element(["*"], ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"])],
            {"become-other", "read-secrets", "deploy"},
            {"admin"},
        ),
        ([element(["*/read"])], {"read"}, {"read-secrets", "read-data", "change-data"}),
        (
            [element(["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"])],
            {"grant-access"},
            {"admin", "become-other"},
        ),
        (
            [element(["Microsoft.Resources/deployments/*"])],
            set(),
            {"deploy", "change-data", "admin", "grant-access"},
        ),
        (
            [element([], data=["Microsoft.KeyVault/vaults/secrets/getSecret/action"])],
            {"read-secrets"},
            {"change-data"},
        ),
        ([element([], data=["*"])], {"read-secrets", "read-data"}, {"admin"}),
        ([element(["Microsoft.ManagedIdentity/userAssignedIdentities/*"])], {"become-other"}, {"admin"}),
        ([element(["microsoft.web/sites/*"])], {"become-other", "deploy"}, {"grant-access"}),
        # What one element cuts, another gives back.
        (
            [
                element(["*"], ["Microsoft.Authorization/*"]),
                element(["Microsoft.Authorization/roleAssignments/write"]),
            ],
            {"grant-access"},
            {"admin"},
        ),
    ],
)
def test_what_a_role_amounts_to_by_its_actions(
    permissions: list[dict[str, Any]], has: set[str], lacks: set[str]
) -> None:
    powers = set(allowed(role_of(json.dumps({"permissions": permissions}))).powers)
    assert has <= powers
    assert not lacks & powers


def denied(**more: Any) -> dict[str, Any]:
    return {
        "scope": "/subscriptions/s/resourceGroups/g",
        "principals": [{"id": EVERYONE}],
        "excludePrincipals": [{"id": "boss"}],
        "permissions": [{"actions": ["*"], "notActions": ["*/read"], "dataActions": []}],
        "denyAssignmentEffect": "enforced",
        **more,
    }


@pytest.mark.parametrize(
    ("change", "scope", "principal", "subtracts"),
    [
        ({}, "/subscriptions/S/resourcegroups/G/providers/x", "someone", True),
        ({}, "/subscriptions/s/resourceGroups/other", "someone", False),
        ({}, "/subscriptions/s", "someone", False),
        ({}, "/subscriptions/s/resourceGroups/g", "boss", False),
        (
            {"doNotApplyToChildScopes": True},
            "/subscriptions/s/resourceGroups/g/providers/x",
            "someone",
            False,
        ),
        ({"denyAssignmentEffect": "audit"}, "/subscriptions/s/resourceGroups/g", "someone", False),
        (
            {"condition": "@Resource[x] StringEquals 'y'"},
            "/subscriptions/s/resourceGroups/g",
            "someone",
            False,
        ),
        ({"denyAssignmentEffect": None}, "/subscriptions/s/resourceGroups/g", "someone", False),
        (
            {"denyAssignmentEffect": None, "isSystemProtected": True},
            "/subscriptions/s/resourceGroups/g",
            "someone",
            True,
        ),
    ],
)
def test_which_deny_assignments_subtract(
    change: dict[str, Any], scope: str, principal: str, subtracts: bool
) -> None:
    deny = deny_of(denied(**change))
    owner = stored_policy(
        "role-definition", "t", "o", "Owner", document={"permissions": [element(["*"])]}, to=[]
    )
    evaluator = RoleEvaluator(Estate(), [owner], [deny] if deny is not None else [], FIRST_NIGHT.date())
    grant = Grant(
        id="g", provider="azure", account_id="a", identity_id=f"entra:principal:{principal}", role="Owner",
        resource=scope, breadth="resource",
    )  # fmt: skip
    assert ("admin" in evaluator.evaluated(grant, None).powers) is not subtracts


def test_whom_a_deny_assignment_concerns() -> None:
    deny = deny_of(denied(principals=[{"id": "Some", "type": "User"}]))
    assert deny is not None
    assert [concerns(deny, one) for one in ("some", "other", "boss")] == [True, False, False]
    # Members of a group that is left out are not known here: nothing is subtracted with certainty.
    assert deny_of(denied(excludePrincipals=[{"id": "g", "type": "Group"}])) is None


ASSIGN = "Microsoft.Authorization/roleAssignments/write"
READ = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
WRITES = "!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})"
RECEIVER = (
    "@Request[Microsoft.Authorization/roleAssignments:PrincipalType] "
    "ForAnyOfAnyValues:StringEqualsIgnoreCase {'User'}"
)
NAMED = "@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:name] StringEquals 'a''b'"
ROLE = "@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId]"


# Forms as in https://learn.microsoft.com/azure/role-based-access-control/conditions-format and
# https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-examples
@pytest.mark.parametrize(
    ("text", "action", "role", "sure"),
    [
        (f"(({WRITES}) OR ({ROLE} ForAnyOfAnyValues:GuidEquals {{{READER}}}))", ASSIGN, READER, Sure.YES),
        (f"(({WRITES}) OR ({ROLE} ForAnyOfAnyValues:GuidEquals {{{READER}}}))", ASSIGN, OWNER, Sure.NO),
        # Without hyphens, in capitals.
        (
            f"(({WRITES}) OR ({ROLE} ForAnyOfAnyValues:GuidEquals {{{READER.replace('-', '').upper()}}}))",
            ASSIGN, READER, Sure.YES,
        ),
        (f"(({WRITES}) OR ({ROLE} ForAnyOfAllValues:GuidNotEquals {{{OWNER}, {READER}}}))", ASSIGN, OWNER, Sure.NO),
        (f"(({WRITES}) OR ({ROLE} ForAnyOfAllValues:GuidNotEquals {{{OWNER}}}))", ASSIGN, READER, Sure.YES),
        # Any of several values differs from every role.
        (f"(({WRITES}) OR ({ROLE} ForAnyOfAnyValues:GuidNotEquals {{{OWNER}, {READER}}}))", ASSIGN, OWNER, Sure.YES),
        # Receivers are limited, too.
        (
            f"(({WRITES}) OR ({ROLE} ForAnyOfAnyValues:GuidEquals {{{READER}}} AND {RECEIVER}))",
            ASSIGN, READER, Sure.MAYBE,
        ),
        # What is not named stays free.
        (f"((!(ActionMatches{{'{READ}'}})) OR (@Resource[x] StringEquals 'y'))", WRITE, None, Sure.YES),
        (
            f"((!(ActionMatches{{'{READ}'}} AND NOT SubOperationMatches{{'Blob.List'}})) OR ({NAMED}))",
            READ, None, Sure.MAYBE,
        ),
        # On another control action a condition has no effect.
        ("((!(ActionMatches{'Microsoft.Web/sites/write'})) OR (@Resource[x] StringEquals 'y'))", "Microsoft.Web/sites/write", None, Sure.YES),
        # Without an action it binds everything, and so does what cannot be read.
        ("@Resource[HasObotoken] boolequals true", "Microsoft.Web/sites/write", None, Sure.MAYBE),
        ("what is this", ASSIGN, OWNER, Sure.MAYBE),
        ("((" * 5000, ASSIGN, OWNER, Sure.MAYBE),
    ],
)  # fmt: skip
def test_a_condition_binds_only_what_it_names(text: str, action: str, role: str | None, sure: Sure) -> None:
    assert condition(text).allows(action, role, data="blobs/" in action) is sure


ROLES = {
    "Owner": (OWNER, element(["*"])),
    "Reader": (READER, element(["*/read"])),
    "Contributor": ("b24988ac-6180-42a0-ab88-20f7382dd24c", element(["*"], ["Microsoft.Authorization/*/Write"])),
    "Pull": ("7f951dda-4ed3-4680-a7ca-43fe172d538d", element(["Microsoft.ContainerRegistry/registries/pull/read"])),
    "Delegate": ("d0", element(["Microsoft.Authorization/roleAssignments/write", "*/read"])),
}  # fmt: skip


@pytest.mark.parametrize(
    ("held", "clause", "has", "lacks", "conditional"),
    [
        ("Delegate", None, {"grant-access"}, set(), False),
        # Only Reader: nothing is gained.
        ("Delegate", f"ForAnyOfAnyValues:GuidEquals {{{READER}}}", {"read"}, {"grant-access"}, False),
        # A list with Owner in it is no limit.
        ("Delegate", f"ForAnyOfAnyValues:GuidEquals {{{READER}, {OWNER}}}", {"grant-access"}, set(), False),
        # All but the three that assign roles: Contributor, Key Vault Administrator and custom roles remain.
        ("Delegate", f"ForAnyOfAllValues:GuidNotEquals {{{OWNER}}}", {"grant-access"}, set(), False),
        ("Owner", f"ForAnyOfAnyValues:GuidEquals {{{READER}}}", {"become-other"}, {"admin"}, False),
        ("Owner", f"ForAnyOfAllValues:GuidNotEquals {{{OWNER}}}", {"admin"}, set(), False),
        # What the roles of the list hold.
        (
            "Delegate",
            "ForAnyOfAnyValues:GuidEquals {b24988ac-6180-42a0-ab88-20f7382dd24c}",
            {"become-other", "deploy"},
            {"admin"},
            False,
        ),
    ],
)
def test_what_a_delegated_role_assignment_amounts_to(
    held: str, clause: str | None, has: set[str], lacks: set[str], conditional: bool
) -> None:
    policies = [
        stored_policy("role-definition", "t", number, name, document={"permissions": [one]}, to=[])
        for name, (number, one) in ROLES.items()
    ]
    evaluator = RoleEvaluator(Estate(), policies, [], FIRST_NIGHT.date())
    grant = Grant(
        id="g", provider="azure", account_id="a", identity_id="entra:principal:p", role=held,
        resource="/subscriptions/s", breadth="account",
    )  # fmt: skip
    text = f"(({WRITES}) OR ({ROLE} {clause}))" if clause else None
    evaluated = evaluator.evaluated(grant, text)
    assert has <= set(evaluated.powers)
    assert not lacks & set(evaluated.powers)
    assert evaluated.conditional is conditional


def test_what_was_stored_is_evaluated_to_what_the_night_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    policies = [row for row in records if isinstance(row, Policy)]
    grants = {
        row.id: row
        for row in records
        if isinstance(row, Grant) and row.id.startswith(("azure:role-assignment:", "azure:lighthouse:"))
    }
    links = {row.id: row for row in records if isinstance(row, Link) and row.relation == "can_become"}
    again = {row.id: row for row in collectors.azure.evaluate(policies, records, FIRST_NIGHT)}
    # Until when a role is activated is not in the documents.
    until = {key: row.expires_at for key, row in grants.items() if row.expires_at}
    assert len(until) == 1
    trusts = {row.id: row for row in records if isinstance(row, Trust) and row.kind == "oidc"}
    assert again == grants | links | trusts
    assert links
    assert len(trusts) == 3


QUERY = "POST /providers/Microsoft.ResourceGraph/resources roleassignments"


def test_every_subscription_has_its_own_coverage_and_its_own_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        whole = collected(sandbox, tmp_path / "whole", monkeypatch)
        sandbox.fail(QUERY, 500)
        lost = collected(sandbox, tmp_path / "lost", monkeypatch, retries=0)
    accounts = {row.id for row in whole if isinstance(row, Account) and row.kind != "aks-cluster"}
    assert {row.account_id for row in whole if isinstance(row, Coverage) and row.call == QUERY} == accounts
    assert {row.account_id for row in lost if isinstance(row, Gap) and row.call == QUERY} == accounts


def test_where_resource_graph_is_denied_each_subscription_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        # A condition that is part of the role: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security
        bound = f"(({WRITES}) OR ({ROLE} ForAnyOfAnyValues:GuidEquals {{{OWNER}}} AND {RECEIVER}))"
        sandbox.tenant.role("bound", "Bound", [element([ASSIGN], condition=bound)])
        sandbox.tenant.assign("someone", "bound", f"/subscriptions/{PROD}")
        whole = collected(sandbox, tmp_path / "whole", monkeypatch)
        for name in ("roleassignments", "roledefinitions"):
            sandbox.fail(QUERY.replace("roleassignments", name), 403)
        rest = collected(sandbox, tmp_path / "rest", monkeypatch)

    def below(records: list[Record]) -> dict[str, Grant]:
        return {
            row.id: row
            for row in records
            if isinstance(row, Grant) and "role-assignment" in row.id and "subscription" in row.account_id
        }

    assert below(rest) == below(whole)
    assert {row.conditional for row in below(rest).values() if row.role == "Bound"} == {True}
    lost = {row.account_id for row in rest if isinstance(row, Gap) and row.call == QUERY}
    assert lost
    assert not any("subscription" in account for account in lost)


def test_a_page_that_fails_keeps_what_came_and_tells_every_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = "POST /providers/Microsoft.ResourceGraph/resources roleassignments"
    with AzureSandbox(page=3) as sandbox:
        sandbox.fail(call, 500, from_request=2)
        records = collected(sandbox, tmp_path, monkeypatch, retries=0)
    assert len([row for row in records if isinstance(row, Grant) and "role-assignment" in row.id]) == 3
    assert len({row.account_id for row in records if isinstance(row, Gap) and row.call == call}) == 5


def test_a_workload_leads_to_its_identity_and_that_to_its_principal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    links = {(row.source_id, row.target_id) for row in records if isinstance(row, Link)}
    by_name = {row.name: row for row in records if isinstance(row, Identity)}
    api, export, identity = by_name["payments-api"], by_name["ledger-export"], by_name["id-payments"]
    assert (api.id, f"entra:principal:{entra('sp payments-api')}") in links
    assert (export.id, identity.id) in links
    assert (identity.id, f"entra:principal:{entra('sp id-payments')}") in links
    assert (api.kind, export.kind) == ("webapp", "functionapp")
    assert "static-site" not in by_name


def test_an_eligible_role_is_conditional_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    found = {row.role: row for row in records if isinstance(row, Grant) and "eligible-role" in row.id}
    # The one of the management group is listed in the subscription, too.
    assert {role: row.account_id for role, row in found.items()} == {
        "Owner": f"azure:subscription:{PROD}",
        "Contributor": "azure:management-group:lantern",
    }
    assert (found["Owner"].level, found["Owner"].conditional) == ("admin", True)
    assert found["Owner"].expires_at is not None
    assert not any(
        isinstance(row, Link) and row.relation == "can_become" and "/eligible" in row.id for row in records
    )


def test_what_activation_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    found = {row.name: row for row in records if isinstance(row, Control) and row.kind == "role-activation"}
    assert {name: row.enforcement for name, row in found.items()} == {
        "Owner": "absent",
        "Contributor": "enforced",
    }
    assert found["Contributor"].approvers == [entra("user tom.becker")]


def test_an_activated_role_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    ending = [
        row for row in records if isinstance(row, Grant) and "role-assignment" in row.id and row.expires_at
    ]
    assert [row.role for row in ending] == ["User Access Administrator"]


def test_batches_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureSandbox() as sandbox:
        alone = collected(sandbox, tmp_path / "alone", monkeypatch, batch_from=0)
        singly = sum(sandbox.calls.values())
        sandbox.calls.clear()
        together = collected(sandbox, tmp_path / "together", monkeypatch, batch_from=1)
        assert sum(sandbox.calls.values()) < singly
        sandbox.batches = False
        refused = collected(sandbox, tmp_path / "refused", monkeypatch, batch_from=1)
    assert together == alone
    assert refused == alone


def test_where_the_preview_is_refused_federated_credentials_are_read_by_the_stable_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Sovereign(AzureSandbox):
        def answer(self, call: ApiCall) -> Reply:
            if call.request.query.get("api-version") == "2025-01-31-preview":
                raise RefusedError(400, "NoRegisteredProviderFound")
            return super().answer(call)

    with AzureSandbox() as sandbox:
        usual = collected(sandbox, tmp_path / "usual", monkeypatch)
    with Sovereign() as sandbox:
        older = collected(sandbox, tmp_path / "older", monkeypatch)
    trusts = {row.id for row in usual if isinstance(row, Trust) and row.kind == "oidc"}
    assert trusts
    assert trusts == {row.id for row in older if isinstance(row, Trust) and row.kind == "oidc"}
    assert [row for row in older if isinstance(row, Gap)] == [row for row in usual if isinstance(row, Gap)]


def test_a_certificate_is_known_by_its_secret_and_another_secret_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    found = {row.name: row for row in records if isinstance(row, Credential) and row.kind == "certificate"}
    assert set(found) == {"kv-payments/gateway-tls", "kv-payments/portal-tls"}
    ended = found["kv-payments/gateway-tls"].expires_at
    assert ended is not None
    assert (FIRST_NIGHT - ended).days == 15


def test_keys_that_cannot_be_used_are_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    assert {row.name for row in records if isinstance(row, Credential)} == {
        "core cluster administrator",
        "kv-payments/gateway-tls",
        "kv-payments/portal-tls",
        "lab cluster administrator",
        "lanternimages/ci-push password1",
        "lanternimages/edge-pull password1",
        "ledger-export host keys",
        "lanternlogs key1",
        "lanternlogs key2",
        "lanternexports key1",
        "lanternexports key2",
        "lanternimages admin user",
        "restart",
    }


@pytest.mark.parametrize(
    ("tags", "owner"), [({"owner": "TBD", "Team": " ledger "}, "ledger"), ({"owner": "n/a"}, None)]
)
def test_a_tag_that_says_nothing_is_no_owner(
    tags: dict[str, str], owner: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        next(row for row in sandbox.tenant.resources if row["name"] == "payments-api")["tags"] = tags
        records = collected(sandbox, tmp_path, monkeypatch)
    api = next(row for row in records if isinstance(row, Identity) and row.name == "payments-api")
    assert api.owner == owner


def test_the_custom_role_grants_every_permission_that_is_named_and_no_other_than_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions = [*NEEDED, *CLOSES_A_GAP]
    assert all(action.endswith("/read") for action in actions)
    with AzureSandbox() as sandbox:
        wanted = {one for one in sandbox.permissions() if one.count("/") > 1 or "*" not in one}
        # Refused everywhere: each Gap names what is missing.
        for permission in sandbox.permissions():
            if permission != "Microsoft.Resources/subscriptions/read":
                sandbox.revoke(permission)
        records = collected(sandbox, tmp_path, monkeypatch)
        sandbox.restore()
    named = {row.needs for row in records if isinstance(row, Gap) and row.needs}
    assert {one for one in wanted if not covers(actions, one)} == set()
    single = {one for one in named if one.startswith("Microsoft.")}
    assert {one for one in single if not covers(actions, one)} == set()
    assert all(row.needs for row in records if isinstance(row, Gap))
    text = collectors.azure.permissions()
    role = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert role["Actions"] == actions


def test_a_tag_does_not_say_of_what_type_a_resource_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox() as sandbox:
        for row in sandbox.tenant.resources:
            row["tags"] = {"resource_type": "microsoft.other/things"}
        records = collected(sandbox, tmp_path, monkeypatch)
    types = {row.name: row.tags.get("resource_type") for row in records if isinstance(row, Identity)}
    assert types["id-payments"] == "microsoft.managedidentity/userassignedidentities"
    assert types["jump-host"] == "microsoft.compute/virtualmachines"
