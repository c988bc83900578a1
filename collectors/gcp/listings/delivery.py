"""What builds and deploys: Cloud Build triggers, Cloud Deploy, Workflows, and what guards images.

https://docs.cloud.google.com/build/docs/api/reference/rest/v1/projects.triggers,
https://docs.cloud.google.com/deploy/docs/api/reference/rest/v1/projects.locations.targets
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import WORKFLOWS
from collectors.gcp.names import last, own, project_id
from collectors.gcp.per_project import each_project
from collectors.gcp.records import runs_as, setting, workload
from scanner.collect.scope import utc_time
from scanner.records import Control, Enforcement, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gcp.scope import GcpScope
    from scanner.records import Record

TRIGGER = "cloudbuild.googleapis.com/BuildTrigger"
REPOSITORY = "artifactregistry.googleapis.com/Repository"
TARGET = "clouddeploy.googleapis.com/Target"
PIPELINE = "clouddeploy.googleapis.com/DeliveryPipeline"
IMAGES = "binaryauthorization.googleapis.com/Policy"


def delivery(scope: GcpScope) -> Iterator[Record]:
    """Yield triggers, deploy targets and pipelines, and the settings of repositories and images."""
    yield from scope.assets(
        TRIGGER, lambda asset, data, account: _trigger(scope, str(asset["name"]), data, account),
        table="identities", kind="cloud-build-trigger", fills=("links/runs_as", "controls/cloud-build-approval"),
    )  # fmt: skip
    yield from scope.assets(
        TARGET, lambda asset, data, account: _target(scope, str(asset["name"]), data, account),
        table="identities", kind="cloud-deploy-target", fills=("links/runs_as", "controls/cloud-deploy-approval"),
    )  # fmt: skip
    yield from scope.assets(
        PIPELINE, lambda asset, data, account: [_pipeline(str(asset["name"]), data, account)],
        table="identities", kind="cloud-deploy-pipeline",
    )  # fmt: skip
    yield from scope.assets(
        REPOSITORY, lambda asset, data, account: _repository(str(asset["name"]), data, account),
        table="controls", kind="tag-immutability",
    )  # fmt: skip
    yield from scope.assets(
        IMAGES, lambda asset, data, account: [_images(str(asset["name"]), data, account)],
        table="controls", kind="binary-authorization",
    )  # fmt: skip


def _trigger(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    """Yield a trigger. One that names no account builds as the project's default build account, which no list shows."""
    source = data.get("github") or {}
    connected = data.get("repositoryEventConfig") or data.get("developerConnectEventConfig") or {}
    repository = (
        f"github.com/{source['owner']}/{source['name']}"
        if source.get("owner") and source.get("name")
        else str(connected.get("repository") or connected.get("gitRepositoryLink") or "")
    )
    tags = {
        key: str(value)
        for key, value in (("repository", repository), ("file", data.get("filename")))
        if value
    }
    yield workload(
        account, name, "cloud-build-trigger",
        name=str(data.get("name") or last(name)), surface="automation", created=utc_time(data.get("createTime")),
        enabled=not data.get("disabled"), labels=tags, is_pipeline=True,
        triggers=[key for key in ("push", "pullRequest") if source.get(key) or connected.get(key)],
    )  # fmt: skip
    email = last(str(data.get("serviceAccount") or ""))
    if email:
        yield runs_as(account, name, email, "the trigger's service account")
    required = bool((data.get("approvalConfig") or {}).get("approvalRequired"))
    yield setting(
        account, name, "cloud-build-approval", good=required, stage="build", approvals=1 if required else 0,
        words=("A build waits for an approval", "A build starts without an approval"),
    )  # fmt: skip


def _target(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    yield workload(
        account, name, "cloud-deploy-target", name=last(name), labels=data.get("labels"), surface="automation",
        created=utc_time(data.get("createTime")),
    )  # fmt: skip
    emails = {str(one.get("serviceAccount") or "") for one in data.get("executionConfigs") or []} - {""}
    for email in sorted(emails):
        yield runs_as(account, name, last(email), "renders or deploys as this account")
    if not emails and (number := scope.held.projects.get(account.removeprefix("gcp:project:"))):
        yield runs_as(
            account,
            name,
            f"{number}-compute@developer.gserviceaccount.com",
            "the default service account",
        )
    required = bool(data.get("requireApproval"))
    yield setting(
        account, name, "cloud-deploy-approval", good=required, stage="deploy", approvals=1 if required else 0,
        words=("A rollout waits for an approval", "A rollout starts without an approval"),
    )  # fmt: skip


def _pipeline(name: str, data: dict[str, Any], account: str) -> Record:
    return workload(
        account, name, "cloud-deploy-pipeline", name=last(name), labels=data.get("labels"), surface="automation",
        created=utc_time(data.get("createTime")), enabled=not data.get("suspended"), is_pipeline=True,
    )  # fmt: skip


def _repository(name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    if data.get("format") == "DOCKER":
        yield setting(
            account, name, "tag-immutability", stage="artifact",
            good=bool((data.get("dockerConfig") or {}).get("immutableTags")),
            words=("A tag keeps its image", "A tag can be moved to another image"),
        )  # fmt: skip


def _images(name: str, data: dict[str, Any], account: str) -> Control:
    """Return a project's Binary Authorization policy.

    https://docs.cloud.google.com/binary-authorization/docs/reference/rest/v1/Policy#AdmissionRule
    """
    rule = data.get("defaultAdmissionRule") or {}
    checks = str(rule.get("evaluationMode") or "ALWAYS_ALLOW") != "ALWAYS_ALLOW"
    dry = rule.get("enforcementMode") == "DRYRUN_AUDIT_LOG_ONLY"
    enforcement: Enforcement = "absent" if not checks else "audited" if dry else "enforced"
    words = {
        "absent": "Every image may run",
        "audited": "Images without attestation run, and are logged",
        "enforced": "Images need an attestation",
    }
    return Control(
        id=record_id("gcp", "binary-authorization", account),
        **own(account),
        stage="deploy",
        kind="binary-authorization",
        name=last(name),
        enforcement=enforcement,
        target=account,
        detail=words[enforcement],
    )


def workflows(scope: GcpScope) -> Iterator[Record]:
    """Yield the workflows of each project, and what they run as."""

    def read(project: str, item: dict[str, Any]) -> Iterator[Record]:
        account, name = project_id(project), f"//workflows.googleapis.com/{item['name']}"
        yield workload(
            account, name, "gcp-workflow", name=last(name), labels=item.get("labels"), surface="automation",
            created=utc_time(item.get("createTime")),
        )  # fmt: skip
        email = last(str(item.get("serviceAccount") or ""))
        if not email:
            email = f"{scope.held.projects[project]}-compute@developer.gserviceaccount.com"
        yield runs_as(account, name, email, "its service account")

    yield from each_project(
        scope, WORKFLOWS, read, table="identities", kind="gcp-workflow", needs="workflows.workflows.list",
        at="workflows", parameters={"pageSize": 500}, fills=("links/runs_as",),
    )  # fmt: skip
