"""The documents of an API server that name no object: groups, resources, version, the issuer of its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.kit.http import Json
    from sandbox.kubernetes.cluster import Cluster

_REVIEW: Json = {
    "name": "selfsubjectaccessreviews",
    "singularName": "selfsubjectaccessreview",
    "namespaced": False,
    "kind": "SelfSubjectAccessReview",
    "verbs": ["create"],
}


def discovery(cluster: Cluster) -> dict[str, Json]:
    """Return the documents by path."""
    documents: dict[str, Json] = {
        "/version": _version(cluster),
        "/api": {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:443"}],
        },
        "/.well-known/openid-configuration": {
            "issuer": cluster.issuer,
            "jwks_uri": f"{cluster.issuer}/keys",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        },
    }
    versions: dict[str, dict[str, list[Json]]] = {}
    for one in cluster.types():
        versions.setdefault(one.group, {}).setdefault(one.version, []).append(one.described())
    versions["authorization.k8s.io"] = {"v1": [_REVIEW]}
    groups = []
    for group, held in sorted(versions.items()):
        ordered = sorted(held, key=_rank)
        for version in ordered:
            at = f"{group}/{version}" if group else version
            documents[f"/apis/{at}" if group else f"/api/{at}"] = {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": at,
                "resources": sorted(held[version], key=lambda one: str(one["name"])),
            }
        if group:
            entry: Json = {
                "name": group,
                "versions": [{"groupVersion": f"{group}/{one}", "version": one} for one in ordered],
                "preferredVersion": {"groupVersion": f"{group}/{ordered[0]}", "version": ordered[0]},
            }
            groups.append(entry)
            documents[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **entry}
    documents["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    return documents


def _version(cluster: Cluster) -> Json:
    major, minor = cluster.version.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": cluster.git_version,
        "gitCommit": "0f1e2d3c4b5a69788796a5b4c3d2e1f001122334",
        "gitTreeState": "clean",
        "buildDate": "2026-08-12T10:14:05Z",
        "goVersion": "go1.25.1",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def _rank(version: str) -> tuple[int, int, int]:
    """Order versions as a server prefers them: stable ones first, the highest first.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#version-priority
    """
    for stage, mark in ((1, "beta"), (2, "alpha")):
        if mark in version:
            number, _, minor = version.removeprefix("v").partition(mark)
            return stage, -int(number), -int(minor or 0)
    return 0, -int(version.removeprefix("v")), 0
