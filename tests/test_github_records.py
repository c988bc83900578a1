"""One organization with one object of every kind, and the records that it must give."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

import collectors.github
from collectors.github.listings.variables import identifier
from sandbox.github.organization import (
    Actions,
    Authorization,
    Bypass,
    DeployKey,
    Environment,
    FineGrainedToken,
    GitHubDeployment,
    GitHubRepository,
    GitHubSecret,
    GpgKey,
    Hook,
    Installation,
    Invitation,
    Organization,
    Protection,
    Repositories,
    Reviewer,
    Role,
    Ruleset,
    Runner,
    RunnerGroup,
    SshKey,
    Subject,
    Team,
    User,
    Variable,
)
from sandbox.github.server import GitHubSandbox
from scanner import records as r
from tests.github_night import app_config, collected, config, gaps, of
from tests.nights import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.records import Record
    from tests.github_night import R

OLD = datetime(2025, 1, 1, tzinfo=UTC)
NEW = datetime(2026, 10, 1, tzinfo=UTC)
ROLE = "arn:aws:iam::200000000002:role/deploy-app"
STAGING = "arn:aws:iam::200000000002:role/deploy-staging"
KEY = "AKIAQYLPMN5HFEXAMPLQ"
DEPLOY = """
name: Deploy
on:
  push: {branches: [main]}
jobs:
  production:
    runs-on: ubuntu-24.04
    environment: production
    permissions: {id-token: write, contents: read}
    steps:
      - uses: aws-actions/configure-aws-credentials@e3dd6a429d7300a6a4c196c26e071d42e0343502
        with: {role-to-assume: "${{ vars.DEPLOY_ROLE }}", aws-region: eu-west-1}
  staging:
    runs-on: ubuntu-24.04
    environment: staging
    permissions: {id-token: write, contents: read}
    steps:
      - uses: aws-actions/configure-aws-credentials@e3dd6a429d7300a6a4c196c26e071d42e0343502
        with: {role-to-assume: "${{ vars.DEPLOY_ROLE }}", aws-region: eu-west-1}
