"""Lantern Pay's GitLab, as of a night: the group, its three projects, and everything that hangs on them."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from sandbox.aws.keys import key_id, key_secret
from sandbox.estate import DEV, GITLAB_GROUP, GITLAB_GROUP_ID, PROD, PROJECTS
from sandbox.gitlab import entities as give
from sandbox.gitlab import views
from sandbox.gitlab.instance import DEVELOPER, MAINTAINER, OWNER, REPORTER, Instance
from sandbox.kit.issued import secret_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from sandbox.kit.http import Json

RISK, FRAUD, HANDBOOK, TEMPLATES = (project.id for project in PROJECTS)
RESEARCH = 8002


def build(night: int = 1) -> Instance:
    """Return the instance as of the first or the second night."""
    out = Instance()
    _people(out)
    _groups(out, night)
    for one in PROJECTS:
        visibility = "internal" if one.id == HANDBOOK else "private"
        runners_token = secret_value(f"gitlab/runners/{one.name}", 20, "GR1348941")
        out.projects[one.id] = give.project(
            one.id,
            one.name,
            out.groups[GITLAB_GROUP_ID],
            visibility=visibility,
            runners_token=runners_token,
        )
        _definitions(out, one.id, one.name)
    _risk_engine(out)
    _fraud_model(out, night)
    _handbook(out)
    _templates(out)
    _runners(out, night)
    _instance(out)
    return out


def _definitions(out: Instance, number: int, name: str) -> None:
    """Add a project's pipeline definition, and the files beside it that pipelines include."""
    folder = files("sandbox.gitlab") / "pipelines"
    out.files[f"{number}/.gitlab-ci.yml"] = (folder / f"{name}.yml").read_text(encoding="utf-8")
    values = {
        "{key_id}": key_id(DEV, "ci-fraud"),
        "{key_secret}": key_secret(DEV, "ci-fraud"),
        "{release_token}": secret_value("gitlab/release", 20, "glpat-"),
    }
    for path, text in _texts(folder / name):
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)  # noqa: PLW2901
        out.files[f"{number}/{path}"] = text


