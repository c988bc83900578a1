"""Lantern Pay's repositories on GitHub: their content and protections.

They deploy the workloads of `sandbox.estate` through the roles named there. What is wrong with them on purpose,
and what only looks wrong, is listed under ``github`` in ``sandbox/planted.yaml``.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

from sandbox.aws.keys import digest, key_id
from sandbox.estate import PROD
from sandbox.github.dates import ago
from sandbox.github.organization import (
    Actions,
    Alert,
    Bypass,
    DeployKey,
    Environment,
    GitHubDeployment,
    GitHubRepository,
    GitHubSecret,
    Hook,
    Protection,
    Reviewer,
    Ruleset,
    Runner,
    Store,
    Subject,
    Variable,
)
from sandbox.kit.issued import secret_value

CI_BOT = "lantern-ci-bot"
EXPORT_TOKEN = secret_value("github/export", 36, "ghp_")
"""Written into a workflow of data-jobs."""
DATABASE_URL = (
    f"postgresql://export:{secret_value('github/warehouse', 24)}@warehouse.lanternpay.example:5432/export"
)
"""A variable of data-jobs, readable by anyone who can read variables."""
HOOK_TOKEN = secret_value("github/chat-hook", 32)
"""Part of the address of a webhook."""
ALERTED_TOKEN = secret_value("github/alerted", 36, "ghp_")
"""Found by secret scanning."""


def secret(name: str, updated: float, created: float | None = None, store: Store = "actions") -> GitHubSecret:
    """Return a secret by the days since it was changed and made."""
    return GitHubSecret(name=name, store=store, created_at=ago(created or updated), updated_at=ago(updated))


def variable(name: str, value: str, updated: float = 200) -> Variable:
    """Return a variable by the days since it was changed."""
    return Variable(name=name, value=value, created_at=ago(updated), updated_at=ago(updated))


def commit(seed: str) -> str:
    """Return a commit id that depends on the seed alone."""
    return hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()


def _definitions(repository: str) -> dict[str, str]:
    """Return the workflow files of a repository; the action of shared-actions lies in a folder of its own."""
    found = {}
    for item in (files("sandbox.github") / "workflows").iterdir():
        owner, _, name = item.name.partition(".")
        if owner == repository:
            path = "setup/action.yml" if name == "action.yml" else f".github/workflows/{name}"
            found[path] = item.read_text().replace("__CANARY_export_token__", EXPORT_TOKEN)
    return found


def _deployments(
    repository: str, environment: str, first: int, nights: list[float]
) -> tuple[GitHubDeployment, ...]:
    return tuple(
        GitHubDeployment(
            id=first + index,
            environment=environment,
            sha=commit(f"{repository}/{days}"),
            ref="main",
            creator="github-actions[bot]",
            created_at=ago(days),
            state="success" if index == 0 else "inactive",
        )
        for index, days in enumerate(nights)
    )


def _payments_api(night: int) -> GitHubRepository:
    keys = [
        DeployKey(
            id=80101,
            title="jenkins-legacy",
            read_only=False,
            added_by="farid-haddad",
            created_at=ago(1400),
            last_used=ago(402),
        ),
        DeployKey(
            id=80102,
            title="sonar-readonly",
            added_by="ben-lindqvist",
            created_at=ago(60),
            last_used=ago(1),
        ),
    ]
    if night > 1:
        keys.append(
            DeployKey(
                id=80103,
                title="hotfix-laptop",
                read_only=False,
                added_by="chiara-rossi",
                created_at=ago(-0.6),
            )
        )
    return GitHubRepository(
        id=5001,
        name="payments-api",
        created_at=ago(1500),
        pushed_at=ago(0.5 if night == 1 else -0.5),
        language="Python",
        description="Takes payments.",
        topics=("payments", "pci"),
        properties={"tier": "1"},
        files={
            **_definitions("payments-api"),
            "README.md": "# payments-api\n",
            ".github/CODEOWNERS": "* @lanternpay/payments\n/.github/ @lanternpay/platform\n",
            "payments/__init__.py": "",
            "requirements.txt": "boto3==1.42.0 --hash=sha256:0\n",
        },
        secrets=(
            secret("SENTRY_AUTH_TOKEN", 90),
            secret("OLD_DEPLOY_TOKEN", 640, 900),
            secret("JIRA_MCP_TOKEN", 20, store="agents"),
        ),
        variables=(variable("API_URL", "https://api.lanternpay.example/v1"), variable("LOG_LEVEL", "info")),
        environments=(
            Environment(
                id=30101,
                name="production",
                created_at=ago(1300),
                updated_at=ago(300),
                secrets=(secret("STRIPE_SIGNING_KEY", 120),),
                variables=(variable("TABLE", "payments"),),
            ),
            Environment(id=30102, name="staging", created_at=ago(1300), updated_at=ago(300)),
        ),
        deploy_keys=tuple(keys),
        hooks=(
            Hook(
                id=70101,
                url="https://hooks.deploys.example/payments",
                created_at=ago(900),
                updated_at=ago(900),
                events=("push", "deployment"),
                secret=False,
            ),
        ),
        actions=Actions(
            allowed="selected",
            patterns=("aws-actions/*", "slackapi/*"),
            fork_approval="all_external_contributors",
        ),
        protections=(
            Protection(
                id=50101,
                approvals=1,
                enforce_admins=False,
                status_checks=("test",),
                bypass_users=(CI_BOT,),
            ),
        ),
        deployments=(
            *_deployments("payments-api", "production", 40101, [0.5, 3, 8] if night == 1 else [-0.5, 0.5, 3]),
            GitHubDeployment(
                id=40199,
                environment="production",
                sha=commit("payments-api/by hand"),
                ref="hotfix",
                creator=CI_BOT,
                created_at=ago(30),
                by_app=False,
                state="inactive",
            ),
        ),
        collaborators={CI_BOT: "write"},
    )


def _web_frontend() -> GitHubRepository:
    return GitHubRepository(
        id=5002,
        name="web-frontend",
        created_at=ago(1100),
        pushed_at=ago(1),
        language="TypeScript",
        files={
            **_definitions("web-frontend"),
            "README.md": "# web-frontend\n",
            ".github/CODEOWNERS": "* @lanternpay/web\n",
            "Dockerfile": "FROM node:22-slim\n",
        },
        variables=(variable("ECR_REGISTRY", f"{PROD}.dkr.ecr.eu-west-1.amazonaws.com"),),
        environments=(
            Environment(
                id=30201,
                name="production",
                created_at=ago(700),
                updated_at=ago(90),
                reviewers=(Reviewer(type="Team", name="web"), Reviewer(type="User", name="ben-lindqvist")),
                prevent_self_review=True,
                can_admins_bypass=False,
                branches="protected",
                secrets=(secret("CDN_PURGE_KEY", 45),),
            ),
        ),
        deploy_keys=(
            DeployKey(id=80201, title="backup-mirror", added_by="amara-okafor", created_at=ago(610)),
        ),
        hooks=(
            Hook(
                id=70201,
                url="https://old-ci.lanternpay.example/hook",
                created_at=ago(1000),
                updated_at=ago(500),
                insecure_ssl=True,
                secret=False,
                active=False,
                last_code=None,
            ),
        ),
        actions=Actions(
            allowed="selected",
            patterns=("aws-actions/*",),
            sha_pinning=True,
            fork_approval="all_external_contributors",
        ),
        protections=(
            Protection(id=50201, approvals=2, code_owners=True, status_checks=("test",), signatures=True),
        ),
        deployments=_deployments("web-frontend", "production", 40201, [1, 5]),
        attested=(digest("web-frontend"),),
    )


def _ledger() -> GitHubRepository:
    return GitHubRepository(
        id=5003,
        name="ledger",
        created_at=ago(1600),
        pushed_at=ago(2),
        language="Go",
        files={**_definitions("ledger"), "README.md": "# ledger\n", "main.go": "package main\n"},
        secrets=(secret("AWS_SECRET_ACCESS_KEY", 460),),
        variables=(variable("AWS_ACCESS_KEY_ID", key_id(PROD, "ci-ledger"), 460),),
        environments=(
            Environment(
                id=30301,
                name="production",
                created_at=ago(1500),
                updated_at=ago(400),
                wait_minutes=10,
                secrets=(secret("LEDGER_DB_PASSWORD", 300),),
            ),
        ),
        deploy_keys=(
            DeployKey(
                id=80301,
                title="audit-mirror",
                added_by="amara-okafor",
                created_at=ago(80),
                last_used=ago(0.3),
            ),
        ),
        hooks=(
            Hook(
                id=70301,
                url="https://audit.lanternpay.example/github",
                created_at=ago(400),
                updated_at=ago(400),
                events=("push", "pull_request"),
            ),
        ),
        actions=Actions(allowed="all"),
        rulesets=(Ruleset(id=60301, name="main", created_at=ago(300), updated_at=ago(300), approvals=2),),
        deployments=_deployments("ledger", "production", 40301, [2, 9]),
        collaborators={"auditor-kim": "read"},
    )


def _data_jobs() -> GitHubRepository:
    return GitHubRepository(
        id=5004,
        name="data-jobs",
        created_at=ago(900),
        pushed_at=ago(4),
        language="Python",
        files={**_definitions("data-jobs"), "README.md": "# data-jobs\n", "export.sh": "#!/bin/sh\n"},
        secrets=(secret("WAREHOUSE_PASSWORD", 210, 800),),
        variables=(variable("DATABASE_URL", DATABASE_URL), variable("BATCH_SIZE", "500")),
        hooks=(
            Hook(
                id=70401,
                url="http://10.20.0.15:8080/github-webhook/",
                created_at=ago(850),
                updated_at=ago(850),
            ),
            Hook(
                id=70402,
                url=f"https://chat.lanternpay.example/hooks?token={HOOK_TOKEN}",
                created_at=ago(100),
                updated_at=ago(100),
            ),
        ),
        actions=Actions(allowed="all", token="write", approves_pull_requests=True),
        collaborators={"contractor-jo": "admin"},
        push_protection=False,
        alerts=(
            Alert(
                number=1,
                secret_type="github_personal_access_token",
                display_name="GitHub Personal Access Token",
                secret=ALERTED_TOKEN,
                created_at=ago(40),
                validity="active",
                path="notebooks/export.ipynb",
                push_protection_bypassed=True,
            ),
        ),
    )


def _infra(night: int) -> GitHubRepository:
    return GitHubRepository(
        id=5005,
        name="infra",
        created_at=ago(1450),
        pushed_at=ago(6),
        language="HCL",
        files={
            **_definitions("infra"),
            "README.md": "# infra\n",
            "CODEOWNERS": "* @lanternpay/platform\n",
            "terraform/main.tf": "terraform {}\n",
        },
        secrets=(secret("TF_API_TOKEN", 30),),
        environments=(
            Environment(
                id=30501,
                name="infra-production",
                created_at=ago(1000),
                updated_at=ago(20),
                reviewers=(Reviewer(type="Team", name="platform"),),
                prevent_self_review=True,
                can_admins_bypass=False,
                branches="custom",
                patterns=("main",),
                gate_app="deploy-gate",
            ),
        ),
        deploy_keys=(
            DeployKey(
                id=80501,
                title="atlantis",
                read_only=False,
                added_by=CI_BOT,
                created_at=ago(75),
                last_used=ago(0.1 if night == 1 else -0.9),
            ),
        ),
        actions=Actions(
            allowed="selected", patterns=("aws-actions/*", "hashicorp/setup-terraform@*"), sha_pinning=True
        ),
        runners=(
            Runner(
                id=90501,
                name="infra-runner-1",
                ephemeral=True,
                labels=("self-hosted", "linux", "x64", "infra"),
            ),
        ),
        protections=(Protection(id=50501, approvals=2, code_owners=True, push_users=("amara-okafor",)),),
        alerts=(
            Alert(
                number=1,
                secret_type="rsa_private_key",
                display_name="RSA private key",
                secret=secret_value("github/rsa", 64),
                created_at=ago(90),
                path="legacy/vpn.pem",
            ),
        ),
        rulesets=(
            Ruleset(
                id=60501,
                name="release tags",
                target="tag",
                refs=("refs/tags/v*",),
                approvals=None,
                created_at=ago(200),
                updated_at=ago(200),
                bypass=(Bypass(actor_id=1, actor_type="OrganizationAdmin"),),
            ),
        ),
        deployments=_deployments("infra", "infra-production", 40501, [6, 20]),
    )


def _mobile_app() -> GitHubRepository:
    return GitHubRepository(
        id=5006,
        name="mobile-app",
        created_at=ago(2000),
        pushed_at=ago(700),
        archived=True,
        language="Swift",
        files={**_definitions("mobile-app"), "README.md": "# mobile-app\n"},
        secrets=(secret("APPLE_CERT_PASSWORD", 950),),
        deploy_keys=(
            DeployKey(
                id=80601,
                title="fastlane-match",
                read_only=False,
                added_by="farid-haddad",
                created_at=ago(1300),
                last_used=ago(720),
            ),
        ),
        actions=Actions(allowed="all"),
    )


def _docs_site(night: int) -> GitHubRepository:
    definitions = _definitions("docs-site")
    if night > 1:
        path = ".github/workflows/pages.yml"
        definitions[path] = definitions[path].replace("[self-hosted, linux, docs]", "ubuntu-24.04")
    return GitHubRepository(
        id=5007,
        name="docs-site",
        created_at=ago(800),
        pushed_at=ago(10 if night == 1 else -0.4),
        visibility="public",
        files={
            **definitions,
            "README.md": "# docs-site\n",
            "Makefile": "html:\n\tsphinx-build . _build/html\n",
        },
        secrets=(secret("ALGOLIA_KEY", 70),),
        environments=(
            Environment(
                id=30701,
                name="github-pages",
                created_at=ago(790),
                updated_at=ago(790),
                branches="custom",
                patterns=("main",),
            ),
        ),
        deploy_keys=(
            DeployKey(
                id=80701,
                title="netlify",
                read_only=False,
                enabled=False,
                added_by="elif-kaya",
                created_at=ago(780),
                last_used=ago(500),
            ),
        ),
        actions=Actions(
            allowed="all",
            fork_approval="first_time_contributors_new_to_github",
            approves_pull_requests=True,
        ),
        runners=(
            ()
            if night > 1
            else (
                Runner(
                    id=90701,
                    name="docs-builder-1",
                    labels=("self-hosted", "linux", "x64", "docs"),
                ),
            )
        ),
        protections=(Protection(id=50701),),
        deployments=_deployments("docs-site", "github-pages", 40701, [10]),
        alerts=(
            Alert(
                number=1,
                secret_type="google_api_key",
                display_name="Google API Key",
                secret=secret_value("github/revoked", 35, "AIza"),
                created_at=ago(300),
                state="resolved",
                validity="inactive",
                path="conf.py",
            ),
        ),
    )


def _pr_preview() -> GitHubRepository:
    return GitHubRepository(
        id=5008,
        name="pr-preview",
        created_at=ago(500),
        pushed_at=ago(12),
        visibility="public",
        language="TypeScript",
        files={**_definitions("pr-preview"), "README.md": "# pr-preview\n", "package.json": "{}\n"},
        environments=(Environment(id=30801, name="preview", created_at=ago(480), updated_at=ago(480)),),
        actions=Actions(allowed="all", fork_approval="first_time_contributors"),
        protections=(Protection(id=50801, dismiss_stale=False),),
    )


def _wrong_role() -> GitHubRepository:
    return GitHubRepository(
        id=5009,
        name="wrong-role",
        secret_scanning=False,
        push_protection=False,
        created_at=ago(650),
        pushed_at=ago(15),
        files={**_definitions("wrong-role"), "README.md": "# wrong-role\n"},
        actions=Actions(allowed="all"),
        rulesets=(
            Ruleset(
                id=60901,
                name="main",
                enforcement="disabled",
                created_at=ago(300),
                updated_at=ago(120),
            ),
        ),
    )


def _shared_actions() -> GitHubRepository:
    return GitHubRepository(
        id=5010,
        name="shared-actions",
        created_at=ago(720),
        pushed_at=ago(25),
        visibility="internal",
        files={**_definitions("shared-actions"), "README.md": "# shared-actions\n"},
        actions=Actions(allowed="selected", access="organization"),
        subject=Subject(use_default=False, claims=("repo", "context", "job_workflow_ref")),
        protections=(Protection(id=51001, approvals=0, status_checks=("test",)),),
    )


def _small(
    number: int,
    name: str,
    *,
    gated: bool = False,
    immutable: bool = False,
    actions: str = "aws-actions/*",
    secrets: tuple[GitHubSecret, ...] = (),
) -> GitHubRepository:
    """Return one of the small services, without problems: a protected branch and scoped settings."""
    gate = Environment(
        id=number * 10,
        name="production",
        created_at=ago(60),
        updated_at=ago(30),
        reviewers=(Reviewer(type="Team", name="platform"),),
        prevent_self_review=True,
        can_admins_bypass=False,
        branches="protected",
    )
    return GitHubRepository(
        id=number,
        name=name,
        created_at=ago(70),
        pushed_at=ago(7),
        files={
            **_definitions(name),
            "README.md": f"# {name}\n",
            ".github/CODEOWNERS": "* @lanternpay/platform\n",
        },
        secrets=secrets,
        environments=(gate,) if gated else (),
        actions=Actions(patterns=(actions,)),
        subject=Subject(immutable=immutable),
        protections=(Protection(id=number * 10, code_owners=True),),
    )


def repositories(night: int) -> tuple[GitHubRepository, ...]:
    """Return the repositories as they are on a night, in order of id."""
    return (
        _payments_api(night),
        _web_frontend(),
        _ledger(),
        _data_jobs(),
        _infra(night),
        _mobile_app(),
        _docs_site(night),
        _pr_preview(),
        _wrong_role(),
        _shared_actions(),
        _small(5011, "status-page"),
        # Created after GitHub changed the default: its tokens carry repo:lanternpay@7001001/checkout@5012.
        _small(5012, "checkout", gated=True, immutable=True),
        _small(5013, "search"),
        _small(5014, "notifications", gated=True),
        _small(5015, "feature-flags"),
        _small(5016, "legacy-portal"),
        _small(5017, "partner-portal"),
        _small(5018, "basket", gated=True, actions="google-github-actions/*"),
        _small(5019, "rates", gated=True, actions="google-github-actions/*"),
        _small(
            5020,
            "exports",
            gated=True,
            actions="google-github-actions/*",
            secrets=(secret("GCP_SA_KEY", 460),),
        ),
    )
