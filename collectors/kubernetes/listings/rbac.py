"""Roles and bindings, stored as policies. What they come to is the evaluator's.

https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collectors.kubernetes.calls import RBAC
from collectors.kubernetes.evaluator.bindings import DEFAULTS, subject_id, subjects_of
from collectors.kubernetes.evaluator.ways import is_platform_subject
from collectors.kubernetes.known import BoundSubjects
from collectors.kubernetes.records import link
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.policies import canonical_document, policy_record
from scanner.records import Coverage, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Policy, Record, Relation

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_GOOGLE_ACCOUNT = re.compile(r"[a-z0-9-]{1,100}@[a-z0-9.:-]{1,200}\.gserviceaccount\.com", re.ASCII)


def roles_and_bindings(scope: KubeScope) -> Generator[Record, None, BoundSubjects]:
    """Yield roles and bindings as policies, and the users and groups that they name."""
    bound = BoundSubjects()
    for plural, kind in (("clusterroles", "cluster-role"), ("roles", "role")):
        whole = yield from scope.listed(
            RBAC[plural], _kept(bound, lambda item, kind=kind: _role(scope, kind, item)),  # type: ignore[misc]
            table="policies", kind=kind, loses=("grants", "links/can_become"),
        )  # fmt: skip
        bound.complete &= whole
    for plural, kind in (("clusterrolebindings", "cluster-role-binding"), ("rolebindings", "role-binding")):
        whole = yield from scope.listed(
            RBAC[plural],
            _kept(bound, lambda item, kind=kind: _binding(scope, kind, item, bound)),  # type: ignore[misc]
            table="policies",
            kind=kind,
            loses=(
                "grants",
                "identities/kubernetes-group",
                "identities/kubernetes-user",
                "links/can_become",
                "links/member_of",
            ),
        )
        bound.complete &= whole
        bound.named &= whole
    return bound


def _kept(bound: BoundSubjects, convert: Callable[[Any], Policy]) -> Callable[[Any], Iterator[Record]]:
    def kept(item: Any) -> Iterator[Record]:
        policy = convert(item)
        bound.policies.append(policy)
        yield policy

    return kept


def _metadata(item: dict[str, Any]) -> dict[str, Any]:
    """Return what decides what a role is: its name, and the labels by which roles are added up."""
    metadata = item["metadata"]
    # Any label can select a role for a sum.
    kept = {str(key): str(value) for key, value in (metadata.get("labels") or {}).items()}
    found = {"name": str(metadata["name"])}
    if metadata.get("namespace"):
        found["namespace"] = str(metadata["namespace"])
    created = utc_time(metadata.get("creationTimestamp"))
    if created is not None:
        found["creationTimestamp"] = created.isoformat()
    return {**found, **({"labels": kept} if kept else {})}


def _role(scope: KubeScope, kind: str, item: Any) -> Policy:
    document = {"metadata": _metadata(item), "rules": item.get("rules") or []}
    if item.get("aggregationRule"):
        document["aggregationRule"] = item["aggregationRule"]
    return _policy(scope, kind, item, document, [])


def _binding(scope: KubeScope, kind: str, item: Any, bound: BoundSubjects) -> Policy:
    metadata = _metadata(item)
    reference = item["roleRef"]
    document = {
        "metadata": metadata,
        "roleRef": {"kind": str(reference["kind"]), "name": str(reference["name"])},
        "subjects": item.get("subjects") or [],
    }
    subjects = subjects_of(document["subjects"], str(metadata.get("namespace") or ""))
    bound.every.update(dict.fromkeys(subjects))
    if DEFAULTS not in metadata.get("labels", {}) and not str(reference["name"]).startswith("system:"):
        bound.foreign.update(subjects)
    return _policy(scope, kind, item, document, [subject_id(scope.account_id, one) for one in subjects])


def _policy(scope: KubeScope, kind: str, item: Any, document: dict[str, Any], attached: list[str]) -> Policy:
    metadata = item["metadata"]
    namespace, name = str(metadata.get("namespace") or ""), str(metadata["name"])
    return policy_record(
        **scope.own(),
        kind=kind,
        native_id=str(metadata["uid"]),
        name=f"{namespace}/{name}" if namespace else name,
        address=scope.address(namespace, kind, name),
        document=canonical_document(document),
        attached_to=attached,
    )


def users_and_groups(scope: KubeScope, bound: BoundSubjects) -> Iterator[Record]:
    """Yield the users and groups that bindings name. The API server knows no others.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#users-in-kubernetes
    """
    resource = RBAC["clusterrolebindings"]
    request = scope.request(
        "identities", f"GET {resource.path()}", kind="kubernetes-user", needs=f"list {resource.title}"
    )
    for row in with_coverage(_subjects(scope, bound), request, fills=("identities/kubernetes-group",)):
        if bound.named or not isinstance(row, Coverage):
            yield row


def known_elsewhere(scope: KubeScope, bound: BoundSubjects) -> Iterator[Record]:
    """Yield which users and groups are principals of Entra ID or service accounts of Google Cloud: clusters name them so.

    https://learn.microsoft.com/azure/aks/azure-ad-rbac : by object ID.
    https://cloud.google.com/kubernetes-engine/docs/how-to/role-based-access-control : by e-mail address.
    """
    if not bound.named:
        return
    resource = RBAC["rolebindings"]
    request = scope.request(
        "links", f"GET {resource.path()}", kind="member_of", needs=f"list {resource.title}"
    )
    yield from with_coverage(_elsewhere(scope, bound), request, fills=("links/can_become",))


def _elsewhere(scope: KubeScope, bound: BoundSubjects) -> Iterator[Record]:
    for subject in bound.every:
        target = subject_id(scope.account_id, subject)
        if subject.kind == "ServiceAccount":
            continue
        if _OBJECT_ID.fullmatch(subject.name):
            source = record_id("entra", "principal", subject.name.lower())
            relation: Relation = "member_of" if subject.kind == "Group" else "can_become"
            yield link(
                scope, source, relation, target, evidence="subjects", why="the binding names its object ID"
            )
        elif subject.kind == "User" and _GOOGLE_ACCOUNT.fullmatch(subject.name):
            why = "the binding names its e-mail address"
            yield link(scope, subject.name, "can_become", target, evidence="subjects", why=why)


def _subjects(scope: KubeScope, bound: BoundSubjects) -> Iterator[Identity]:
    for kind, of in (("kubernetes-user", "User"), ("kubernetes-group", "Group")):
        for subject in bound.every:
            if subject.kind != of:
                continue
            platform = is_platform_subject(of, subject.name)
            yield Identity(
                id=subject_id(scope.account_id, subject),
                **scope.own(),
                # A user's name does not tell a person from a program.
                surface="automation" if platform else None,
                kind=kind,
                native_id=subject.name,
                name=subject.name,
                address=scope.address("", "user" if of == "User" else "group", subject.name),
                managed_by="provider" if platform else None,
                tags={"platform": "yes"} if platform else {},
            )
