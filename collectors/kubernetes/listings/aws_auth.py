"""The ConfigMap by which Amazon EKS maps IAM roles and users to users and groups of the cluster.

https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html : it is read in the authentication modes CONFIG_MAP and
API_AND_CONFIG_MAP only. Access entries are read from AWS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from collectors.kubernetes.calls import AWS_AUTH
from collectors.kubernetes.evaluator.bindings import BoundSubject, subject_id
from collectors.kubernetes.known import group_id
from collectors.kubernetes.records import link
from scanner.collect.failures import SourceError
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.kubernetes.known import BoundSubjects
    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Record

PATH = "/api/v1/namespaces/kube-system/configmaps/aws-auth"
_OF_NODES = frozenset(("system:bootstrappers", "system:nodes", "system:node-proxier"))


def may_be_eks(issuer: str | None, version: str) -> bool:
    """Return whether a cluster can be one of EKS, by the issuer of its tokens or the version of its API server."""
    return issuer is None or "-eks-" in version or issuer.startswith("https://oidc.eks.")


def aws_auth(scope: KubeScope, bound: BoundSubjects) -> Iterator[Record]:
    """Yield which IAM roles and users are which users and groups of the cluster."""

    def read() -> Iterator[Record]:
        try:
            denied = scope.client.review(AWS_AUTH, name="aws-auth", namespace="kube-system")
        except SourceError:
            denied = None
        if denied is not None:
            raise SourceError("denied", f"the access review says no: {denied}")
        answer = scope.client.get(PATH, also=(404,))
        if answer.status == 404:
            return
        data = (answer.body or {}).get("data") or {}
        for key, name in (("mapRoles", "rolearn"), ("mapUsers", "userarn")):
            for entry in _entries(data.get(key)):
                yield from _mapped(scope, bound, str(entry.get(name) or ""), entry)

    request = scope.request(
        "links", f"GET {PATH}", kind="member_of", needs="get configmaps aws-auth in kube-system"
    )
    yield from with_coverage(read(), request, fills=("links/can_become",))


def _entries(text: object) -> list[dict[str, Any]]:
    if not text:
        return []
    try:
        rows = yaml.safe_load(str(text))
    except (yaml.YAMLError, RecursionError, ValueError):
        raise SourceError("malformed", "aws-auth is not YAML") from None
    if not isinstance(rows, list):
        raise SourceError("malformed", "aws-auth holds no list")
    return [row for row in rows if isinstance(row, dict)]


def _mapped(scope: KubeScope, bound: BoundSubjects, arn: str, entry: dict[str, Any]) -> Iterator[Record]:
    groups = entry.get("groups")
    names = {str(name) for name in groups} if isinstance(groups, list) else set()
    if not arn.startswith("arn:") or names & _OF_NODES:
        return
    why = "the ConfigMap aws-auth maps it"
    for name in sorted(names):
        if name == "system:masters" or BoundSubject("Group", name) in bound.every:
            yield link(
                scope, arn, "member_of", group_id(scope, name), evidence="kube-system/aws-auth", why=why
            )
    user = BoundSubject("User", str(entry.get("username") or ""))
    if user in bound.every:
        target = subject_id(scope.account_id, user)
        yield link(scope, arn, "can_become", target, evidence="kube-system/aws-auth", why=why)
