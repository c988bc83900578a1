"""Principals of policies, in all the forms that allow and deny policies know.

https://docs.cloud.google.com/iam/docs/principal-identifiers
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from collectors.gcp.names import CONTAINERS, last, normal_member, part

MemberKind: TypeAlias = Literal[
    "user", "group", "domain", "service-account", "public", "federated", "workforce", "account-set", "agent",
    "cluster-workload", "basic-role", "deleted", "other",
]  # fmt: skip
_SETS = f"principalSet:{CONTAINERS}"
_POOL = "workloadIdentityPools/"


class PolicyMember(msgspec.Struct, frozen=True, kw_only=True):
    """One principal, read."""

    text: str
    """Its normal form; see `normal_member`."""
    kind: MemberKind
    email: str = ""
    """Of a user, group or service account."""
    project: str = ""
    """Number or ID of the project of a pool, or of a set of accounts."""
    pool: str = ""
    """The ID of a workload identity pool, or of a workforce pool."""
    selector: str = ""
    """``subject``, ``group``, ``attribute.NAME`` or ``*``; of a cluster's workloads ``workload``, ``namespace``, ``cluster``."""
    value: str = ""
    container: str = ""
    """``projects/1``, ``folders/1`` or ``organizations/1``: whose service accounts a set has."""


def member_of(text: str) -> PolicyMember:
    """Read a principal. What has another form is ``other``."""
    normal = normal_member(text)
    kind, _, value = normal.partition(":")
    match kind:
        case "user" | "group" | "domain":
            return PolicyMember(text=normal, kind="user" if kind == "user" else "group" if kind == "group" else "domain", email=value)  # fmt: skip
        case "serviceAccount":
            return _account(normal, value)
        case "allUsers" | "allAuthenticatedUsers":
            return PolicyMember(text=normal, kind="public")
        case "projectOwner" | "projectEditor" | "projectViewer":
            return PolicyMember(
                text=normal, kind="basic-role", project=value, value=kind.removeprefix("project").lower()
            )
        case "deleted":
            return PolicyMember(text=normal, kind="deleted", email=value.partition(":")[2].partition("?")[0])
        case "principal" | "principalSet":
            return _principal(normal, value.removeprefix("//"))
        case _:
            return PolicyMember(text=normal, kind="other")


def _account(normal: str, value: str) -> PolicyMember:
    pool, bracket, workload = value.partition("[")
    if bracket and pool.endswith(".svc.id.goog"):
        return PolicyMember(
            text=normal,
            kind="cluster-workload",
            project=pool.removesuffix(".svc.id.goog"),
            selector="workload",
            value=workload.removesuffix("]"),
        )
    return PolicyMember(text=normal, kind="service-account", email=value)


def _principal(normal: str, rest: str) -> PolicyMember:
    if rest.startswith("cloudresourcemanager.googleapis.com/") and rest.endswith("/type/ServiceAccount"):
        container = rest.removeprefix("cloudresourcemanager.googleapis.com/").removesuffix(
            "/type/ServiceAccount"
        )
        return PolicyMember(text=normal, kind="account-set", container=container)
    if rest.startswith("agents.global."):
        return PolicyMember(text=normal, kind="agent", project=part(rest, "projects") or "", value=rest)
    if _POOL in rest:
        project, pool = part(rest, "projects") or "", part(rest, "workloadIdentityPools") or ""
        selector = rest.partition(f"{_POOL}{pool}/")[2]
        if pool.endswith(".svc.id.goog"):
            return _cluster(normal, pool.removesuffix(".svc.id.goog"), selector)
        name, value = _selector(selector)
        return PolicyMember(
            text=normal, kind="federated", project=project, pool=pool, selector=name, value=value
        )
    if "workforcePools/" in rest:
        pool = part(rest, "workforcePools") or ""
        name, value = _selector(rest.partition(f"workforcePools/{pool}/")[2])
        return PolicyMember(text=normal, kind="workforce", pool=pool, selector=name, value=value)
    return PolicyMember(text=normal, kind="other")


def _selector(text: str) -> tuple[str, str]:
    if text == "*":
        return "*", ""
    name, _, value = text.partition("/")
    return name, value


def _cluster(normal: str, project: str, selector: str) -> PolicyMember:
    """Read a principal of a project's clusters: a service account, a namespace, or all of one cluster."""
    parts = selector.split("/")
    if selector.startswith("subject/ns/") and len(parts) == 5:
        return PolicyMember(text=normal, kind="cluster-workload", project=project, selector="workload", value=f"{parts[2]}/{parts[4]}")  # fmt: skip
    if parts[0] == "namespace" and len(parts) == 2:
        return PolicyMember(
            text=normal, kind="cluster-workload", project=project, selector="namespace", value=parts[1]
        )
    if parts[0] == "kubernetes.cluster":
        issuer = selector.removeprefix("kubernetes.cluster/")
        return PolicyMember(
            text=normal, kind="cluster-workload", project=project, selector="cluster", value=issuer
        )
    if selector == "*":
        return PolicyMember(text=normal, kind="cluster-workload", project=project, selector="*")
    return PolicyMember(
        text=normal, kind="cluster-workload", project=project, selector="other", value=last(selector)
    )
