"""RBAC as an API server enforces it, over the roles and bindings that the simulated cluster has.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.kit.http import Json
    from sandbox.kubernetes.cluster import Cluster

RBAC = "rbac.authorization.k8s.io"
ALL_AUTHENTICATED = "system:authenticated"
MASTERS = "system:masters"


class ClusterCaller(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a request."""

    name: str
    groups: tuple[str, ...]


class AskedAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What a request does. ``path`` is set for those that name no resource, such as ``/version``."""

    verb: str
    group: str = ""
    resource: str = ""
    """With its subresource: ``pods/log``."""
    namespace: str = ""
    name: str = ""
    path: str = ""


def service_account(namespace: str, name: str) -> ClusterCaller:
    """Return the caller that a service account is."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", ALL_AUTHENTICATED)
    return ClusterCaller(name=f"system:serviceaccount:{namespace}:{name}", groups=groups)


def reason(cluster: Cluster, caller: ClusterCaller, access: AskedAccess) -> str | None:
    """Return why the caller may do it, in the words of the server; None if nothing allows it."""
    if MASTERS in caller.groups:
        return ""
    for binding in cluster.listed(f"clusterrolebindings.{RBAC}"):
        if _meets(binding, caller) and any(
            _allows(rule, access) for rule in _rules(cluster, binding["roleRef"], "")
        ):
            return f'RBAC: allowed by ClusterRoleBinding "{binding["metadata"]["name"]}" of {_role(binding)}'
    if not access.namespace:
        return None
    for binding in cluster.listed(f"rolebindings.{RBAC}", access.namespace):
        if _meets(binding, caller) and any(
            _allows(rule, access)
            for rule in _rules(cluster, binding["roleRef"], access.namespace)
            if not rule.get("nonResourceURLs")
        ):
            place = f"{binding['metadata']['name']}/{access.namespace}"
            return f'RBAC: allowed by RoleBinding "{place}" of {_role(binding)}'
    return None


def _role(binding: Json) -> str:
    subjects = ", ".join(f'{one["kind"]} "{one["name"]}"' for one in binding.get("subjects", ()))
    return f'{binding["roleRef"]["kind"]} "{binding["roleRef"]["name"]}" to {subjects}'


def _meets(binding: Json, caller: ClusterCaller) -> bool:
    for subject in binding.get("subjects") or ():
        match subject["kind"]:
            case "User" if subject["name"] == caller.name:
                return True
            case "Group" if subject["name"] in caller.groups:
                return True
            case "ServiceAccount":
                if f"system:serviceaccount:{subject['namespace']}:{subject['name']}" == caller.name:
                    return True
            case _:
                pass
    return False


def _rules(cluster: Cluster, reference: Json, namespace: str) -> Iterator[Json]:
    plural = "clusterroles" if reference["kind"] == "ClusterRole" else "roles"
    role = cluster.named(f"{plural}.{RBAC}", reference["name"], "" if plural == "clusterroles" else namespace)
    yield from (role or {}).get("rules") or ()


def _allows(rule: Json, access: AskedAccess) -> bool:
    if not {"*", access.verb} & set(rule["verbs"]):
        return False
    if access.path:
        return any(
            url in {"*", access.path} or (url.endswith("*") and access.path.startswith(url[:-1]))
            for url in rule.get("nonResourceURLs", ())
        )
    subresource = access.resource.partition("/")[2]
    wanted = {"*", access.resource, *([f"*/{subresource}"] if subresource else ())}
    names = rule.get("resourceNames")
    return bool(
        {"*", access.group} & set(rule.get("apiGroups", ()))
        and wanted & set(rule.get("resources", ()))
        and (not names or access.name in names)
    )
