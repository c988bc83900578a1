"""Roles and bindings as they are stored: ``Policy`` rows with the parts of the manifest that matter."""

from __future__ import annotations

import json
from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from collectors.kubernetes.evaluator.rules import RbacRule, rules_of
from scanner.collect.scope import utc_time
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scanner.records import Policy

SubjectKind = Literal["ServiceAccount", "User", "Group"]
DEFAULTS = "kubernetes.io/bootstrapping"
"""The label of the API server's own roles and bindings.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings"""


class BoundSubject(msgspec.Struct, frozen=True):
    """Whom a binding names."""

    kind: SubjectKind
    name: str
    namespace: str = ""
    """Of a service account."""

    @property
    def title(self) -> str:
        """The name as people write it."""
        return f"{self.namespace}/{self.name}" if self.kind == "ServiceAccount" else self.name


class StoredRole(msgspec.Struct, frozen=True, kw_only=True):
    """A Role or ClusterRole."""

    name: str
    namespace: str
    """Empty for a ClusterRole."""
    rules: tuple[RbacRule, ...]
    selectors: tuple[dict[str, Any], ...]
    """Label selectors of the ClusterRoles that it is the sum of."""
    labels: dict[str, str]


class StoredBinding(msgspec.Struct, frozen=True, kw_only=True):
    """A RoleBinding or ClusterRoleBinding."""

    id: str
    """The ``uid``."""
    name: str
    namespace: str
    """Empty for a ClusterRoleBinding."""
    role_kind: str
    role: str
    subjects: tuple[BoundSubject, ...]
    default: bool
    """Whether the API server made it."""
    created_at: datetime | None

    @property
    def title(self) -> str:
        """The name with its kind."""
        return (
            f"RoleBinding {self.namespace}/{self.name}"
            if self.namespace
            else f"ClusterRoleBinding {self.name}"
        )


def _document(policy: Policy) -> dict[str, Any]:
    found = json.loads(policy.document or "{}")
    return found if isinstance(found, dict) else {}


def _metadata(document: Mapping[str, Any]) -> dict[str, Any]:
    found = document.get("metadata")
    return found if isinstance(found, dict) else {}


def role_of(policy: Policy) -> StoredRole:
    """Return a stored role."""
    document = _document(policy)
    metadata = _metadata(document)
    aggregation = document.get("aggregationRule")
    selectors = aggregation.get("clusterRoleSelectors") if isinstance(aggregation, dict) else None
    return StoredRole(
        name=str(metadata.get("name") or ""),
        namespace=str(metadata.get("namespace") or ""),
        rules=rules_of(document.get("rules")),
        selectors=tuple(one for one in selectors or () if isinstance(one, dict)),
        labels=_labels(metadata),
    )


def _labels(metadata: Mapping[str, Any]) -> dict[str, str]:
    labels = metadata.get("labels")
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def binding_of(policy: Policy) -> StoredBinding:
    """Return a stored binding."""
    document = _document(policy)
    metadata = _metadata(document)
    reference = document.get("roleRef")
    named = reference if isinstance(reference, dict) else {}
    subjects = document.get("subjects")
    return StoredBinding(
        id=policy.native_id,
        name=str(metadata.get("name") or ""),
        namespace=str(metadata.get("namespace") or ""),
        role_kind=str(named.get("kind") or ""),
        role=str(named.get("name") or ""),
        subjects=subjects_of(subjects, str(metadata.get("namespace") or "")),
        default=DEFAULTS in _labels(metadata),
        created_at=utc_time(metadata.get("creationTimestamp")),
    )


def subjects_of(rows: object, namespace: str) -> tuple[BoundSubject, ...]:
    """Return the subjects of a binding, each once. A user or group may be a service account by its long name."""
    found: dict[BoundSubject, None] = {}
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict) or not row.get("name"):
            continue
        kind, name = str(row.get("kind") or ""), str(row["name"])
        if kind == "ServiceAccount":
            found[BoundSubject("ServiceAccount", name, str(row.get("namespace") or namespace))] = None
        elif kind == "User" and name.startswith("system:serviceaccount:") and name.count(":") == 3:
            _, _, place, short = name.split(":")
            found[BoundSubject("ServiceAccount", short, place)] = None
        elif kind == "User":
            found[BoundSubject("User", name)] = None
        elif kind == "Group":
            found[BoundSubject("Group", name)] = None
    return tuple(found)


def subject_id(cluster: str, subject: BoundSubject) -> str:
    """Return the `Identity.id` of a subject. ``cluster`` is the `Account.id`.

    What a binding names is a name: an account that is deleted and made again has its permissions again.
    """
    match subject.kind:
        case "ServiceAccount":
            return account_id(cluster, subject.namespace, subject.name)
        case "User":
            return record_id("kubernetes", "user", f"{cluster_of(cluster)}/{subject.name}")
        case "Group":
            return record_id("kubernetes", "group", f"{cluster_of(cluster)}/{subject.name}")


def account_id(cluster: str, namespace: str, name: str) -> str:
    """Return the id of a service account. ``cluster`` is the `Account.id`."""
    return record_id("kubernetes", "service-account", f"{cluster_of(cluster)}/{namespace}/{name}")


def cluster_of(account_id: str) -> str:
    """Return the id of a cluster from that of its account."""
    return account_id.removeprefix(record_id("kubernetes", "cluster", ""))


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether a label selector matches labels. An empty one matches everything.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    wanted = selector.get("matchLabels")
    if isinstance(wanted, dict) and any(labels.get(str(key)) != str(value) for key, value in wanted.items()):
        return False
    parts = selector.get("matchExpressions")
    return all(_expression(part, labels) for part in parts or () if isinstance(part, dict))


def _expression(part: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key = str(part.get("key") or "")
    values = {str(value) for value in part.get("values") or ()}
    match part.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def gathered(role: StoredRole, others: Iterable[StoredRole]) -> tuple[RbacRule, ...]:
    """Return the rules of a role. Those of a sum are written by a controller; where it has not, they are added up here.

    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
    """
    if role.rules or not role.selectors:
        return role.rules
    return tuple(
        rule
        for other in others
        if any(selects(selector, other.labels) for selector in role.selectors)
        for rule in other.rules
    )
