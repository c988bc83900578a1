"""What access control lists of Azure DevOps let an identity do, and what the collector says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collectors.azure_devops.directory import DevOpsDirectory, DevOpsPrincipal, service_role
from collectors.azure_devops.evaluator import AccessControlEntry, AccessList, AccessLists
from collectors.azure_devops.permissions import SecuredPlace, as_listed, branch_token, namespaces
from sandbox.azure_devops import AzureDevOpsSandbox
from sandbox.azure_devops.access import ACTIONS, NAMESPACES
from sandbox.azure_devops.estate import guid
from scanner.records import POWERS, Control, Credential, Gap, Grant, Identity, Link, Secret
from tests.test_azure_devops import collected

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from scanner.records import Record

P, R = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
SPACES = {one.name: one for one in namespaces()}
READ, PUSH, EXEMPT = 2, 4, 128


def lists(*rows: tuple[str, str, int, int], closed: str = "") -> AccessLists:
    """Return lists of Git Repositories: token, who, allow, deny. ``closed`` does not inherit."""
    by_token: dict[str, dict[str, AccessControlEntry]] = {}
    for token, who, allow, deny in rows:
        by_token.setdefault(token, {})[who] = AccessControlEntry(allow=allow, deny=deny)
    return AccessLists(
        SPACES["Git Repositories"],
        [
            AccessList(token=token, inherits=token != closed, entries=entries)
            for token, entries in by_token.items()
        ],
    )


# https://learn.microsoft.com/azure/devops/organizations/security/about-permissions#permission-inheritance
@pytest.mark.parametrize(
    ("rows", "who", "allowed"),
    [
        ([("repov2", "a", PUSH, 0)], ["a"], PUSH),
        ([("repov2", "a", PUSH, 0), (f"repov2/{P}", "a", 0, PUSH)], ["a"], 0),
        # What is set on the object goes before what is inherited, an allow as well.
        ([("repov2", "a", 0, PUSH), (f"repov2/{P}", "a", PUSH, 0)], ["a"], PUSH),
        # Of two groups at one place, deny goes before allow.
        ([(f"repov2/{P}", "a", PUSH, 0), (f"repov2/{P}", "b", 0, PUSH)], ["a", "b"], 0),
        # An explicit allow of one group on the object, and an inherited deny of another.
        ([("repov2", "b", 0, PUSH), (f"repov2/{P}", "a", PUSH, 0)], ["a", "b"], PUSH),
        # Each bit on its own.
        ([("repov2", "a", READ | PUSH, 0), (f"repov2/{P}", "a", 0, PUSH)], ["a"], READ),
        ([("repov2", "b", PUSH, 0)], ["a"], 0),
    ],
)
def test_an_entry_on_the_object_goes_before_an_inherited_one_and_deny_before_allow(
    rows: list[tuple[str, str, int, int]], who: list[str], allowed: int
) -> None:
    assert lists(*rows).allowed(f"repov2/{P}/{R}", who) == allowed


def test_a_list_that_does_not_inherit_is_alone() -> None:
    closed = f"repov2/{P}/{R}"
    found = lists(("repov2", "a", PUSH, 0), (closed, "b", READ, 0), closed=closed)
    assert found.allowed(closed, ["a"]) == 0
    assert found.allowed(f"repov2/{P}", ["a"]) == PUSH


def test_what_is_held_is_told_at_the_widest_token() -> None:
    found = lists(
        (f"repov2/{P}", "a", PUSH, 0),
        (f"repov2/{P}/{R}", "a", PUSH | EXEMPT, 0),
        (f"repov2/{P}/{R}", "b", PUSH, 0),
    )
    assert [(one.token, one.bits) for one in found.holdings(["a", "b"])] == [
        (f"repov2/{P}", PUSH),
        (f"repov2/{P}/{R}", EXEMPT),
    ]
    # Of a group, what its own entries give, less what another group of its members denies.
    denied = lists((f"repov2/{P}", "a", READ | PUSH, 0), (f"repov2/{P}", "above", 0, PUSH))
    assert [one.bits for one in denied.holdings(["a", "above"], only="a")] == [READ]
    assert list(denied.holdings(["a", "above"], only="above")) == []


def test_membership_is_followed_through_groups_and_around_in_circles() -> None:
    def group(name: str, *members: str) -> DevOpsPrincipal:
        return DevOpsPrincipal(descriptor=name, kind="ado-group", id=name, name=name, members=members)

    directory = DevOpsDirectory(
        [group("top", "middle"), group("middle", "low", "top"), group("low", "person")]
    )
    assert set(directory.with_groups("person")) == {"person", "low", "middle", "top"}
    assert [one.id for one in directory.within(["top"])] == ["low", "middle", "top"]


# Forms: https://learn.microsoft.com/azure/devops/organizations/security/namespace-reference and the resource
# azuredevops_security_namespace_token of https://registry.terraform.io/providers/microsoft/azuredevops
@pytest.mark.parametrize(
    ("space", "token", "place"),
    [
        ("Git Repositories", "repov2", SecuredPlace()),
        ("Git Repositories", f"repov2/{P}", SecuredPlace(project=P)),
        ("Git Repositories", f"repov2/{P}/{R}", SecuredPlace(project=P, kind="repository", id=R)),
        (
            "Git Repositories",
            f"repov2/{P}/{R}/refs/heads/6d00610069006e00",
            SecuredPlace(project=P, kind="repository", id=R, rest="/refs/heads/6d00610069006e00"),
        ),
        ("Build", P, SecuredPlace(project=P)),
        ("Build", f"{P}/12", SecuredPlace(project=P, kind="pipeline", id="12")),
        (
            "Build",
            f"{P}/team/deploy/12",
            SecuredPlace(project=P, kind="pipeline", id="12", rest="/team/deploy"),
        ),
        ("Build", f"{P}/team", SecuredPlace(project=P, rest="/team")),
        (
            "ReleaseManagement",
            f"{P}/folder/12",
            SecuredPlace(project=P, kind="release", id="12", rest="/folder"),
        ),
        (
            "ReleaseManagement",
            f"{P}/folder/12/environment/3",
            SecuredPlace(project=P, kind="release", id="12", rest="/folder/environment/3"),
        ),
        ("ServiceEndpoints", f"endpoints/{P}/{R}", SecuredPlace(project=P, kind="connection", id=R)),
        ("ServiceEndpoints", f"endpoints/collection/{R}", SecuredPlace(kind="connection", id=R)),
        ("Library", f"library/{P}/variablegroup/7", SecuredPlace(project=P, kind="variable group", id="7")),
        ("Library", f"library/{P}/securefile/{R}", SecuredPlace(project=P, kind="secure file", id=R)),
        ("Environment", f"environments/{P}/4", SecuredPlace(project=P, kind="environment", id="4")),
        ("DistributedTask", "agentpools/9", SecuredPlace(kind="pool", id="9")),
        ("DistributedTask", f"agentqueues/{P}/5", SecuredPlace(project=P, kind="queue", id="5")),
        ("MetaTask", f"{P}/{R}", SecuredPlace(project=P, kind="task group", id=R)),
        ("Project", f"$project:vstfs:///classification/teamproject/{P}", SecuredPlace(project=P)),
        ("Collection", "namespace", SecuredPlace()),
        ("Identity", f"{P}\\{R}", SecuredPlace(project=P, kind="group", id=R)),
        ("AuditLog", "/allpermissions", SecuredPlace()),
        ("Git Repositories", "something/else", None),
    ],
)
def test_a_token_names_its_object(space: str, token: str, place: SecuredPlace | None) -> None:
    assert SPACES[space].place(token) == place


# The example of https://devblogs.microsoft.com/devops/git-repo-tokens-for-the-security-service
def test_a_branch_is_written_in_utf_16() -> None:
    token = branch_token(P, R, "refs/heads/master")
    assert token == f"repov2/{P}/{R}/refs/heads/6d0061007300740065007200"
    assert SPACES["Git Repositories"].above(token)[1:4] == [
        f"repov2/{P}/{R}/refs/heads",
        f"repov2/{P}/{R}/refs",
        f"repov2/{P}/{R}",
    ]


# The bits of https://github.com/MicrosoftDocs/vsts-rest-api-specs, examples of securityNamespaces (7.2)
@pytest.mark.parametrize("space", sorted(ACTIONS))
def test_bits_are_those_of_the_published_namespaces(space: str) -> None:
    ours = {one.name: one.bit for one in SPACES[space].permissions}
    assert ours.items() <= ACTIONS[space].items()
    assert SPACES[space].id == NAMESPACES[space]


def test_the_table_is_sound() -> None:
    for space in namespaces():
        bits = [one.bit for one in space.permissions]
        assert len(bits) == len(set(bits))
        assert all(bit & (bit - 1) == 0 for bit in bits), space.name
        assert {power for one in space.permissions for power in one.powers} <= set(POWERS)


def test_an_organization_that_lists_other_bits_is_read_by_them() -> None:
    git = as_listed(SPACES["Git Repositories"], {"PolicyExempt": 1 << 20, "Other": 4})
    assert git.bits("PolicyExempt") == 1 << 20
    # The bit of Contribute is another permission's there.
    assert git.bits("GenericContribute") == 0
    assert git.bits("ManagePermissions") == 8192


def test_a_build_service_is_known_by_its_descriptor() -> None:
    scope = "116cce53-b859-4624-9a95-934af41eccef"
    assert service_role(f"microsoft.teamfoundation.serviceidentity;{scope}:build:{P}") == ("build", P)
    assert service_role("microsoft.teamfoundation.identity;s-1-9-1") == ("", "")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterable[list[Record]]:
    with pytest.MonkeyPatch.context() as patch, AzureDevOpsSandbox() as sandbox:
        yield collected(sandbox, tmp_path_factory.mktemp("cache"), patch)


def named(records: Iterable[Record], name: str) -> Identity:
    return next(row for row in records if isinstance(row, Identity) and row.name == name)


def held(records: Iterable[Record], name: str) -> dict[str, list[str]]:
    records = list(records)
    me = named(records, name).id
    return {row.resource: row.actions for row in records if isinstance(row, Grant) and row.identity_id == me}


def test_a_build_service_holds_what_lists_give_it(night: list[Record]) -> None:
    assert held(night, "payments Build Service (lanternpay)") == {
        "all repositories of payments": ["GenericRead"],
        "repository payments-api of payments": ["GenericContribute", "PullRequestBypassPolicy"],
        "repository tools of platform": ["GenericRead"],
        "all build pipelines of payments": ["ViewBuilds"],
        "feed libraries": ["contributor"],
    }


def test_jobs_run_as_the_build_service_that_settings_choose(night: list[Record]) -> None:
    ran = {
        row.source_id: row.target_id for row in night if isinstance(row, Link) and row.relation == "runs_as"
    }
    platform = guid("project platform")
    own = f"azure-devops:build-service:{platform}"
    # Classic, and of the collection by its definition; but the organization limits all jobs.
    assert ran[f"azure-devops:pipeline:{platform}/203"] == own
    wide = f"azure-devops:build-service:{guid('organization')}"
    assert ran[f"azure-devops:release:{platform}/7"] == wide
    assert {own, wide} <= {row.id for row in night if isinstance(row, Identity)}


def test_users_of_a_connection_become_it_if_they_have_a_pipeline(night: list[Record]) -> None:
    target = named(night, "azure-platform").id
    becomes = {
        next(one.name for one in night if isinstance(one, Identity) and one.id == row.source_id)
        for row in night
        if isinstance(row, Link) and row.relation == "can_become" and row.target_id == target
    }
    # All users may use it; those become it who also edit pipelines. Administrators do without.
    assert becomes == {"[platform]\\Contributors", "[platform]\\Endpoint Administrators"}


def test_members_of_an_entra_group_are_unknown_and_not_none(night: list[Record]) -> None:
    group = named(night, "[TEAM FOUNDATION]\\lantern-developers")
    assert group.tags == {"members": "unknown"}
    contributors = named(night, "[payments]\\Contributors")
    into = {row.source_id for row in night if isinstance(row, Link) and row.target_id == contributors.id}
    assert group.id in into
    assert any(
        isinstance(row, Link) and row.target_id == group.id and row.source_id.startswith("entra:principal:")
        for row in night
    )


def test_a_person_who_is_denied_something_is_judged_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        estate, payments = sandbox.organization.access, guid("project payments")
        tom = next(name for name in estate.identities if "tom.becker" in name)
        denied = estate.group("[payments]\\Contractors", [tom])
        estate.allow("Git Repositories", f"repoV2/{payments}", denied, 0, 4)
        records = collected(sandbox, tmp_path, monkeypatch)
    me = f"azure-devops:user:{guid('member tom.becker')}"
    groups = {row.target_id for row in records if isinstance(row, Link) and row.source_id == me}
    assert named(records, "[payments]\\Contributors").id not in groups
    mine = {
        (row.resource, tuple(row.actions))
        for row in records
        if isinstance(row, Grant) and row.identity_id == me
    }
    assert ("all repositories of platform", ("GenericRead", "GenericContribute")) in mine
    assert not any(
        place == "all repositories of payments" and "GenericContribute" in can for place, can in mine
    )


def test_a_deny_for_people_unknown_leaves_a_grant_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        estate, payments = sandbox.organization.access, guid("project payments")
        entra = next(
            one["descriptor"]
            for one in estate.identities.values()
            if one["providerDisplayName"] == "[TEAM FOUNDATION]\\lantern-developers"
        )
        estate.allow("Git Repositories", f"repoV2/{payments}", entra, 0, 4)
        records = collected(sandbox, tmp_path, monkeypatch)
    me = named(records, "[payments]\\Contributors").id
    (grant,) = [
        row
        for row in records
        if isinstance(row, Grant) and row.identity_id == me and row.role.startswith("Git Repositories")
    ]
    assert grant.confidence == "low"


def test_an_identity_that_is_gone_is_no_gap_and_members_come_from_graph_where_the_answer_lacks_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        estate, payments = sandbox.organization.access, guid("project payments")
        gone = "Microsoft.TeamFoundation.Identity;S-1-9-gone"
        estate.allow("Git Repositories", f"repoV2/{payments}", gone, 4)
        before: dict[str, Any] = estate.identities
        contributors = next(
            one for one in before.values() if one["providerDisplayName"] == "[payments]\\Contributors"
        )
        estate.memberships[contributors["subjectDescriptor"]] = contributors.pop("members")
        records = collected(sandbox, tmp_path, monkeypatch)
    assert not [
        row
        for row in records
        if getattr(row, "call", "") == "GET /_apis/identities" and hasattr(row, "reason")
    ]
    me = named(records, "[payments]\\Contributors").id
    into = {row.source_id for row in records if isinstance(row, Link) and row.target_id == me}
    assert f"azure-devops:user:{guid('member tom.becker')}" in into


def gaps(records: Iterable[Record]) -> dict[tuple[str, str | None], Gap]:
    return {
        (row.table, row.kind): row for row in records if isinstance(row, Gap) and "(unlisted)" in row.call
    }


def test_a_whole_organization_has_no_gap_of_what_is_not_listed(night: list[Record]) -> None:
    assert gaps(night) == {}


@pytest.mark.parametrize(
    ("space", "token", "table", "kind"),
    [
        ("ServiceEndpoints", f"endpoints/{{project}}/{R}", "identities", "ado-service-connection"),
        ("Git Repositories", f"repoV2/{{project}}/{R}", "accounts", "ado-repository"),
        ("Git Repositories", f"repoV2/{{project}}/{R}/refs/heads/6d00", "accounts", "ado-repository"),
        ("Library", "Library/{project}/VariableGroup/77", "secrets", "ado-variable-group"),
        ("Library", f"Library/{{project}}/SecureFile/{R}", "secrets", "ado-secure-file"),
        ("Environment", "Environments/{project}/77", "controls", "environment-approval"),
        ("Build", "{project}/folder/77", "identities", "ado-pipeline"),
        ("ReleaseManagement", "{project}/77", "identities", "ado-release"),
        ("DistributedTask", "AgentPools/77", "identities", "ado-agent-pool"),
        ("Project", f"$PROJECT:vstfs:///Classification/TeamProject/{P}", "accounts", "ado-project"),
        ("Build", P, "accounts", "ado-project"),
    ],
)
def test_an_object_that_only_an_access_list_names_is_a_gap(
    space: str, token: str, table: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        estate = sandbox.organization.access
        someone = next(iter(estate.identities.values()))["descriptor"]
        estate.allow(space, token.format(project=guid("project payments")), someone, 1)
        found = gaps(collected(sandbox, tmp_path, monkeypatch))
    assert list(found) == [(table, kind)]
    (gap,) = found.values()
    assert gap.reason == "denied"
    assert gap.needs
    assert any(number in gap.detail for number in (R, P, "77"))


def test_totals_and_the_enablement_of_features_tell_of_what_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.organization.doors.projects = 5
        sandbox.organization.doors.enablement[0]["repositoryId"] = R
        found = gaps(collected(sandbox, tmp_path, monkeypatch))
    assert found.keys() == {("accounts", "ado-project"), ("accounts", "ado-repository")}
    assert "There are 5" in found["accounts", "ado-project"].detail
    assert R in found["accounts", "ado-repository"].detail


def test_a_list_that_failed_has_its_own_gap_and_no_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.fail("GET /{project}/_apis/git/repositories", 500)
        records = collected(sandbox, tmp_path, monkeypatch, retries=0)
    assert gaps(records) == {}
    assert any(isinstance(row, Gap) and row.kind == "ado-repository" for row in records)


def test_who_may_bypass_a_branch_policy_is_on_the_policy(night: list[Record]) -> None:
    number = guid("repository payments-api")
    protection = {
        row.kind: row
        for row in night
        if isinstance(row, Control) and row.account_id == f"azure-devops:repository:{number}"
    }
    assert protection["branch-protection"].bypass == ["payments Build Service (lanternpay)"]
    assert (protection["branch-protection"].approvals, protection["branch-protection"].approvals_end) == (
        2,
        False,
    )
    assert protection["build-validation"].enforcement == "absent"
    tools = f"azure-devops:repository:{guid('repository tools')}"
    # No review is required there, so that no approval could outlive a push.
    assert [
        (row.approvals, row.approvals_end)
        for row in night
        if isinstance(row, Control) and row.account_id == tools and row.kind == "branch-protection"
    ] == [(None, None)]


def test_a_required_vote_that_the_author_may_give_is_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://learn.microsoft.com/en-us/azure/devops/repos/git/branch-policies#require-a-minimum-number-of-reviewers"""
    with AzureDevOpsSandbox() as sandbox:
        policy = sandbox.organization.projects[1].policies[0]["settings"]
        policy |= {"minimumApproverCount": 1, "creatorVoteCounts": True}
        records = collected(sandbox, tmp_path, monkeypatch)
    number = guid("repository payments-api")
    assert [
        row.approvals
        for row in records
        if isinstance(row, Control) and row.id == f"azure-devops:branch-protection:{number}"
    ] == [0]


