"""What runs as a service account: services, jobs, functions, machines, clusters, environments and agents.

The data has the shape of each service's REST API: https://docs.cloud.google.com/asset-inventory/docs/asset-types. A workload that
names no account runs as a default account: https://docs.cloud.google.com/iam/docs/service-account-types#default.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from collectors.gcp.kinds import CLUSTER_CONTROLS
from collectors.gcp.names import last, own, part, record_of_cluster
from collectors.gcp.records import runs_as, setting, tags_of, workload
from scanner.collect.scope import utc_time
from scanner.records import Account, Rollout, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collectors.gcp.scope import GcpScope
    from scanner.records import Record

SERVICE = "run.googleapis.com/Service"
JOB = "run.googleapis.com/Job"
FUNCTION = "cloudfunctions.googleapis.com/Function"
FUNCTION_1 = "cloudfunctions.googleapis.com/CloudFunction"
INSTANCE = "compute.googleapis.com/Instance"
CLUSTER = "container.googleapis.com/Cluster"
ENVIRONMENT = "composer.googleapis.com/Environment"
AGENT = "aiplatform.googleapis.com/ReasoningEngine"


def workloads(scope: GcpScope) -> Iterator[Record]:
    """Yield every workload, what it runs as, and the settings that decide who reaches it."""
    simple: tuple[tuple[str, str, Callable[..., Iterable[Record]], tuple[str, ...]], ...] = (
        (SERVICE, "cloud-run-service", _service, ("controls/cloud-run-invoker-check", "rollouts")),
        (JOB, "cloud-run-job", _job, ()),
        (FUNCTION, "cloud-function", _function, ()),
        (FUNCTION_1, "cloud-function-1st-gen", _first_generation, ()),
        (INSTANCE, "compute-instance", _instance, ()),
        (ENVIRONMENT, "composer-environment", _environment, ()),
        (AGENT, "reasoning-engine", _agent, ()),
    )  # fmt: skip
    for asset_type, kind, convert, more in simple:
        yield from scope.assets(
            asset_type,
            partial(_converted, scope, convert),
            table="identities",
            kind=kind,
            fills=("links/runs_as", *more),
            loses=("links/can_become",),
        )
    yield from scope.assets(
        CLUSTER,
        lambda asset, data, account: _cluster(scope, str(asset["name"]), data, account),
        table="accounts",
        kind="gke-cluster",
        fills=("identities/gke-cluster", "links/runs_as", *(f"controls/{kind}" for kind in CLUSTER_CONTROLS)),
        loses=("links/can_become", "trusts/oidc"),
    )


def _converted(
    scope: GcpScope,
    convert: Callable[..., Iterable[Record]],
    asset: dict[str, Any],
    data: dict[str, Any],
    account: str,
) -> Iterable[Record]:
    return convert(scope, str(asset["name"]), data, account)


def default_compute(scope: GcpScope, account: str) -> str | None:
    """Return the email address of a project's Compute Engine default account."""
    number = scope.held.projects.get(account.removeprefix("gcp:project:"))
    return f"{number}-compute@developer.gserviceaccount.com" if number else None


def _as(
    scope: GcpScope, account: str, resource: str, email: object, *, default: str | None = None
) -> Iterator[Record]:
    """Yield that a resource runs as an account, or as the default one if it names none."""
    named = str(email or "")
    if named in {"", "default"}:
        fallback = default or default_compute(scope, account)
        if fallback:
            yield runs_as(account, resource, fallback, "the default service account")
        return
    yield runs_as(account, resource, last(named), "its service account")