"""
TEST = "name: Test\non: push\njobs: {test: {runs-on: ubuntu-24.04, steps: [{run: make}]}}\n"

APP = GitHubRepository(
    id=11,
    name="app",
    created_at=OLD,
    pushed_at=NEW,
    files={
        ".github/workflows/deploy.yml": DEPLOY,
        ".github/workflows/test.yml": TEST,
        ".github/CODEOWNERS": "docs/ @acme/docs\n* @acme/platform # all\n",
    },
    secrets=(GitHubSecret(name="DB_PASSWORD", created_at=OLD, updated_at=NEW),),
    variables=(
        Variable(name="AWS_ACCESS_KEY_ID", value=KEY, created_at=OLD, updated_at=OLD),
        Variable(name="STAGE", value="plain", created_at=OLD, updated_at=OLD),
    ),
    environments=(
        Environment(
            id=21,
            name="production",
            created_at=OLD,
            updated_at=OLD,
            reviewers=(Reviewer(type="Team", name="platform"), Reviewer(type="User", name="ann")),
            prevent_self_review=True,
            can_admins_bypass=False,
            wait_minutes=10,
            branches="custom",
            patterns=("main", "release/*"),
            secrets=(GitHubSecret(name="SIGNING_KEY", created_at=OLD, updated_at=OLD),),
        ),
        Environment(
            id=22,
            name="staging",
            created_at=OLD,
            updated_at=OLD,
            variables=(Variable(name="DEPLOY_ROLE", value=STAGING, created_at=OLD, updated_at=OLD),),
        ),
    ),
    deploy_keys=(
        DeployKey(id=31, title="old server", created_at=OLD, read_only=False, added_by="ann", last_used=NEW),
    ),
    hooks=(
        Hook(
            id=41, url="http://ci.example:8080/hook?token=t0k3n", created_at=OLD, updated_at=OLD, secret=False
        ),
    ),
    actions=Actions(token="write", allowed="all", sha_pinning=True),
    subject=Subject(use_default=False, claims=("repository_owner_id", "repository_id"), immutable=False),
    protections=(
        Protection(
            id=51,
            pattern="main",
            approvals=2,
            enforce_admins=False,
            bypass_users=("ann",),
            bypass_apps=("release-robot",),
        ),
    ),
    rulesets=(
        Ruleset(
            id=52,
            name="tags",
            created_at=OLD,
            updated_at=OLD,
            enforcement="evaluate",
            target="tag",
            bypass=(Bypass(actor_id=1, actor_type="OrganizationAdmin"),),
        ),
    ),
    deployments=(
        GitHubDeployment(
            id=61,
            environment="production",
            sha="a" * 40,
            ref="main",
            creator="github-actions[bot]",
            created_at=NEW,
        ),
    ),
    collaborators={"guest": "admin"},
    runners=(Runner(id=71, name="under-the-desk", labels=("self-hosted", "linux")),),
)
ACME = Organization(
    id=1,
    login="acme",
    name="Acme",
    created_at=OLD,
    updated_at=OLD,
    repositories=Repositories.of([APP]),
    users=(
        User(
            id=101,
            login="ann",
            created_at=OLD,
            role="admin",
            keys=(SshKey(id=1, title="laptop", key="ssh-ed25519 AAAA", created_at=OLD, last_used=NEW),),
            gpg_keys=(GpgKey(id=2, key_id="ABCD", created_at=OLD, expires_at=NEW),),
        ),
        User(id=102, login="ben", created_at=OLD, two_factor=False),
        User(id=103, login="acme-ci-bot", created_at=OLD),
        User(id=104, login="guest", created_at=OLD, role="outside"),
    ),
    teams=(Team(id=201, slug="platform", members=("ben",), repositories={"app": "release-manager"}),),
    repository_roles=(
        Role(
            id=301,
            name="release-manager",
            permissions=("bypass_branch_protection",),
            created_at=OLD,
            base="maintain",
        ),
    ),
    organization_roles=(
        Role(
            id=302,
            name="secret-keeper",
            permissions=("write_organization_actions_secrets",),
            created_at=OLD,
            users=("ben",),
        ),
    ),
    invitations=(
        Invitation(id=401, login="carol", email=None, role="direct_member", inviter="ann", created_at=NEW),
    ),
    secrets=(
        GitHubSecret(name="SHARED", created_at=OLD, updated_at=NEW, visibility="selected", selected=("app",)),
        GitHubSecret(name="NPM", created_at=OLD, updated_at=OLD, store="dependabot"),
        GitHubSecret(name="SPACE", created_at=OLD, updated_at=OLD, store="codespaces"),
        GitHubSecret(name="AGENT", created_at=OLD, updated_at=OLD, store="agents"),
    ),
    variables=(Variable(name="DEPLOY_ROLE", value=ROLE, created_at=OLD, updated_at=OLD),),
    hooks=(Hook(id=42, url="https://siem.example/in", created_at=OLD, updated_at=OLD),),
    actions=Actions(allowed="selected", verified=True, patterns=("acme/*",)),
    subject=Subject(claims=("repo", "context")),
    runner_groups=(
        RunnerGroup(
            id=1,
            name="Default",
            default=True,
            allows_public_repositories=True,
            runners=(
                Runner(id=72, name="farm-1", status="offline", ephemeral=True, labels=("self-hosted", "gpu")),
            ),
        ),
        RunnerGroup(
            id=2,
            name="signing",
            visibility="selected",
            selected=("app",),
            restricted_to_workflows=True,
            selected_workflows=("acme/app/.github/workflows/deploy.yml@refs/heads/main",),
        ),
    ),
    rulesets=(Ruleset(id=53, name="everywhere", created_at=OLD, updated_at=OLD, enforcement="disabled"),),
    installations=(
        Installation(
            id=501,
            app_id=601,
            slug="release-robot",
            client_id="Iv1",
            permissions={"contents": "write", "metadata": "read", "secrets": "read"},
            created_at=OLD,
            updated_at=OLD,
            events=("push", "member"),
        ),
        Installation(
            id=502,
            app_id=602,
            slug="old-robot",
            client_id="Iv2",
            permissions={"administration": "write"},
            repository_selection="selected",
            created_at=OLD,
            updated_at=OLD,
            suspended_at=NEW,
            suspended_by="ben",
        ),
    ),
    tokens=(
        FineGrainedToken(
            id=701,
            token_id=801,
            name="for the laptop",
            owner="ben",
            granted_at=OLD,
            permissions={"repository": {"contents": "write"}, "organization": {"members": "read"}},
            selected=("app",),
            expires_at=datetime(2027, 1, 1, tzinfo=UTC),
            last_used_at=NEW,
        ),
        FineGrainedToken(
            id=702,
            token_id=802,
            name="for ever",
            owner="ann",
            granted_at=OLD,
            permissions={},
            selection="all",
        ),
        FineGrainedToken(
            id=703, token_id=803, name="please", owner="ben", granted_at=NEW, permissions={}, pending=True
        ),
    ),
    authorizations=(
        Authorization(
            id=901,
            login="ann",
            type="personal access token",
            authorized_at=OLD,
            accessed_at=NEW,
            scopes=("repo", "admin:org"),
            last_eight="deadbeef",
            title="old script",
        ),
        Authorization(id=902, login="ben", type="SSH key", authorized_at=OLD, fingerprint="SHA256:x"),
    ),
)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Record]]:
    with pytest.MonkeyPatch.context() as patch, GitHubSandbox(organization=ACME) as sandbox:
        yield collected(config(sandbox, patch), run(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def as_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Record]]:
    own = Installation(
        id=599,
        app_id=699,
        slug="inventory",
        client_id="Iv9",
        permissions=dict.fromkeys(
            (
                "metadata",
                "organization_personal_access_tokens",
                "organization_personal_access_token_requests",
            ),
            "read",
        ),
        created_at=OLD,
        updated_at=OLD,
    )
    organization = msgspec.structs.replace(ACME, installations=(own, *ACME.installations))
    with pytest.MonkeyPatch.context() as patch, GitHubSandbox(organization=organization) as sandbox:
        yield collected(app_config(sandbox, patch), run(tmp_path_factory.mktemp("cache")))


def one(records: list[Record], kind: type[R], native: str) -> R:
    return next(row for row in of(records, kind) if row.id == f"github:{native}")


def controls(records: list[Record], kind: str) -> list[tuple[str, str, str | None]]:
    return sorted(
        (row.account_id, row.enforcement, row.detail) for row in of(records, r.Control) if row.kind == kind
    )


def test_accounts(night: list[Record]) -> None:
    organization, app = of(night, r.Account)
    assert (organization.id, organization.kind, organization.name) == (
        "github:org:1",
        "github-organization",
        "acme",
    )
    assert app.id == app.account_id == "github:repo:11"
    assert (app.address, app.parent_id, app.active, app.visibility) == (
        "acme/app",
        "github:org:1",
        True,
        "private",
    )
    assert (app.owner, app.owner_source, app.pushed_at) == ("acme/platform", "CODEOWNERS", NEW)


def test_people(night: list[Record]) -> None:
    people = {
        row.name: (row.surface, row.kind, row.mfa, row.tags["membership"])
        for row in of(night, r.Identity)
        if row.id.startswith("github:user:")
    }
    assert people == {
        "ann": ("human", "github-user", True, "owner"),
        "ben": ("human", "github-user", False, "member"),
        "acme-ci-bot": ("automation", "github-machine-user", True, "member"),
        "guest": ("human", "github-user", None, "outside collaborator"),
    }
    carol = one(night, r.Identity, "invitation:401")
    assert (carol.name, carol.enabled, carol.owner) == ("carol", False, "ann")


def test_what_people_may_do(night: list[Record]) -> None:
    held = {
        (row.identity_id.removeprefix("github:"), row.role): (row.breadth, row.level)
        for row in of(night, r.Grant)
        if row.identity_id.startswith(("github:user:", "github:team:"))
        and row.role not in {"token scopes", "fine-grained token"}
    }
    assert held == {
        ("user:101", "organization owner"): ("organization", "admin"),
        ("user:102", "base permission: read"): ("organization", "read"),
        ("user:103", "base permission: read"): ("organization", "read"),
        ("user:102", "secret-keeper"): ("organization", "write"),
        ("user:104", "admin"): ("resource", "admin"),
        ("team:201", "release-manager"): ("resource", "write"),
    }
    assert [(row.source_id, row.target_id) for row in of(night, r.Link) if row.relation == "member_of"] == [
        ("github:user:102", "github:team:201")
    ]


def test_deploy_keys(night: list[Record]) -> None:
    key = one(night, r.Credential, "deploy-key:31")
    assert (key.lifetime, key.read_only, key.last_used_at, key.never_expires, key.owner) == (
        "static",
        False,
        NEW,
        True,
        "ann",
    )
    assert key.account_id == "github:repo:11"
    (grant,) = [row for row in of(night, r.Grant) if row.identity_id == key.identity_id]
    assert (grant.resource, grant.level, grant.actions) == ("acme/app", "write", ["contents:write"])
    assert one(night, r.Identity, "deploy-key-holder:31").surface == "automation"


def test_apps(night: list[Record]) -> None:
    robot, old = (one(night, r.Identity, f"app-installation:{number}") for number in (501, 502))
    assert (robot.name, robot.enabled, old.enabled) == ("release-robot", True, False)
    assert (robot.tags["events"], old.tags["suspended_by"]) == ("member,push", "ben")
    assert "suspended_by" not in robot.tags
    assert "events" not in old.tags
    grants = {row.identity_id: row for row in of(night, r.Grant) if row.role == "App permissions"}
    assert grants[robot.id].powers == ["change-delivery", "read-data", "read"]
    assert (grants[robot.id].resource, grants[robot.id].breadth) == ("acme/*", "organization")
    assert (grants[old.id].level, grants[old.id].breadth) == ("admin", "group")
    assert one(night, r.Credential, "app-installation:501").scopes == [
        "contents:write",
        "metadata:read",
        "secrets:read",
    ]


def test_classic_tokens_of_single_sign_on(night: list[Record]) -> None:
    pat = one(night, r.Credential, "classic-pat:500901")
    assert (pat.identity_id, pat.name, pat.lifetime, pat.last_used_at, pat.scopes) == (
        "github:user:101",
        "old script",
        "static",
        NEW,
        ["repo", "admin:org"],
    )
    assert one(night, r.Credential, "ssh-key:500902").identity_id == "github:user:102"
    (grant,) = [row for row in of(night, r.Grant) if row.role == "token scopes"]
    assert grant.level == "admin"


def test_fine_grained_tokens(as_app: list[Record]) -> None:
    laptop, ever, please = (
        one(as_app, r.Credential, name)
        for name in ("fine-grained-pat:801", "fine-grained-pat:802", "fine-grained-pat-request:703")
    )
    assert (laptop.lifetime, laptop.expires_at, laptop.last_used_at, laptop.identity_id) == (
        "expiring",
        datetime(2027, 1, 1, tzinfo=UTC),
        NEW,
        "github:user:102",
    )
    assert laptop.scopes == ["contents:write", "members:read"]
    assert (ever.lifetime, ever.never_expires, ever.last_used_at) == ("static", True, None)
    assert please.enabled is False
    grants = {row.via: row for row in of(as_app, r.Grant) if row.role == "fine-grained token"}
    assert grants["fine-grained token for the laptop"].resource == "acme/app"
    assert grants["fine-grained token for ever"].resource == "acme/*"


def test_keys_of_people(night: list[Record]) -> None:
    ssh, gpg = one(night, r.Credential, "user-ssh-key:1"), one(night, r.Credential, "gpg-key:2")
    assert (ssh.identity_id, ssh.lifetime, ssh.last_used_at) == ("github:user:101", "static", NEW)
    assert (gpg.lifetime, gpg.expires_at) == ("expiring", NEW)


def test_webhooks(night: list[Record]) -> None:
    assert one(night, r.Credential, "webhook-secret:42").location == "siem.example"
    assert not [row for row in of(night, r.Credential) if row.id == "github:webhook-secret:41"]
    assert one(night, r.Identity, "webhook:41").name == "ci.example"
    assert [row[:2] for row in controls(night, "webhook-signature")] == [
        ("github:org:1", "enforced"),
        ("github:repo:11", "absent"),
    ]
    assert [row[:2] for row in controls(night, "webhook-tls")] == [
        ("github:org:1", "enforced"),
        ("github:repo:11", "absent"),
    ]


def test_secrets(night: list[Record]) -> None:
    held = {
        row.id.removeprefix("github:"): (row.visibility, row.environment, row.protected, row.updated_at)
        for row in of(night, r.Secret)
        if not row.readable
    }
    assert held == {
        "github-actions:org/1/SHARED": ("selected", None, None, NEW),
        "github-dependabot:org/1/NPM": ("all", None, None, OLD),
        "github-codespaces:org/1/SPACE": ("all", None, None, OLD),
        "github-agents:org/1/AGENT": ("all", None, None, OLD),
        "github-actions:repo/11/DB_PASSWORD": ("repository", None, False, NEW),
        "github-actions:repo/11/env/21/SIGNING_KEY": ("environment", "production", True, OLD),
    }
    assert one(night, r.Secret, "github-actions:org/1/SHARED").available_to == ["github:repo:11"]


def test_a_key_id_in_a_variable_is_joined_to_the_key(night: list[Record]) -> None:
    (variable,) = [row for row in of(night, r.Secret) if row.store == "github-variable"]
    assert (variable.name, variable.readable, variable.credential_id, variable.length) == (
        "AWS_ACCESS_KEY_ID",
        True,
        f"aws:access-key:{KEY}",
        len(KEY),
    )
    assert variable.fingerprint is not None


def test_environments(night: list[Record]) -> None:
    production = one(night, r.Control, "environment-approval:11/21")
    assert (production.enforcement, production.approvers, production.bypass, production.target) == (
        "enforced",
        ["acme/platform", "ann"],
        [],
        "production",
    )
    assert production.detail == "The person who starts a deployment cannot approve it."
    staging = one(night, r.Control, "environment-approval:11/22")
    assert (staging.enforcement, staging.approvers) == ("absent", [])
    policies = {row.name: row for row in of(night, r.Control) if row.kind == "environment-branch-policy"}
    assert policies["production"].enforcement == "enforced"
    assert policies["production"].detail == "Only these can deploy: branch main, branch release/*."
    assert policies["staging"].enforcement == "absent"
    assert one(night, r.Control, "environment-wait-timer:11/21").detail == "A deployment waits 10 minutes."


def test_branch_protection_and_rulesets(night: list[Record]) -> None:
    protection = one(night, r.Control, "branch-protection:11/51")
    assert (protection.enforcement, protection.target, protection.bypass) == (
        "enforced",
        "main",
        ["repository administrators", "App release-robot", "ann"],
    )
    assert protection.detail is not None
    assert protection.detail.startswith("2 approving review(s)")
    rulesets = {row.id: (row.name, row.enforcement) for row in of(night, r.Control) if row.kind == "ruleset"}
    assert rulesets["github:ruleset:11/52"] == ("tags", "audited")
    assert rulesets["github:ruleset:org/1/53"] == ("everywhere", "absent")


def test_actions_settings(night: list[Record]) -> None:
    assert [row[:2] for row in controls(night, "workflow-token-default")] == [
        ("github:org:1", "enforced"),
        ("github:repo:11", "absent"),
    ]
    assert [row[:2] for row in controls(night, "allowed-actions")] == [
        ("github:org:1", "enforced"),
        ("github:repo:11", "absent"),
    ]
    assert [row[:2] for row in controls(night, "action-sha-pinning")] == [
        ("github:org:1", "absent"),
        ("github:repo:11", "enforced"),
    ]
    ((_, enforcement, detail),) = controls(night, "selected-actions")
    assert (enforcement, detail) == ("enforced", "Verified creators: yes; patterns: acme/*.")
    assert controls(night, "fork-pr-approval") == [
        ("github:org:1", "audited", "Approval is required for: first time contributors."),
        ("github:org:1", "enforced", "Workflows do not run for forks of private repositories."),
    ]


def test_runners(night: list[Record]) -> None:
    desk, farm = one(night, r.Identity, "runner:repo/11/71"), one(night, r.Identity, "runner:org/1/72")
    assert (desk.surface, desk.tags["labels"], desk.tags["ephemeral"]) == (
        "automation",
        "linux,self-hosted",
        "false",
    )
    assert farm.tags["ephemeral"] == "true"
    # An offline runner is not a disabled one.
    assert (farm.tags["status"], farm.enabled, desk.tags["status"], desk.enabled) == (
        "offline",
        True,
        "online",
        True,
    )
    assert desk.last_used_at is None
    groups = {
        row.name: (row.enforcement, row.detail) for row in of(night, r.Control) if row.kind == "runner-group"
    }
    assert groups["Default"][0] == "absent"
    assert groups["signing"] == (
        "enforced",
        (
            "Open to selected repositories (app); public repositories: no; "
            "workflows: acme/app/.github/workflows/deploy.yml@refs/heads/main."
        ),
    )


def test_workflows_are_pipelines(night: list[Record]) -> None:
    deploy = one(night, r.Identity, "workflow:11:.github/workflows/deploy.yml")
    assert (deploy.kind, deploy.surface, deploy.address) == (
        "github-workflow",
        "automation",
        "acme/app/.github/workflows/deploy.yml",
    )
    assert deploy.logins == ["aws:oidc"]
    assert deploy.environments == ["production", "staging"]
    assert deploy.subjects == ["repository_owner_id:1:repository_id:11"]  # the repository's own template
    assert deploy.issuer == "https://token.actions.githubusercontent.com"


def test_a_role_in_a_variable_is_resolved_by_environment(night: list[Record]) -> None:
    links = sorted((row.relation, row.target_id) for row in of(night, r.Link) if "workflow" in row.source_id)
    assert links == [("uses", ROLE), ("uses", STAGING)]


def test_the_token_of_workflows(night: list[Record]) -> None:
    grants = {
        row.identity_id.rsplit("/", 1)[-1]: (row.level, row.via)
        for row in of(night, r.Grant)
        if row.role == "GITHUB_TOKEN"
    }
    assert grants == {
        "deploy.yml": ("read", "permissions of the workflow"),
        "test.yml": ("write", "default permissions (write)"),
    }


def test_deployments(night: list[Record]) -> None:
    (deployment,) = of(night, r.Deployment)
    assert (deployment.environment, deployment.ref, deployment.deployed_at, deployment.pipeline_id) == (
        "production",
        "a" * 40,
        NEW,
        "github:workflow:11:.github/workflows/deploy.yml",
    )


def test_times_are_aware(night: list[Record]) -> None:
    for row in night:
        for name in row.__struct_fields__:
            value = getattr(row, name)
            if isinstance(value, datetime):
                assert value.utcoffset() is not None, (row.id, name)


def test_what_nobody_can_see_is_said(night: list[Record]) -> None:
    blind = {(row.table, row.kind) for row in gaps(night) if row.reason == "unsupported"}
    assert {("credentials", "oauth-app"), ("controls", "ruleset-bypass")} <= blind


def test_identifiers_are_kept_and_secrets_are_not() -> None:
    assert identifier("DEPLOY_ROLE", ROLE) == ROLE
    assert identifier("ANYTHING", ROLE) == ROLE
    assert identifier("ECS_CLUSTER", "core") == "core"
    assert identifier("AWS_ACCOUNT", "200000000002") == "200000000002"
    assert identifier("GREETING", "hello") is None
    assert identifier("ECS_CLUSTER", "two words") is None
    assert identifier("APP_URL", "https://u:p@h/") is None


@pytest.mark.parametrize(
    ("base_url", "issuer"),
    [
        ("https://api.github.com", "https://token.actions.githubusercontent.com"),
        ("https://ghe.example/api/v3", "https://ghe.example/_services/token"),
        ("https://api.acme.ghe.com", "https://token.actions.acme.ghe.com"),
    ],
)
def test_issuers(base_url: str, issuer: str) -> None:
    options = collectors.github.Config.model_validate(
        {"token": "${env:X}", "organizations": ["acme"], "base_url": base_url}
    )
    assert options.token_issuer == issuer


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"token": "${env:X}"},
        {"token": "ghp_in_clear", "organizations": ["a"]},
        {"token": "${env:X}", "app": {"app_id": 1, "private_key": "${env:Y}"}, "organizations": ["a"]},
        {"token": "${env:X}", "organizations": ["a"], "base_url": "ghe.example"},
        {"token": "${env:X}", "organizations": ["a"], "base_url": "https://user:pw@ghe.example"},
        {"token": "${env:X}", "organizations": ["a"], "unknown": 1},
    ],
)
def test_configurations_that_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        collectors.github.Config.model_validate(section)


def test_permissions_name_every_permission_that_is_needed(as_app: list[Record]) -> None:
    text = collectors.github.permissions().lower()
    for words in ("read-only", "administration", "personal access tokens", "secrets", "webhooks", "members"):
        assert words in text


def test_repositories_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with GitHubSandbox(organization=ACME) as sandbox:
        records = collected(
            config(sandbox, monkeypatch, repositories={"include": ["*"], "exclude": ["a*"]}), run(tmp_path)
        )
        asked = [call.path for call in sandbox.log if "/repos/acme/app" in call.path]
    assert not asked
    # Its existence is reported: a trust in it is not a trust in a deleted repository.
    assert [type(row) for row in records if row.account_id == "github:repo:11"] == [r.Account]