@pytest.mark.parametrize(
    "setting", ["resetOnSourcePush", "blockLastPusherVote", "requireVoteOnLastIteration"]
)
def test_an_approval_ends_with_the_next_push(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        payments = sandbox.organization.projects[1]
        payments.policies[0]["settings"][setting] = True
        records = collected(sandbox, tmp_path, monkeypatch)
    ends = [row.approvals_end for row in records if isinstance(row, Control) and row.approvals]
    assert ends == [True]


def test_bypass_is_unknown_without_the_lists_of_repositories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.fail("GET /_apis/accesscontrollists/{namespace}", 403)
        records = collected(sandbox, tmp_path, monkeypatch)
    told = [row for row in records if isinstance(row, Gap) and row.kind == "policy-bypass"]
    protected = {
        row.account_id for row in records if isinstance(row, Control) and row.kind == "branch-protection"
    }
    assert {row.account_id for row in told} == protected


def test_tokens_are_read_only_if_the_configuration_says_so(
    night: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = {row.name: row for row in night if isinstance(row, Credential)}
    assert tokens["full access"].scopes == ["all organizations", "app_token"]
    assert tokens["read code"].scopes == ["vso.code"]
    assert tokens["laptop"].kind == "ado-ssh-key"
    assert tokens["full access"].identity_id == f"azure-devops:user:{guid('member tom.becker')}"
    with AzureDevOpsSandbox() as sandbox:
        records = collected(sandbox, tmp_path, monkeypatch, personal_access_tokens=False)
        assert not [call for call in sandbox.log if "tokenadmin" in call.path]
    told = {row.kind for row in records if isinstance(row, Gap) and row.table == "credentials"}
    assert told == {"ado-pat", "ado-ssh-key"}


def test_policies_that_are_not_shown_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AzureDevOpsSandbox() as sandbox:
        doors = sandbox.organization.doors
        del doors.policies["Policy.LogAuditEvents"]
        doors.tenant_policies["TenantPolicy.RestrictGlobalPersonalAccessToken"] = {"value": None}
        records = collected(sandbox, tmp_path, monkeypatch)
    shown = {row.target for row in records if isinstance(row, Control)}
    assert not {"Policy.LogAuditEvents", "TenantPolicy.RestrictGlobalPersonalAccessToken"} & shown
    assert any(
        isinstance(row, Gap) and row.kind == "tenant-policy" and row.reason == "denied" for row in records
    )


def test_extensions_hooks_and_alerts_come_without_what_they_hide(night: list[Record]) -> None:
    tags = {row.name: row.tags for row in night if isinstance(row, Identity) and row.kind == "ado-extension"}
    assert tags["Job watch"] == {"decorator": "yes", "writes": "no"}
    assert tags["Deploy anything"] == {"decorator": "no", "writes": "yes"}
    hooks = {row.target: row for row in night if isinstance(row, Control) and row.kind == "webhook-tls"}
    assert sorted(row.enforcement for row in hooks.values()) == ["absent", "enforced"]
    (alert,) = [row for row in night if isinstance(row, Secret) and row.store == "ado-scanning-alert"]
    assert alert.location == "scripts/old.ps1 of tools, alert 3"
    scanned = {
        row.account_id: row.enforcement
        for row in night
        if isinstance(row, Control) and row.kind == "push-protection"
    }
    assert scanned == {
        f"azure-devops:repository:{guid('repository payments-api')}": "enforced",
        f"azure-devops:repository:{guid('repository tools')}": "absent",
    }
    assert {"secret-scanning", "audit-stream", "organization-policy", "webhook-signature"} <= {
        row.kind for row in night if isinstance(row, Control)
    }
    assert "ado-service-hook" in {row.kind for row in night if isinstance(row, Identity)}


def test_who_publishes_to_a_feed_is_known_and_where_its_packages_come_from(night: list[Record]) -> None:
    held_feeds = {
        row.resource: row.identity_id
        for row in night
        if isinstance(row, Grant) and row.role.startswith("Feed")
    }
    assert held_feeds == {"feed libraries": f"azure-devops:build-service:{guid('project payments')}"}
    above = {
        row.name: row.enforcement for row in night if isinstance(row, Control) and row.kind == "feed-upstream"
    }
    assert above == {"libraries": "absent", "releases": "enforced"}


def test_each_project_has_a_build_service_even_if_no_list_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        sandbox.organization.access = None
        records = collected(sandbox, tmp_path, monkeypatch)
    services = {row.id for row in records if isinstance(row, Identity) and row.kind == "ado-build-service"}
    ran = {row.target_id for row in records if isinstance(row, Link) and row.relation == "runs_as"}
    numbers = [guid(f"project {name}") for name in ("platform", "payments", "open-site", "payments-test")]
    assert services == {f"azure-devops:build-service:{number}" for number in (*numbers, guid("organization"))}
    assert {one for one in ran if ":build-service:" in one} <= services