def _texts(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    if folder.is_dir():
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.is_dir():
                yield from _texts(entry, f"{above}{entry.name}/")
            else:
                yield f"{above}{entry.name}", entry.read_text(encoding="utf-8")


def _people(out: Instance) -> None:
    gone = {"state": "blocked", "last_activity_on": give.day(-310), "last_sign_in_at": give.ago(310)}
    bot = {"bot": True, "two_factor_enabled": False, "last_sign_in_at": None}
    for one in (
        give.user(1, "root", "Administrator", is_admin=True),
        give.user(101, "maya.ops", "Maya Ops"),
        give.user(102, "finn.data", "Finn Data"),
        give.user(103, "lena.left", "Lena Left", **gone),
        give.user(104, "scan.reader", "Scan Reader"),
        give.user(105, "temp.admin", "Temp Admin", is_admin=True, two_factor_enabled=False),
        give.user(201, "service_account_group_8001_deploy", "Deploy service", **bot),
        give.user(301, "project_9002_bot_1f0c", "nightly-retrain", **bot),
        give.user(302, "project_9001_bot_77aa", "release-notes", **bot),
        give.user(303, "group_8001_bot_5be2", "terraform-group", **bot),
        give.user(304, "group_8001_bot_90d3", "renovate", **bot),
    ):
        out.users[one["id"]] = one
    for number in (201, 301, 302, 303, 304):
        out.users[number]["created_by"] = give.person(out.users[101])


def _groups(out: Instance, night: int) -> None:
    lantern = give.group(
        GITLAB_GROUP_ID,
        GITLAB_GROUP,
        "Lantern Pay",
        prevent_sharing_groups_outside_hierarchy=True,
        runners_token=secret_value("gitlab/runners/lantern", 20, "GR1348941"),
    )
    research = give.group(RESEARCH, "research", "Research", parent=lantern)
    out.groups = {GITLAB_GROUP_ID: lantern, RESEARCH: research}
    people = out.users
    base = f"/groups/{GITLAB_GROUP_ID}"
    out.lists[f"{base}/members"] = [
        give.member(people[101], OWNER),
        give.member(people[102], DEVELOPER),
        give.member(people[104], DEVELOPER),
        give.member(people[201], MAINTAINER),
        give.member(people[303], OWNER),
        give.member(people[304], DEVELOPER),
    ]
    out.lists[f"{base}/variables"] = [
        give.variable("NPM_REGISTRY", "https://npm.lanternpay.example/"),
        give.variable(
            "SLACK_BOT_TOKEN", secret_value("gitlab/slack", 40, "xoxb-"), masked=True, protected=True
        ),
        give.variable("REGISTRY_PASSWORD", secret_value("gitlab/registry", 24), masked=True),
        give.variable("SENTRY_AUTH_TOKEN", None, protected=True),
    ]
    if night > 1:
        out.lists[f"{base}/variables"].append(
            give.variable("ARTIFACTORY_TOKEN", secret_value("gitlab/artifactory", 64, "AKCp"))
        )
    out.lists[f"/groups/{RESEARCH}/variables"] = [
        give.variable("DATASET_PASSWORD", secret_value("gitlab/dataset", 24), masked=True, protected=True)
    ]
    out.lists[f"{base}/deploy_tokens"] = [
        give.deploy_token(501, "registry-pull", "read_registry", "read_package_registry"),
        give.deploy_token(502, "partner-mirror", "read_repository", ends=40),
    ]
    out.lists[f"{base}/access_tokens"] = [
        give.bound_token(
            give.access_token(601, "terraform-group", 303, "api", created=260, used=200, ends=105),
            OWNER,
            "group",
            GITLAB_GROUP_ID,
        ),
        give.bound_token(
            give.access_token(602, "renovate", 304, "api", created=30, used=1, ends=60),
            DEVELOPER,
            "group",
            GITLAB_GROUP_ID,
        ),
    ]
    out.lists[f"{base}/service_accounts"] = [
        give.service_account(201, "service_account_group_8001_deploy", "Deploy service")
    ]
    out.lists[f"{base}/service_accounts/201/personal_access_tokens"] = [
        give.access_token(701, "deploy", 201, "api", created=500, used=1, ends=None)
    ]
    out.lists[f"{base}/hooks"] = [
        give.hook(801, "https://hooks.lanternpay.example/gitlab", ("group", GITLAB_GROUP_ID))
    ]
    out.lists[f"{base}/protected_environments"] = []
    out.lists[f"{base}/ssh_certificates"] = []


def _risk_engine(out: Instance) -> None:
    base = f"/projects/{RISK}"
    home, maya = out.projects[RISK], out.users[101]
    out.lists[f"{base}/members"] = [give.member(out.users[302], REPORTER)]
    out.lists[f"{base}/variables"] = [
        give.variable("DEPLOY_ROLE_ARN", f"arn:aws:iam::{PROD}:role/deploy-risk", protected=True),
        give.variable(
            "RISK_DB_PASSWORD",
            secret_value("gitlab/risk-db", 24),
            masked=True,
            protected=True,
            environment_scope="production",
        ),
    ]
    out.lists[f"{base}/deploy_tokens"] = [give.deploy_token(511, "risk-pull", "read_registry", ends=60)]
    out.lists[f"{base}/deploy_keys"] = [
        give.deploy_key(521, "risk-mirror", can_push=False, created=40, used=1)
    ]
    out.lists[f"{base}/access_tokens"] = [
        give.bound_token(
            give.access_token(611, "release-notes", 302, "read_api", created=60, used=2, ends=120),
            REPORTER,
            "project",
            RISK,
        )
    ]
    out.triggers[RISK] = [
        give.trigger(
            531,
            "nightly-stress",
            maya,
            secret_value("gitlab/trigger/531", 32, "glptt-"),
            created=70,
            used=1,
            ends=90,
        )
    ]
    out.objects[f"{base}/job_token_scope"] = {"inbound_enabled": True, "outbound_enabled": False}
    out.lists[f"{base}/job_token_scope/allowlist"] = [views.basic_project(home)]
    out.lists[f"{base}/job_token_scope/groups_allowlist"] = []
    out.lists[f"{base}/protected_branches"] = [
        give.protected_branch(901, "main", push=0, code_owner_approval_required=True)
    ]
    production = give.environment(541, "production", tier="production")
    out.lists[f"{base}/environments"] = [production]
    out.lists[f"{base}/protected_environments"] = [
        give.protected_environment(
            "production", [give.access(MAINTAINER)], [give.approval(1, 1, user_id=101)]
        )
    ]
    sha = hashlib.sha1(b"risk-engine", usedforsecurity=False).hexdigest()
    out.lists[f"{base}/deployments"] = [give.deployment(551, sha, production, maya, created=3)]
    out.lists[f"{base}/pipeline_schedules"] = [give.schedule(561, "nightly stress test", maya)]
    out.objects[f"{base}/pipeline_schedules/561"] = {
        **give.schedule(561, "nightly stress test", maya),
        "last_pipeline": None,
        "variables": [{"key": "STRESS_LEVEL", "variable_type": "env_var", "value": "high", "raw": False}],
    }
    out.owners[f"{base}/pipeline_schedules/561"] = 101
    agent = give.agent(571, "core-cluster", home, created=300)
    out.lists[f"{base}/cluster_agents"] = [agent]
    _agent_token(out, base, give.agent_token(581, "core", 571, created=60, used=1))
    out.lists[f"{base}/hooks"] = [give.hook(811, "https://risk.lanternpay.example/hook", ("project", RISK))]
    out.lists[f"{base}/integrations"] = [
        give.integration(821, "slack", "Slack notifications", inherited=True)
    ]
    out.lists[f"{base}/approval_rules"] = [give.approval_rule(1, "All Members", 2, rule_type="any_approver")]


def _agent_token(out: Instance, base: str, token: Json) -> None:
    path = f"{base}/cluster_agents/{token['agent_id']}/tokens"
    out.lists.setdefault(path, []).append({k: v for k, v in token.items() if k != "last_used_at"})
    out.objects[f"{path}/{token['id']}"] = token


def _fraud_model(out: Instance, night: int) -> None:
    base = f"/projects/{FRAUD}"
    home, finn, lena = out.projects[FRAUD], out.users[102], out.users[103]
    out.lists[f"{base}/members"] = [
        give.member(finn, MAINTAINER),
        give.member(lena, MAINTAINER),
        give.member(out.users[301], MAINTAINER),
    ]
    out.lists[f"{base}/variables"] = [
        give.variable("AWS_ACCESS_KEY_ID", key_id(DEV, "ci-fraud")),
        give.variable("AWS_SECRET_ACCESS_KEY", key_secret(DEV, "ci-fraud")),
        give.variable("MODEL_REGISTRY_URL", "https://models.lanternpay.example/"),
        give.variable(
            "MODEL_REGISTRY_TOKEN",
            secret_value("gitlab/models", 40),
            masked=True,
            environment_scope="production",
        ),
    ]
    out.lists[f"{base}/deploy_tokens"] = [
        give.deploy_token(512, "notebook-push", "read_repository", "write_registry")
    ]
    out.lists[f"{base}/deploy_keys"] = [give.deploy_key(522, "gpu-box", can_push=True, created=720, used=3)]
    out.lists[f"{base}/access_tokens"] = [
        give.bound_token(
            give.access_token(612, "nightly-retrain", 301, "api", created=150, used=None, ends=200),
            MAINTAINER,
            "project",
            FRAUD,
        )
    ]
    out.triggers[FRAUD] = [
        give.trigger(
            532,
            "jenkins",
            finn,
            secret_value("gitlab/trigger/532", 32, "glptt-"),
            created=800,
            used=400,
            ends=None,
        )
    ]
    out.objects[f"{base}/job_token_scope"] = {"inbound_enabled": False, "outbound_enabled": False}
    out.lists[f"{base}/job_token_scope/allowlist"] = [views.basic_project(home)]
    out.lists[f"{base}/job_token_scope/groups_allowlist"] = []
    out.lists[f"{base}/protected_branches"] = []
    development = give.environment(542, "development", tier="development")
    production = give.environment(543, "production", tier="production")
    out.lists[f"{base}/environments"] = [development, production]
    out.lists[f"{base}/protected_environments"] = []
    sha = hashlib.sha1(b"fraud-model", usedforsecurity=False).hexdigest()
    out.lists[f"{base}/deployments"] = [give.deployment(552, sha, development, finn, created=6)]
    out.lists[f"{base}/pipeline_schedules"] = [give.schedule(562, "weekly retrain", lena)]
    token = secret_value("gitlab/schedule/export", 30)
    out.objects[f"{base}/pipeline_schedules/562"] = {
        **give.schedule(562, "weekly retrain", lena),
        "last_pipeline": None,
        "variables": [{"key": "EXPORT_TOKEN", "variable_type": "env_var", "value": token, "raw": False}],
    }
    out.owners[f"{base}/pipeline_schedules/562"] = 103
    out.lists[f"{base}/cluster_agents"] = [give.agent(572, "dev-cluster", home, created=500)]
    _agent_token(out, base, give.agent_token(582, "dev", 572, created=500, used=210))
    out.lists[f"{base}/hooks"] = [
        give.hook(812, "https://10.20.0.31/train", ("project", FRAUD), verify=night > 1, token=False)
    ]
    out.lists[f"{base}/integrations"] = [give.integration(822, "jenkins", "Jenkins")]
    out.lists[f"{base}/approval_rules"] = []


def _handbook(out: Instance) -> None:
    base = f"/projects/{HANDBOOK}"
    out.lists[f"{base}/members"] = []
    out.objects[f"{base}/job_token_scope"] = {"inbound_enabled": True, "outbound_enabled": False}
    out.lists[f"{base}/job_token_scope/allowlist"] = [views.basic_project(out.projects[HANDBOOK])]
    out.lists[f"{base}/protected_branches"] = [give.protected_branch(903, "main", push=MAINTAINER)]
    out.lists[f"{base}/environments"] = [give.environment(544, "pages", tier="other")]


def _templates(out: Instance) -> None:
    base = f"/projects/{TEMPLATES}"
    out.objects[f"{base}/job_token_scope"] = {"inbound_enabled": True, "outbound_enabled": False}
    out.lists[f"{base}/job_token_scope/allowlist"] = [views.basic_project(out.projects[TEMPLATES])]
    out.lists[f"{base}/protected_branches"] = [give.protected_branch(904, "main", push=0)]
    out.lists[f"{base}/approval_rules"] = [give.approval_rule(2, "All Members", 1, rule_type="any_approver")]
    out.remotes["https://ci.pipeline-kit.example/v2/notify.yml"] = (
        ".notify:\n  after_script:\n    - curl -fsS https://ci.pipeline-kit.example/done\n"
    )


def _runners(out: Instance, night: int) -> None:
    out.runners = [
        give.runner(401, "lantern-shared", "GROUP_TYPE", runUntagged=True),
        give.runner(
            402,
            "lantern-deploy",
            "GROUP_TYPE",
            tagList=["deploy"],
            accessLevel="REF_PROTECTED",
            createdBy=out.users[101],
        ),
        give.runner(403, "risk-bench", "PROJECT_TYPE", tagList=["bench"], locked=True, projects=[RISK]),
        give.runner(
            404,
            "spare",
            "GROUP_TYPE",
            runUntagged=True,
            paused=True,
            status="STALE",
            contactedAt=give.ago(90),
        ),
    ]
    if night == 1:
        out.runners.append(
            give.runner(405, "old-builder", "GROUP_TYPE", runUntagged=True, createdAt=give.ago(900))
        )


def _instance(out: Instance) -> None:
    """Fill what only an administrator sees."""
    out.lists["/personal_access_tokens"] = [
        give.access_token(711, "laptop", 101, "read_api", created=20, used=1, ends=70),
        give.access_token(712, "old-migration", 105, "api", "sudo", created=700, used=350, ends=None),
    ]
    out.lists["/admin/ci/variables"] = [
        views.instance_variable(give.variable("HTTP_PROXY", "http://proxy.lanternpay.example:3128"))
    ]
    out.lists["/users/102/impersonation_tokens"] = [
        {
            **give.access_token(721, "support", 102, "api", created=90, used=60, ends=20),
            "impersonation": True,
        }
    ]
    out.lists["/hooks"] = [give.system_hook(831, "https://audit.lanternpay.example/gitlab", signed=True)]
    out.lists["/applications"] = [give.application(841, "intranet", "openid", "read_user")]
    out.lists["/deploy_tokens"] = views.deploy_tokens(out)
