"""The Entra collector against its sandbox, and its evaluator against Microsoft's documented examples."""

from __future__ import annotations

import email.utils
import json
import re
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import collectors.entra
from collectors._microsoft.federated import parse_expression, trust_of
from collectors._microsoft.sign_in import MicrosoftAuth
from collectors.entra import powers
from sandbox.entra import EntraSandbox
from sandbox.entra.estate import GLOBAL_ADMINISTRATOR, SCANNER, TENANT, guid
from sandbox.estate import FIRST_NIGHT
from scanner.collect.collector import Run
from scanner.records import Control, Credential, Gap, Grant, Identity, Link, Policy, Trust
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from scanner.records import Record

AKS = "https://westeurope.oic.prod-aks.azure.com/t/g/"
GITHUB = "https://token.actions.githubusercontent.com"


def collected(
    sandbox: EntraSandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> list[Record]:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    config = collectors.entra.Config.model_validate({**sandbox.section(), **options})
    run = Run(as_of=FIRST_NIGHT, fingerprint=Fingerprint(b"k" * 32), cache=folder, stopping=threading.Event())
    return [
        row
        for target in collectors.entra.targets(config, run)
        for row in collectors.entra.collect(target, config, run)
    ]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """A night on which nothing is changed."""
    with EntraSandbox() as sandbox, pytest.MonkeyPatch.context() as monkeypatch:
        return collected(sandbox, tmp_path_factory.mktemp("night"), monkeypatch)


def by_name(records: Iterable[Record], name: str) -> Identity:
    return next(row for row in records if isinstance(row, Identity) and row.name == name)


def test_what_was_stored_is_evaluated_to_what_the_night_gave(records: list[Record]) -> None:
    policies = [row for row in records if isinstance(row, Policy)]
    again = list(collectors.entra.evaluate(policies, records, FIRST_NIGHT))
    trusts = {row.id: row for row in records if isinstance(row, Trust) and row.kind == "oidc"}
    assert {row.id: row for row in again if isinstance(row, Trust)} == trusts
    grants = {row.id: row for row in records if isinstance(row, Grant)}
    evaluated = {row.id: row for row in again if isinstance(row, Grant)}
    assert evaluated.items() <= grants.items()
    kinds = {key.split(":")[1] for key in evaluated}
    assert kinds == {
        "app-role",
        "directory-role",
        "eligible-directory-role",
        "eligible-group",
        "inherited-app-role",
    }


def test_a_changed_definition_changes_what_its_holders_may_do(records: list[Record]) -> None:
    policies = [row for row in records if isinstance(row, Policy)]
    (custom,) = [row for row in policies if row.name == "Application Credential Operator"]
    document = json.loads(custom.document or "")
    document["rolePermissions"] = [
        {"allowedResourceActions": ["microsoft.directory/applications/standard/read"]}
    ]
    narrower = msgspec.structs.replace(custom, document=json.dumps(document))
    levels = {
        row.level
        for row in collectors.entra.evaluate([narrower], records, FIRST_NIGHT)
        if isinstance(row, Grant) and row.role == custom.name
    }
    assert levels == {"read"}
    # Of two APIs with one name, nobody knows which one a grant is of.
    (graph,) = [row for row in policies if row.kind == "app-roles" and row.name == "Microsoft Graph"]
    twin = msgspec.structs.replace(graph, id="another")
    assert list(collectors.entra.evaluate([graph], records, FIRST_NIGHT))
    assert not list(collectors.entra.evaluate([graph, twin], records, FIRST_NIGHT))


def test_without_consent_of_an_administrator_the_tenant_is_dark_and_the_permission_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        sandbox.revoke("Application.Read.All")
        (gap,) = collected(sandbox, tmp_path, monkeypatch)
    assert isinstance(gap, Gap)
    assert (gap.table, gap.reason, gap.needs) == ("*", "denied", "Application.Read.All")


def test_a_request_that_is_throttled_inside_a_batch_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        whole = collected(sandbox, tmp_path / "whole", monkeypatch)
        first = sandbox.calls["POST /beta/$batch"]
        sandbox.throttled = 1
        records = collected(sandbox, tmp_path / "throttled", monkeypatch)
        assert sandbox.calls["POST /beta/$batch"] == 2 * first + 1
    assert not [row for row in records if isinstance(row, Gap)]
    assert {row.id for row in records} == {row.id for row in whole}


def test_more_owners_than_a_list_shows_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        held = sandbox.directory
        owners = [held.user(f"owner-{number}") for number in range(23)]
        for objects in (held.applications, held.service_principals):
            next(one for one in objects if one["displayName"] == "wiki-sync")["owners"] = owners
        records = collected(sandbox, tmp_path, monkeypatch)
    app = next(row for row in records if isinstance(row, Identity) and row.name == "wiki-sync")
    targets = {app.id, app.address}
    found = {
        row.source_id
        for row in records
        if isinstance(row, Link) and row.relation == "owns" and row.target_id in targets
    }
    assert found == {f"entra:principal:{number}" for number in owners}


def test_an_agent_has_what_it_inherits_and_its_blueprint_becomes_it(records: list[Record]) -> None:
    agent = by_name(records, "support-agent")
    inherited = [row for row in records if isinstance(row, Grant) and row.identity_id == agent.id]
    assert [(row.role, row.via) for row in inherited] == [
        ("Mail.Send", "inherited from the agent's blueprint"),
        ("Files.Read.All", "inherited delegated permission for all users"),
    ]
    becomes = {
        row.source_id
        for row in records
        if isinstance(row, Link) and row.relation == "can_become" and row.target_id == agent.id
    }
    assert becomes == {f"entra:application:{guid('app support-agent blueprint')}"}


def test_last_use_is_unknown_without_a_license_and_known_for_each_key_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox(licensed=False) as sandbox:
        free = collected(sandbox, tmp_path / "free", monkeypatch)
    with EntraSandbox() as sandbox:
        licensed = collected(sandbox, tmp_path / "licensed", monkeypatch)
    keys = {row.name: row for row in free if isinstance(row, Credential)}
    assert {(row.last_used_at, row.never_used) for row in keys.values()} == {(None, None)}
    keys = {row.name: row for row in licensed if isinstance(row, Credential)}
    used = keys["CN=sap-export"].last_used_at
    assert used is not None
    assert (FIRST_NIGHT - used).days == 190
    assert keys["added by hand"].last_used_at is None


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"tenant": guid("another tenant")}, "denied", "the sign-in"),
        ({"client_secret": "${env:WRONG}"}, "denied", "AADSTS7000215"),
        ({"client_secret": "${env:NOT_SET}"}, "denied", "NOT_SET} is not set"),
        ({"client_certificate": "${env:WRONG}"}, "denied", "the sign-in"),
        ({"graph_url": "https://127.0.0.1:9"}, "unreachable", ""),
    ],
)
def test_a_sign_in_that_fails_is_one_gap_for_everything(
    change: dict[str, Any], reason: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG", "not-the-secret")
    with EntraSandbox() as sandbox:
        changed: dict[str, Any] = {"retries": 0, **change}
        if "client_certificate" in change:
            changed["client_secret"] = None
        records = collected(sandbox, tmp_path, monkeypatch, **changed)
    (gap,) = records
    assert isinstance(gap, Gap)
    assert (gap.table, gap.reason) == ("*", reason)
    assert words in gap.detail
    assert "not-the-secret" not in gap.detail


# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
@pytest.mark.parametrize("error", [
    (401, "AADSTS7000222: The provided client secret keys for app 'x' are expired."),
    (400, "AADSTS90002: Tenant 'x' not found."),
    (400, "AADSTS700016: Application with identifier 'x' was not found in the directory 'y'."),
    (400, "AADSTS53003: Access has been blocked by Conditional Access policies."),
    (401, "AADSTS7000112: Application 'x' is disabled."),
], ids=lambda error: error[1][:13].rstrip(":"))  # fmt: skip
def test_why_the_token_service_refuses_is_told(
    error: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        sandbox.refuse_sign_in(*error)
        (gap,) = collected(sandbox, tmp_path, monkeypatch, retries=0)
    assert isinstance(gap, Gap)
    assert (gap.table, gap.reason) == ("*", "denied")
    assert error[1] in gap.detail


def test_who_is_at_risk_is_told_and_without_the_license_unknown(
    records: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_name(records, "metrics-push").tags["risk"] == "atRisk"
    assert by_name(records, "metrics-push").tags["risk_level"] == "high"
    assert by_name(records, "invoice-sync").tags["risk"] == "dismissed"
    assert "risk" not in by_name(records, "wiki-sync").tags
    with EntraSandbox(licensed=False) as sandbox:
        free = collected(sandbox, tmp_path, monkeypatch)
    assert not [row for row in free if isinstance(row, Identity) and "risk" in row.tags]
    (gap,) = (row for row in free if isinstance(row, Gap) and row.kind == "risk")
    assert (gap.table, gap.reason) == ("identities", "denied")


def test_a_global_administrator_can_elevate_access_and_nobody_else(records: list[Record]) -> None:
    names = {row.id: row.name for row in records if isinstance(row, Identity)}
    elevated = [
        row for row in records if isinstance(row, Grant) and row.id.startswith("entra:elevate-access:")
    ]
    # Eligible for the role: after activation. Other roles that are as strong in Entra ID do not reach Azure this way.
    assert {(names[row.identity_id], row.conditional) for row in elevated} == {
        ("Maya Lindt", False),
        ("Tom Becker", True),
    }
    assert {(row.resource, row.breadth, *row.powers) for row in elevated} == {
        ("/", "organization", "grant-access")
    }


def test_an_application_that_is_global_administrator_elevates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        held = sandbox.directory
        held.assign(guid("sp wiki-sync"), GLOBAL_ADMINISTRATOR)
        held.assign(held.user("of.a.unit"), GLOBAL_ADMINISTRATOR, scope=held.administrative_unit("one"))
        records = collected(sandbox, tmp_path, monkeypatch)
    elevated = {
        row.identity_id
        for row in records
        if isinstance(row, Grant) and row.id.startswith("entra:elevate-access:")
    }
    assert f"entra:principal:{guid('sp wiki-sync')}" not in elevated
    assert f"entra:principal:{guid('user of.a.unit')}" not in elevated


# https://learn.microsoft.com/entra/workload-id/workload-identities-flexible-federated-identity-credentials
@pytest.mark.parametrize(
    ("expression", "tests"),
    [
        (
            "claims['sub'] matches 'repo:contoso/contoso-repo:ref:refs/heads/*'",
            [("sub", "glob", "repo:contoso/contoso-repo:ref:refs/heads/*")],
        ),
        (
            (
                "claims['sub'] matches 'repo:contoso/contoso-repo:ref:refs/heads/*' and "
                "claims['job_workflow_ref'] matches 'foo-org/bar-repo/.github/workflows/*@refs/heads/main'"
            ),
            [
                ("sub", "glob", "repo:contoso/contoso-repo:ref:refs/heads/*"),
                ("job_workflow_ref", "glob", "foo-org/bar-repo/.github/workflows/*@refs/heads/main"),
            ],
        ),
        (
            "claims['sub'] eq 'repo:contoso/it''s:environment:prod'",
            [("sub", "equals", "repo:contoso/it's:environment:prod")],
        ),
        ("claims['sub'] matches 'a' or claims['sub'] matches 'b'", [("sub", "unknown", None)]),
        ("claims['sub'] matches 'a' and", [("sub", "unknown", None)]),
        ("not claims['sub'] eq 'a'", [("sub", "unknown", None)]),
    ],
)
def test_an_expression_is_read_clause_by_clause_or_not_at_all(
    expression: str, tests: list[tuple[str, str, str | None]]
) -> None:
    found = parse_expression(expression)
    assert [(test.claim, test.operator) for test in found] == [
        (claim, operator) for claim, operator, _ in tests
    ]
    for test, (_, _, value) in zip(found, tests, strict=True):
        assert value is None or test.values == [value]


@pytest.mark.parametrize(
    ("issuer", "subject", "expression", "exposure"),
    [
        (GITHUB, "repo:contoso/app:environment:production", None, "exact"),
        (GITHUB, "repo:contoso/app:pull_request", None, "repository"),
        (GITHUB, None, "claims['sub'] matches 'repo:contoso/*:ref:refs/heads/main'", "organization"),
        (GITHUB, None, "claims['sub'] matches 'repo:contoso*'", "another-tenant"),
        (GITHUB, None, "claims['sub'] matches '*'", "anyone"),
        (GITHUB, None, "claims['sub'] matches 'repo:contoso/app:*'", "repository"),
        (GITHUB, None, None, "unknown"),
        ("https://gitlab.com", "project_path:acme/shop:ref_type:branch:ref:main", None, "exact"),
        ("https://gitlab.com", None, "claims['sub'] matches 'project_path:acme/*'", "organization"),
        (
            "https://app.terraform.io",
            "organization:acme:project:p:workspace:w:run_phase:apply",
            None,
            "exact",
        ),
        (
            "https://app.terraform.io",
            None,
            "claims['sub'] matches 'organization:acme:project:p:workspace:w:run_phase:*'",
            "repository",
        ),
        (
            "https://westeurope.oic.prod-aks.azure.com/t/g/",
            "system:serviceaccount:payments:api",
            None,
            "exact",
        ),
        (f"https://login.microsoftonline.com/{TENANT}/v2.0", "object-id", None, "exact"),
        ("https://login.microsoftonline.com/another/v2.0", "object-id", None, "another-tenant"),
    ],
)
def test_how_wide_a_federated_credential_is(
    issuer: str, subject: str | None, expression: str | None, exposure: str
) -> None:
    document: dict[str, Any] = {
        "issuer": issuer,
        "subject": subject,
        "audiences": ["api://AzureADTokenExchange"],
    }
    if expression:
        document["claimsMatchingExpression"] = {"value": expression, "languageVersion": 1}
    policy = Policy(
        id="p",
        provider="entra",
        account_id=f"entra:tenant:{TENANT}",
        kind="federated-credential",
        native_id="1",
        name="f",
        document=json.dumps(document),
        attached_to=["entra:application:a"],
    )
    assert trust_of(policy, policy.account_id.rpartition(":")[2]).exposure == exposure


@pytest.mark.parametrize(
    ("permission", "level"),
    [
        ("RoleManagement.ReadWrite.Directory", "admin"),
        ("AppRoleAssignment.ReadWrite.All", "admin"),
        ("Group.ReadWrite.All", "grant-access"),
        ("Application.ReadWrite.OwnedBy", "become-other"),
        ("BitlockerKey.Read.All", "read-secrets"),
        ("Directory.Read.All", "read"),
        ("Calendars.ReadWrite", "change-data"),
    ],
)
def test_what_an_application_permission_amounts_to(permission: str, level: str) -> None:
    assert powers.of_permission(powers.GRAPH, permission).powers[0] == level


def test_a_delegated_permission_is_never_an_administrators_and_another_apis_is_unknown() -> None:
    assert "admin" not in powers.of_delegated(powers.GRAPH, "RoleManagement.ReadWrite.Directory").powers
    assert powers.of_permission(
        "11111111-2222-3333-4444-555555555555", "Anything.Read"
    ) == powers.PowerVerdict(sure=False)


def test_a_custom_role_is_evaluated_by_its_actions_and_an_unknown_privileged_one_is_never_harmless() -> None:
    update = ["microsoft.directory/applications/credentials/update"]
    assert powers.of_role("custom", update, privileged=None).powers == ("become-other",)
    reads = ["microsoft.directory/users/standard/read"]
    assert powers.of_role("custom", reads, privileged=False).powers == ("read",)
    assert "grant-access" in powers.of_role("custom", reads, privileged=True).powers


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"client_id": SCANNER}, "set one of federated_token"),
        ({"client_secret": "${env:X}"}, "set client_id"),
        ({"sign_in": "managed-identity", "client_secret": "${env:X}"}, "client_secret is for"),
        (
            {"client_id": SCANNER, "client_secret": "${env:X}", "authority": "http://login.example"},
            "authority",
        ),
    ],
)
def test_a_section_that_cannot_sign_in_says_what_to_set(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        collectors.entra.Config.model_validate({"tenant": TENANT, **section})


def test_a_response_of_the_token_service_is_a_witness_of_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    date = email.utils.formatdate(time.time() - 5 * 86400, usegmt=True)
    monkeypatch.setattr("http.server.BaseHTTPRequestHandler.date_time_string", lambda *_: date)
    run = Run(as_of=FIRST_NIGHT, fingerprint=Fingerprint(b"k"), cache=tmp_path, stopping=threading.Event())
    with EntraSandbox() as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        config = collectors.entra.Config.model_validate(sandbox.section())
        sign_in = MicrosoftAuth(config, config.graph_url, run)
        assert sign_in.headers()
        sign_in.close()
    assert run.clock.seconds_ahead() == pytest.approx(5 * 86400, abs=60)


def test_eligible_is_not_active_and_a_membership_for_a_time_ends(records: list[Record]) -> None:
    omar, lea = by_name(records, "Omar Said"), by_name(records, "Lea Brandt")
    group = by_name(records, "role administrators")
    (eligible,) = [row for row in records if isinstance(row, Grant) and row.identity_id == omar.id]
    assert (eligible.role, eligible.level, eligible.conditional) == (
        "Privileged Role Administrator",
        "admin",
        True,
    )
    assert (
        eligible.via == "eligible member of the group role administrators, by Privileged Identity Management"
    )
    members = {
        row.source_id: row.expires_at
        for row in records
        if isinstance(row, Link) and row.relation == "member_of" and row.target_id == group.id
    }
    assert members == {lea.id: FIRST_NIGHT + timedelta(days=1)}


def test_without_a_license_who_is_eligible_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox(licensed=False) as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    gaps = {(row.table, row.kind): row.reason for row in records if isinstance(row, Gap)}
    assert gaps["grants", "eligible-directory-role"] == "unsupported"
    assert gaps["grants", "eligible-group"] == "unsupported"


def test_a_role_over_one_application_or_unit_reaches_no_further(records: list[Record]) -> None:
    pia, nina = by_name(records, "Pia Wolf"), by_name(records, "Nina Roth")
    becomes = {
        row.target_id
        for row in records
        if isinstance(row, Link)
        and row.evidence == "directory role over the application"
        and row.source_id == pia.id
    }
    assert becomes == {f"entra:application:{guid('app terraform-azure')}"}
    (unit,) = [
        row
        for row in records
        if isinstance(row, Grant) and row.identity_id == nina.id and row.role == "Password Administrator"
    ]
    assert (unit.breadth, unit.via) == ("group", "assigned, over the administrative unit Warehouse")


def test_a_service_principal_is_in_the_groups_above_its_group(records: list[Record]) -> None:
    names = {row.id: row.name for row in records if isinstance(row, Identity)}
    members = {
        (names[row.source_id], names[row.target_id])
        for row in records
        if isinstance(row, Link) and row.evidence == "member of a group"
    }
    assert {("lantern-deploy", "deployers"), ("deployers", "cloud contributors")} <= members


def test_a_principal_of_a_type_that_is_not_known_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        held = sandbox.directory
        number = held.user("robot.one")
        held.users[number]["@odata.type"] = "#microsoft.graph.robot"
        held.assign(number, GLOBAL_ADMINISTRATOR)
        held.permit(number, "Mail.Send")
        held.app_roles[-1]["principalType"] = "Robot"
        records = collected(sandbox, tmp_path, monkeypatch)
    robot = by_name(records, "Robot One")
    assert (robot.kind, robot.surface, robot.tags) == ("entra-principal", "automation", {"type": "robot"})
    assert {row.role for row in records if isinstance(row, Grant) and row.identity_id == robot.id} == {
        "Global Administrator",
        "Mail.Send",
    }


def test_what_the_permissions_command_prints_is_what_the_sandbox_asks_for() -> None:
    printed = set(re.findall(r"^  ([A-Z]\w+(?:\.\w+)+)", collectors.entra.permissions(), re.MULTILINE))
    with EntraSandbox() as sandbox:
        assert printed == set(sandbox.permissions())
    assert not [name for name in printed if "Write" in name]


def test_each_permission_that_lacks_is_named_in_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        asked = [name for name in sandbox.permissions() if name != "Application.Read.All"]
        for name in asked:
            sandbox.revoke(name)
        records = collected(sandbox, tmp_path, monkeypatch)
    # Without the lists that they start from, nobody asks for the members of a group or the permissions of an agent.
    unasked = {
        "PrivilegedEligibilitySchedule.Read.AzureADGroup",
        "PrivilegedAssignmentSchedule.Read.AzureADGroup",
    }
    assert {row.needs for row in records if isinstance(row, Gap) and row.reason == "denied"} >= set(
        asked
    ) - unasked


def test_who_added_a_credential_is_known_while_the_log_reaches_back(records: list[Record]) -> None:
    added = {row.name: row.created_by for row in records if isinstance(row, Credential)}
    assert added["invoice new"] == "maya.lindt@lanternpay.example"
    # Older than the log, and an attempt that failed.
    assert added["invoice old"] is None
    assert added["wiki 2026-10"] is None


def test_a_disabled_application_has_disabled_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        stopped = next(
            one for one in sandbox.directory.service_principals if one["displayName"] == "hr-connector"
        )
        stopped["disabledByMicrosoftStatus"] = "DisabledDueToViolationOfServicesAgreement"
        fine = next(one for one in sandbox.directory.service_principals if one["displayName"] == "wiki-sync")
        fine["disabledByMicrosoftStatus"] = "NotDisabled"
        records = collected(sandbox, tmp_path, monkeypatch)
    states = {row.name: row.enabled for row in records if isinstance(row, Credential)}
    assert (states["ledger"], states["added by hand"], states["wiki 2026-10"]) == (False, False, None)
    assert by_name(records, "hr-connector").enabled is False
    assert by_name(records, "wiki-sync").enabled is True


def test_names_and_optional_fields_that_graph_leaves_null_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graph documents these as nullable: https://learn.microsoft.com/graph/api/resources/serviceprincipal"""
    with EntraSandbox() as sandbox:
        whole = collected(sandbox, tmp_path / "whole", monkeypatch)
        for one in sandbox.directory.service_principals:
            if one["displayName"] == "wiki-sync":
                one.update(
                    dict.fromkeys(
                        ("displayName", "accountEnabled", "appOwnerOrganizationId", "signInAudience")
                    )
                )
        for one in sandbox.directory.applications:
            if one["displayName"] == "wiki-sync":
                one.update(dict.fromkeys(("displayName", "createdDateTime", "signInAudience")))
        sandbox.directory.consents[0]["scope"] = None
        sandbox.directory.groups[guid("group future use")]["displayName"] = None
        records = collected(sandbox, tmp_path / "null", monkeypatch)
    assert not [row for row in records if isinstance(row, Gap)]
    assert {row.id for row in records} == {row.id for row in whole}


def test_an_agent_inherits_consents_and_its_blueprint_has_managers(records: list[Record]) -> None:
    agent, blueprint = by_name(records, "support-agent"), by_name(records, "support-agent blueprint")
    inherited = {
        (row.role, row.conditional)
        for row in records
        if isinstance(row, Grant) and row.identity_id == agent.id
    }
    assert inherited == {("Mail.Send", False), ("Files.Read.All", True)}
    assert (blueprint.kind, agent.kind) == ("entra-agent-blueprint", "entra-agent")
    becomes = {
        (row.source_id, row.evidence)
        for row in records
        if isinstance(row, Link) and row.relation == "can_become" and row.target_id == blueprint.id
    }
    assert becomes == {(f"entra:application:{guid('app agent-factory')}", "managerApplications")}


@pytest.mark.parametrize(
    ("assigned", "policies", "enforcement"),
    [
        ([], [], "enforced"),
        (["ManagePermissionGrantsForSelf.microsoft-user-default-legacy"], [], "absent"),
        (["ManagePermissionGrantsForSelf.microsoft-user-default-low"], [], "enforced"),
        (["ManagePermissionGrantsForOwnedResource.microsoft-dynamically-managed-permissions-for-team"], [], "enforced"),
        (["managePermissionGrantsForSelf.ours"], [{"permissionClassification": "low"}], "enforced"),
        (["managePermissionGrantsForSelf.ours"], [{"clientApplicationsFromVerifiedPublisherOnly": True}], "enforced"),
        (["managePermissionGrantsForSelf.ours"], [{"permissionType": "delegated", "permissions": ["all"]}], "absent"),
        (["managePermissionGrantsForSelf.gone"], [], "documented"),
    ],
)  # fmt: skip
def test_how_user_consent_is_limited(
    assigned: list[str],
    policies: list[dict[str, Any]],
    enforcement: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """https://learn.microsoft.com/entra/identity/enterprise-apps/manage-app-consent-policies"""
    with EntraSandbox() as sandbox:
        held = sandbox.directory
        held.authorization_policy["defaultUserRolePermissions"]["permissionGrantPoliciesAssigned"] = assigned
        held.consent_policies = [{"id": "ours", "includes": policies, "excludes": []}]
        records = collected(sandbox, tmp_path, monkeypatch)
    (control,) = [row for row in records if isinstance(row, Control) and row.kind == "user-consent"]
    assert control.enforcement == enforcement


def test_controls_of_sign_in_say_whether_they_are_enforced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        held = sandbox.directory
        held.app_policies = [
            {
                "id": "exempt",
                "isEnabled": True,
                "restrictions": {
                    "passwordCredentials": [{"restrictionType": "passwordAddition", "state": "disabled"}],
                    "keyCredentials": [],
                },
                "appliesTo": [{"id": guid("application wiki-sync"), "appId": guid("app wiki-sync")}],
            }
        ]
        held.credential_policy["applicationRestrictions"]["passwordCredentials"] = [
            {"restrictionType": "passwordAddition", "state": "enabled", "maxLifetime": None}
        ]
        held.cross_tenant_default["inboundTrust"]["isMfaAccepted"] = True
        held.authorization_policy["guestUserRoleId"] = "a0b1b346-4d3e-4e8b-98f8-753987be4970"
        records = collected(sandbox, tmp_path, monkeypatch)
    controls = {row.name: row for row in records if isinstance(row, Control)}
    states = {name: row.enforcement for name, row in controls.items()}
    assert states["Pipelines from our runners"] == "audited"
    assert states["Terraform from our runners"] == "enforced"
    assert "Require MFA of everyone" not in states
    assert controls["Terraform from our runners"].target == f"entra:principal:{guid('sp terraform-azure')}"
    assert controls["Pipelines from our runners"].bypass == [f"entra:principal:{guid('sp wiki-sync')}"]
    assert states["New client secrets of applications"] == "enforced"
    assert controls["New client secrets of applications"].bypass == [
        f"entra:application:{guid('app wiki-sync')}"
    ]
    assert controls["Lifetime of client secrets of applications"].detail == "No new secret can be added"
    assert str(controls["Lifetime of certificates of applications"].detail).startswith(
        "Restricted to P365D, for applications"
    )
    assert states["MFA of other tenants"] == "absent"
    assert states["Guest access to the directory"] == "absent"


def test_a_federated_domain_is_a_trust_and_a_managed_one_is_none(records: list[Record]) -> None:
    trusts = {
        row.tests[0].values[0]: row
        for row in records
        if isinstance(row, Trust) and row.kind == "federated-domain"
    }
    assert set(trusts) == {"moonbank.example", "duskbank.example"}
    assert trusts["moonbank.example"].issuer == "http://adfs.moonbank.example/adfs/services/trust"
    assert {name: row.severity for name, row in trusts.items()} == {
        "moonbank.example": "medium",
        "duskbank.example": "low",
    }


def test_since_when_an_application_holds_a_permission_is_known(records: list[Record]) -> None:
    """Beta, to which batches go, calls it ``creationTimestamp``; v1.0 calls it ``createdDateTime``."""
    terraform, agent = by_name(records, "terraform-azure"), by_name(records, "support-agent")
    since = {
        row.identity_id: (FIRST_NIGHT - row.granted_at).days
        for row in records
        if isinstance(row, Grant) and row.identity_id in {terraform.id, agent.id} and row.granted_at
    }
    assert since == {terraform.id: 300, agent.id: 30}


@pytest.mark.parametrize(
    ("issuer", "subject", "audience", "problem"),
    [
        ("http://issuer.example", "build", "api://AzureADTokenExchange", "ISSUER-1"),
        ("https://issuer.example", "build", "api://AzureADTokenExchange", None),
        (AKS, "system:serviceaccount:shop:default", "api://AzureADTokenExchange", "IRSA-4"),
        (AKS, "system:serviceaccount:default:shop", "api://AzureADTokenExchange", None),
        ("https://issuer.example", "build", "https://issuer.example", "OIDC-8"),
        ("https://issuer.example", "build", "api://AzureADTokenExchangeUSGov", None),
    ],
)
def test_an_exact_subject_is_not_enough(
    issuer: str, subject: str, audience: str, problem: str | None
) -> None:
    document = {"issuer": issuer, "subject": subject, "audiences": [audience]}
    policy = Policy(
        id="p",
        provider="entra",
        account_id=f"entra:tenant:{TENANT}",
        kind="federated-credential",
        native_id="1",
        name="f",
        document=json.dumps(document),
        attached_to=["entra:application:a"],
    )
    trust = trust_of(policy, TENANT)
    assert (trust.exposure, trust.problem) == ("exact", problem)
    assert bool(trust.fix) is bool(problem)
