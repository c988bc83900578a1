"""Lantern Pay on GitHub: the organization, its people, Apps, tokens, runners and settings.

What is wrong on purpose, and what only looks wrong, is listed under ``github`` in ``sandbox/planted.yaml``.
"""

from __future__ import annotations

from sandbox.estate import GITHUB_ORG, GITHUB_ORG_ID
from sandbox.github.access import READ_ONLY_APP
from sandbox.github.dates import ago
from sandbox.github.organization import (
    Actions,
    AuditEvent,
    Authorization,
    Bypass,
    FineGrainedToken,
    GitHubSecret,
    GpgKey,
    Hook,
    HostedRunner,
    Installation,
    Invitation,
    Organization,
    Repositories,
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
from sandbox.github.repositories import (
    ALERTED_TOKEN,
    CI_BOT,
    DATABASE_URL,
    EXPORT_TOKEN,
    HOOK_TOKEN,
    repositories,
)
from sandbox.kit.issued import secret_value

SECRET_VALUES = (
    EXPORT_TOKEN,
    DATABASE_URL,
    DATABASE_URL.split(":")[2].split("@")[0],
    HOOK_TOKEN,
    ALERTED_TOKEN,
    secret_value("github/revoked", 35, "AIza"),
)
"""Every secret value in the sandbox's answers: none of them may leave a collector."""


def _users() -> tuple[User, ...]:
    return (
        User(
            id=4101,
            login="amara-okafor",
            name="Amara Okafor",
            role="admin",
            created_at=ago(2600),
            keys=(
                SshKey(
                    id=110101,
                    title="laptop",
                    key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAmaraOkafor",
                    created_at=ago(300),
                    last_used=ago(1),
                ),
            ),
            signing_keys=(
                SshKey(
                    id=110102,
                    title="signing",
                    key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAmaraSigning",
                    created_at=ago(300),
                ),
            ),
        ),
        User(
            id=4102,
            login="ben-lindqvist",
            name="Ben Lindqvist",
            role="admin",
            created_at=ago(2100),
            gpg_keys=(
                GpgKey(id=110201, key_id="3AA5C34371567BD2", created_at=ago(900), expires_at=ago(-200)),
            ),
        ),
        User(id=4103, login="chiara-rossi", name="Chiara Rossi", created_at=ago(1500)),
        User(id=4104, login="dmitri-volkov", name="Dmitri Volkov", created_at=ago(1200), two_factor=False),
        User(id=4105, login="elif-kaya", name="Elif Kaya", created_at=ago(900)),
        User(id=4106, login="farid-haddad", name="Farid Haddad", created_at=ago(1900)),
        User(
            id=4107,
            login=CI_BOT,
            created_at=ago(1700),
            two_factor=False,
            keys=(
                SshKey(
                    id=110701,
                    title="jenkins",
                    key="ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQJenkins",
                    created_at=ago(1690),
                    last_used=ago(230),
                ),
            ),
        ),
        User(
            id=4201,
            login="contractor-jo",
            name="Jo Brandt",
            role="outside",
            created_at=ago(400),
            two_factor=False,
        ),
        User(id=4202, login="auditor-kim", name="Kim Sato", role="outside", created_at=ago(350)),
    )


def _teams() -> tuple[Team, ...]:
    return (
        Team(
            id=6001,
            slug="platform",
            maintainers=("amara-okafor",),
            members=("ben-lindqvist",),
            repositories={"infra": "maintain", "shared-actions": "admin", "payments-api": "write"},
        ),
        Team(
            id=6002,
            slug="payments",
            members=("chiara-rossi", "farid-haddad", CI_BOT),
            repositories={"payments-api": "write", "ledger": "write"},
        ),
        Team(id=6003, slug="web", members=("elif-kaya",), repositories={"web-frontend": "write"}),
        Team(
            id=6004,
            slug="data",
            members=("dmitri-volkov",),
            repositories={"data-jobs": "maintain"},
            parent="platform",
        ),
    )


def _secrets(night: int) -> tuple[GitHubSecret, ...]:
    made = [
        GitHubSecret(name="DOCKERHUB_TOKEN", visibility="all", created_at=ago(800), updated_at=ago(700)),
        GitHubSecret(name="SONAR_TOKEN", visibility="private", created_at=ago(200), updated_at=ago(60)),
        GitHubSecret(
            name="NPM_TOKEN",
            visibility="selected",
            selected=("web-frontend", "docs-site"),
            created_at=ago(900),
            updated_at=ago(200),
        ),
        GitHubSecret(
            name="SLACK_WEBHOOK_URL",
            visibility="selected",
            selected=("payments-api", "ledger", "shared-actions"),
            created_at=ago(500),
            updated_at=ago(30),
        ),
        GitHubSecret(
            name="ARTIFACTORY_TOKEN",
            store="dependabot",
            visibility="selected",
            selected=("web-frontend", "payments-api"),
            created_at=ago(600),
            updated_at=ago(410),
        ),
        GitHubSecret(
            name="DEV_DB_PASSWORD",
            store="codespaces",
            visibility="selected",
            selected=("payments-api",),
            created_at=ago(300),
            updated_at=ago(100),
        ),
        GitHubSecret(
            name="MCP_SEARCH_TOKEN",
            store="agents",
            visibility="selected",
            selected=("payments-api", "web-frontend"),
            created_at=ago(60),
            updated_at=ago(60),
        ),
    ]
    if night > 1:
        made.append(
            GitHubSecret(name="RELEASE_PAT", visibility="all", created_at=ago(-0.7), updated_at=ago(-0.7))
        )
    return tuple(made)


def _variables() -> tuple[Variable, ...]:
    named = {
        "AWS_REGION": "eu-west-1",
        "REGISTRY": "docker.io/lanternpay",
        "SUPPORT_URL": "https://lanternpay.example/help",
    }
    channels = {f"TEAM_CHANNEL_{number:02}": f"#team-{number:02}" for number in range(1, 13)}
    made = ago(400)
    return (
        *(
            Variable(name=name, value=value, created_at=made, updated_at=made)
            for name, value in {**named, **channels}.items()
        ),
        Variable(
            name="CLUSTER",
            value="core",
            visibility="selected",
            selected=("ledger",),
            created_at=made,
            updated_at=made,
        ),
        Variable(
            name="MCP_SEARCH_URL",
            value="https://search.lanternpay.example/mcp",
            store="agents",
            visibility="selected",
            selected=("payments-api",),
            created_at=made,
            updated_at=made,
        ),
    )


def _installations() -> tuple[Installation, ...]:
    return (
        Installation(
            id=60001,
            app_id=90001,
            slug="sprawlscan-inventory",
            client_id="Iv23liSprawlscan00",
            permissions=dict(READ_ONLY_APP),
            created_at=ago(30),
            updated_at=ago(30),
        ),
        Installation(
            id=60002,
            app_id=90002,
            slug="release-helper-plus",
            client_id="Iv1.release0000000",
            permissions={
                "metadata": "read",
                "administration": "write",
                "contents": "write",
                "workflows": "write",
                "secrets": "write",
                "actions": "write",
                "members": "read",
                "organization_secrets": "write",
            },
            events=("push", "release"),
            created_at=ago(1000),
            updated_at=ago(640),
        ),
        Installation(
            id=60003,
            app_id=90003,
            slug="dependency-updates",
            client_id="Iv1.depends0000000",
            permissions={"metadata": "read", "contents": "write", "pull_requests": "write"},
            repository_selection="selected",
            selected=("web-frontend", "docs-site"),
            events=("push", "pull_request"),
            created_at=ago(600),
            updated_at=ago(90),
        ),
        Installation(
            id=60004,
            app_id=90004,
            slug="old-ci-bridge",
            client_id="Iv1.oldci000000000",
            permissions={"metadata": "read", "contents": "write", "checks": "write"},
            created_at=ago(1400),
            updated_at=ago(300),
            suspended_at=ago(300),
            suspended_by="amara-okafor",
        ),
        Installation(
            id=60005,
            app_id=90005,
            slug="deploy-gate",
            client_id="Iv1.gate0000000000",
            permissions={"metadata": "read", "deployments": "write"},
            repository_selection="selected",
            selected=("infra",),
            events=("deployment_protection_rule",),
            created_at=ago(200),
            updated_at=ago(200),
        ),
    )


def _tokens(night: int) -> tuple[FineGrainedToken, ...]:
    return (
        FineGrainedToken(
            id=25001,
            token_id=98001,
            name="ci-everything",
            owner=CI_BOT,
            selection="all",
            permissions={
                "organization": {"members": "read"},
                "repository": {"metadata": "read", "contents": "write", "administration": "write"},
                "other": {},
            },
            granted_at=ago(420),
            last_used_at=ago(0.2 if night == 1 else -0.8),
        ),
        FineGrainedToken(
            id=25002,
            token_id=98002,
            name="local-dev",
            owner="chiara-rossi",
            selected=("payments-api",),
            permissions={
                "organization": {},
                "repository": {"metadata": "read", "contents": "read"},
                "other": {},
            },
            granted_at=ago(20),
            expires_at=ago(-60),
            last_used_at=ago(1),
        ),
        FineGrainedToken(
            id=25003,
            token_id=98003,
            name="notebook",
            owner="dmitri-volkov",
            selected=("data-jobs", "ledger"),
            permissions={
                "organization": {},
                "repository": {"metadata": "read", "contents": "write"},
                "other": {},
            },
            granted_at=ago(330),
            expires_at=ago(-35),
            last_used_at=ago(212),
        ),
        FineGrainedToken(
            id=25004,
            token_id=98004,
            name="spring-cleaning",
            owner="elif-kaya",
            selected=("web-frontend",),
            permissions={
                "organization": {},
                "repository": {"metadata": "read", "actions": "write"},
                "other": {},
            },
            granted_at=ago(150),
            expires_at=ago(-215),
        ),
        FineGrainedToken(
            id=25005,
            token_id=98005,
            name="migration",
            owner="ben-lindqvist",
            selection="all",
            permissions={
                "organization": {},
                "repository": {"metadata": "read", "contents": "write"},
                "other": {},
            },
            granted_at=ago(400),
            expires_at=ago(310),
            expired=True,
            last_used_at=ago(320),
        ),
        FineGrainedToken(
            id=25006,
            token_id=98006,
            name="fresh-start",
            owner="chiara-rossi",
            selected=("ledger",),
            permissions={
                "organization": {},
                "repository": {"metadata": "read", "contents": "read"},
                "other": {},
            },
            granted_at=ago(2),
            expires_at=ago(-28),
        ),
        FineGrainedToken(
            id=26001,
            token_id=98101,
            name="wants-everything",
            owner="farid-haddad",
            selection="all",
            permissions={
                "organization": {"organization_administration": "write"},
                "repository": {"metadata": "read", "administration": "write"},
                "other": {},
            },
            granted_at=ago(5),
            expires_at=ago(-360),
            pending=True,
            reason="Faster set-up of new services",
        ),
    )


def _authorizations() -> tuple[Authorization, ...]:
    return (
        Authorization(
            id=77001,
            login="amara-okafor",
            type="personal access token",
            title="admin-cli",
            scopes=("repo", "admin:org", "workflow"),
            authorized_at=ago(700),
            accessed_at=ago(2),
            last_eight="a1b2c3d4",
        ),
        Authorization(
            id=77002,
            login=CI_BOT,
            type="personal access token",
            title="jenkins",
            scopes=("repo", "workflow"),
            authorized_at=ago(1600),
            accessed_at=ago(205),
            last_eight="0badf00d",
        ),
        Authorization(
            id=77003,
            login="elif-kaya",
            type="personal access token",
            title="packages",
            scopes=("read:packages",),
            authorized_at=ago(40),
            accessed_at=ago(1),
            expires_at=ago(-50),
            last_eight="5eed5eed",
        ),
        Authorization(
            id=77004,
            login="chiara-rossi",
            type="SSH key",
            title="laptop",
            authorized_at=ago(60),
            accessed_at=ago(1),
            fingerprint="SHA256:3fVbW0Rk8kq7L9zWl2yUoGQ1v5b0m2Jd1nF0pXyZabc",
        ),
        Authorization(
            id=77005,
            login="dmitri-volkov",
            type="OAuth app token",
            title="Data explorer",
            scopes=("repo",),
            authorized_at=ago(500),
            accessed_at=ago(160),
        ),
    )


def _hooks(night: int) -> tuple[Hook, ...]:
    return (
        Hook(
            id=70001,
            url="https://siem.lanternpay.example/github",
            events=("*",),
            created_at=ago(900),
            updated_at=ago(100),
        ),
        Hook(
            id=70002,
            url="https://ci-old.lanternpay.example/hook",
            created_at=ago(1300),
            updated_at=ago(1300 if night == 1 else -0.3),
            insecure_ssl=night == 1,
            secret=night > 1,
        ),
    )


def _runner_groups() -> tuple[RunnerGroup, ...]:
    return (
        RunnerGroup(id=1, name="Default", default=True),
        RunnerGroup(
            id=2,
            name="build-farm",
            visibility="selected",
            selected=("payments-api", "ledger"),
            restricted_to_workflows=True,
            selected_workflows=("lanternpay/payments-api/.github/workflows/ci.yml@refs/heads/main",),
            runners=tuple(
                Runner(
                    id=90010 + number,
                    name=f"build-farm-{number}",
                    group_id=2,
                    ephemeral=True,
                    labels=("self-hosted", "linux", "x64", "build-farm"),
                )
                for number in range(1, 4)
            ),
        ),
        RunnerGroup(
            id=3,
            name="mac-minis",
            visibility="all",
            allows_public_repositories=True,
            runners=(
                Runner(
                    id=90021,
                    name="mac-mini-1",
                    group_id=3,
                    os="macos",
                    labels=("self-hosted", "macos", "arm64"),
                ),
                Runner(
                    id=90022,
                    name="mac-mini-2",
                    group_id=3,
                    os="macos",
                    status="offline",
                    labels=("self-hosted", "macos", "arm64"),
                ),
            ),
        ),
        RunnerGroup(id=4, name="larger", visibility="private", hosted=True),
    )


def _audit_log(night: int) -> tuple[AuditEvent, ...]:
    days = [
        (0.5, "org.update_actions_secret", "amara-okafor", None, "SLACK_WEBHOOK_URL"),
        (2, "personal_access_token.access_granted", "chiara-rossi", None, "fresh-start"),
        (4, "repo.update_actions_settings", "dmitri-volkov", "data-jobs", None),
        (5, "personal_access_token.request_created", "farid-haddad", None, "wants-everything"),
        (20, "environment.update_protection_rule", "ben-lindqvist", "infra", "infra-production"),
        (30, "integration_installation.create", "amara-okafor", None, "sprawlscan-inventory"),
        (30, "deployment.create", CI_BOT, "payments-api", "production"),
        (40, "secret_scanning_push_protection.bypass", "dmitri-volkov", "data-jobs", None),
        (60, "public_key.create", "ben-lindqvist", "payments-api", "sonar-readonly"),
        (75, "public_key.create", CI_BOT, "infra", "atlantis"),
        (80, "public_key.create", "amara-okafor", "ledger", "audit-mirror"),
    ]
    if night > 1:
        days = [
            (-0.3, "hook.config_changed", "ben-lindqvist", None, "ci-old.lanternpay.example"),
            (-0.4, "repo.remove_self_hosted_runner", "elif-kaya", "docs-site", "docs-builder-1"),
            (-0.6, "public_key.create", "chiara-rossi", "payments-api", "hotfix-laptop"),
            (-0.7, "org.create_actions_secret", "amara-okafor", None, "RELEASE_PAT"),
            *days,
        ]
    return tuple(
        AuditEvent(
            id=f"{action}@{ago(at):%Y%m%d%H%M}",
            action=action,
            actor=actor,
            at=ago(at),
            repository=repository,
            name=name,
        )
        for at, action, actor, repository, name in days
    )


def build(night: int = 1) -> Organization:
    """Return the organization as it is on the first or the second night.

    The second night brings a deploy key that can write (hotfix-laptop), an organization secret that every
    repository gets (RELEASE_PAT) and new deployments; it takes away the runner of the public docs-site and the
    insecure organization webhook.
    """
    return Organization(
        id=GITHUB_ORG_ID,
        login=GITHUB_ORG,
        name="Lantern Pay",
        created_at=ago(2700),
        updated_at=ago(10),
        repositories=Repositories.of(repositories(night)),
        users=_users(),
        teams=_teams(),
        invitations=(
            Invitation(
                id=31001,
                login=None,
                email="new.owner@lanternpay.example",
                role="admin",
                inviter="ben-lindqvist",
                created_at=ago(120),
            ),
        ),
        secrets=_secrets(night),
        variables=_variables(),
        hooks=_hooks(night),
        actions=Actions(allowed="all"),
        subject=Subject(claims=("repo", "context")),
        runner_groups=_runner_groups(),
        hosted_runners=(
            HostedRunner(id=91001, name="ubuntu-8-core", group_id=4, last_active_on=ago(1)),
            HostedRunner(id=91002, name="ubuntu-64-core", group_id=4, last_active_on=ago(190)),
        ),
        rulesets=(
            Ruleset(
                id=61001,
                name="baseline",
                enforcement="evaluate",
                created_at=ago(260),
                updated_at=ago(260),
                bypass=(Bypass(actor_id=6001, actor_type="Team"),),
            ),
            Ruleset(
                id=61002,
                name="protect releases",
                target="tag",
                refs=("refs/tags/v*",),
                approvals=None,
                repositories=("web-frontend", "payments-api"),
                created_at=ago(150),
                updated_at=ago(150),
            ),
        ),
        installations=_installations(),
        tokens=_tokens(night),
        authorizations=_authorizations(),
        organization_roles=(
            Role(
                id=8132,
                name="all_repo_admin",
                base="admin",
                permissions=(),
                users=("ben-lindqvist",),
                predefined=True,
                created_at=ago(800),
            ),
            Role(
                id=9001,
                name="ci-settings",
                permissions=("write_organization_actions_secrets", "write_organization_actions_settings"),
                users=("dmitri-volkov",),
                teams=("data",),
                created_at=ago(220),
            ),
        ),
        repository_roles=(
            Role(
                id=9101,
                name="release-manager",
                base="write",
                permissions=("manage_deploy_keys", "manage_webhooks"),
                created_at=ago(220),
            ),
        ),
        audit_log=_audit_log(night),
        two_factor_required=False,
    )
