"""The Entra collector against its sandbox, and its evaluator against Microsoft's documented examples."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import collectors.entra
from collectors._microsoft.federated import parse_expression, trust_of
from collectors._microsoft.sign_in import MicrosoftAuth
from collectors.entra import powers
from sandbox.entra import EntraSandbox
from sandbox.entra.estate import GLOBAL_ADMINISTRATOR, SCANNER, TENANT, guid
from sandbox.estate import FIRST_NIGHT
from scanner.collect.collector import Run
from scanner.records import Credential, Gap, Grant, Identity, Link, Policy, Trust
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from scanner.records import Record

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


def by_name(records: Iterable[Record], name: str) -> Identity:
    return next(row for row in records if isinstance(row, Identity) and row.name == name)


def test_what_was_stored_is_evaluated_to_what_the_night_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    policies = [row for row in records if isinstance(row, Policy)]
    again = list(collectors.entra.evaluate(policies, records, FIRST_NIGHT))
    trusts = {row.id: row for row in records if isinstance(row, Trust)}
    assert {row.id: row for row in again if isinstance(row, Trust)} == trusts
    grants = {row.id: row for row in records if isinstance(row, Grant)}
    evaluated = {row.id: row for row in again if isinstance(row, Grant)}
    assert evaluated
    assert evaluated.items() <= grants.items()


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


def test_an_agent_has_what_it_inherits_and_its_blueprint_becomes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
    agent = by_name(records, "support-agent")
    inherited = [row for row in records if isinstance(row, Grant) and row.identity_id == agent.id]
    assert [(row.role, row.via) for row in inherited] == [
        ("Mail.Send", "inherited from the agent's blueprint")
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
        ("Sites.Selected", "change-data"),
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


def test_eligible_is_not_active_and_a_membership_for_a_time_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
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


def test_a_role_over_one_application_or_unit_reaches_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
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


def test_a_service_principal_is_in_the_groups_above_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EntraSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch)
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