def _service(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    """Read a service of the v2 API, or of the Knative API, which the inventory returns for v1.

    https://docs.cloud.google.com/run/docs/reference/rest/v2/projects.locations.services
    """
    meta, spec = data.get("metadata") or {}, data.get("spec") or {}
    template = data.get("template") or spec.get("template") or {}
    inner = template.get("spec") or template
    email = template.get("serviceAccount") or inner.get("serviceAccountName")
    containers = inner.get("containers") or []
    yield workload(
        account, name, "cloud-run-service",
        name=last(name), labels=data.get("labels") or meta.get("labels"), created=utc_time(data.get("createTime") or meta.get("creationTimestamp")),
    )  # fmt: skip
    yield from _as(scope, account, name, email)
    if "template" in data:
        yield setting(
            account, name, "cloud-run-invoker-check", good=not data.get("invokerIamDisabled"),
            words=("Callers need run.routes.invoke", "The check of callers by IAM is off"),
        )  # fmt: skip
    image = str(containers[0].get("image") or "") if containers else ""
    if image:
        digest = image.partition("@")[2] or None
        yield Rollout(
            id=record_id("gcp", "rollout", name.removeprefix("//")), **own(account),
            workload_id=record_id("gcp", "resource", name.removeprefix("//")),
            declared=image, declared_digest=digest, pinned=digest is not None,
        )  # fmt: skip


def _job(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    template = data.get("template") or ((data.get("spec") or {}).get("template") or {}).get("spec") or {}
    inner = template.get("template") or {}
    email = inner.get("serviceAccount") or (inner.get("spec") or {}).get("serviceAccountName")
    yield workload(account, name, "cloud-run-job", name=last(name), labels=data.get("labels"), created=utc_time(data.get("createTime")))  # fmt: skip
    yield from _as(scope, account, name, email)


def _function(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    config = data.get("serviceConfig") or {}
    yield workload(account, name, "cloud-function", name=last(name), labels=data.get("labels"), created=utc_time(data.get("createTime")))  # fmt: skip
    yield from _as(scope, account, name, config.get("serviceAccountEmail") or data.get("serviceAccountEmail"))


def _first_generation(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    project = account.removeprefix("gcp:project:")
    yield workload(account, name, "cloud-function-1st-gen", name=last(name), labels=data.get("labels"))
    yield from _as(
        scope,
        account,
        name,
        data.get("serviceAccountEmail"),
        default=f"{project}@appspot.gserviceaccount.com",
    )


def _instance(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    """Read a machine: it runs as an account only if it names one.

    https://docs.cloud.google.com/compute/docs/access/service-accounts
    """
    yield workload(
        account, name, "compute-instance",
        name=str(data.get("name") or last(name)), labels=data.get("labels"), created=utc_time(data.get("creationTimestamp")),
        enabled=None if data.get("status") is None else data.get("status") not in {"TERMINATED", "SUSPENDED", "STOPPED"},
    )  # fmt: skip
    for one in data.get("serviceAccounts") or []:
        yield from _as(scope, account, name, one.get("email"))


def _environment(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    node = (data.get("config") or {}).get("nodeConfig") or {}
    yield workload(account, name, "composer-environment", name=last(name), labels=data.get("labels"), surface="automation", created=utc_time(data.get("createTime")))  # fmt: skip
    yield from _as(scope, account, name, node.get("serviceAccount"))


def _agent(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    """Read an agent of Agent Engine. One with an identity of its own has no service account.

    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/projects.locations.reasoningEngines
    """
    spec = data.get("spec") or {}
    yield workload(account, name, "reasoning-engine", name=str(data.get("displayName") or last(name)), labels=data.get("labels"), created=utc_time(data.get("createTime")))  # fmt: skip
    if spec.get("identityType") == "AGENT_IDENTITY":
        return
    number = scope.held.projects.get(account.removeprefix("gcp:project:"))
    agent = f"service-{number}@gcp-sa-aiplatform-re.iam.gserviceaccount.com" if number else None
    if spec.get("serviceAccount") or agent:
        yield from _as(scope, account, name, spec.get("serviceAccount"), default=agent)


def _cluster(scope: GcpScope, name: str, data: dict[str, Any], account: str) -> Iterator[Record]:
    """Read a cluster: an account of its own, which signs tokens, and the nodes, which run as an account.

    https://docs.cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters
    """
    project = account.removeprefix("gcp:project:")
    location = str(data.get("location") or part(name, "locations") or part(name, "zones") or "")
    cluster = str(data.get("name") or last(name))
    pool = (data.get("workloadIdentityConfig") or {}).get("workloadPool")
    issuer = f"https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{cluster}"
    yield Account(
        id=record_of_cluster(project, location, cluster),
        **own(account),
        kind="gke-cluster",
        native_id=f"projects/{project}/locations/{location}/clusters/{cluster}",
        name=cluster,
        address=name,
        parent_id=account,
        issuer=issuer if pool else None,
        created_at=utc_time(data.get("createTime")),
        tags=tags_of(data.get("resourceLabels")),
    )
    yield workload(account, name, "gke-cluster", name=cluster, labels=data.get("resourceLabels"))
    pools = data.get("nodePools") or []
    emails = sorted({str((one.get("config") or {}).get("serviceAccount") or "default") for one in pools})
    for email in emails or ["default"]:
        yield from _as(scope, account, name, email)
    yield from _cluster_settings(name, data, account, pools)


def _cluster_settings(
    name: str, data: dict[str, Any], account: str, pools: list[dict[str, Any]]
) -> Iterator[Record]:
    def one(kind: str, *, good: bool, words: tuple[str, str]) -> Record:
        return setting(account, name, kind, good=good, words=words)

    autopilot = bool((data.get("autopilot") or {}).get("enabled"))
    modes = {
        str(((one.get("config") or {}).get("workloadMetadataConfig") or {}).get("mode") or "")
        for one in pools
    }
    issued = (data.get("masterAuth") or {}).get("clientCertificateConfig") or {}
    anonymous = (data.get("anonymousAuthenticationConfig") or {}).get("mode")
    binary = (data.get("binaryAuthorization") or {}).get("evaluationMode") or "DISABLED"
    bindings = data.get("rbacBindingConfig") or {}
    yield one(
        "gke-workload-identity", good=bool((data.get("workloadIdentityConfig") or {}).get("workloadPool")),
        words=("Pods may have identities of their own", "Pods share the account of their node"),
    )  # fmt: skip
    yield one(
        "gke-node-metadata", good=autopilot or (bool(modes) and modes <= {"GKE_METADATA"}),
        words=("Pods cannot read the credentials of their node", "Pods can read the credentials of their node's account"),
    )  # fmt: skip
    yield one(
        "gke-legacy-abac-off", good=not (data.get("legacyAbac") or {}).get("enabled"),
        words=("Only RBAC authorizes", "Legacy authorization gives every service account broad access"),
    )  # fmt: skip
    yield one(
        "gke-client-certificate-off", good=not issued.get("issueClientCertificate"),
        words=("No client certificate is issued", "A client certificate signs in without IAM and cannot be revoked"),
    )  # fmt: skip
    yield one(
        "gke-anonymous-access", good=anonymous == "LIMITED",
        words=("Anonymous requests reach health checks only", "Anonymous requests reach the API"),
    )  # fmt: skip
    yield one(
        "gke-binary-authorization", good=binary not in {"DISABLED", "EVALUATION_MODE_UNSPECIFIED"},
        words=("Binary Authorization checks images", "Images are not checked before they run"),
    )  # fmt: skip
    insecure = bindings.get("enableInsecureBindingSystemAuthenticated") or bindings.get("enableInsecureBindingSystemUnauthenticated")  # fmt: skip
    yield one(
        "gke-insecure-bindings", good=insecure is False,
        words=("Bindings of all users are refused", "Roles may be bound to every authenticated or anonymous user"),
    )  # fmt: skip
