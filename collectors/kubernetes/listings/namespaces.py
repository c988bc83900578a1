"""Namespaces: who owns them, and what Pod Security Admission enforces in them.

https://kubernetes.io/docs/concepts/security/pod-security-admission/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.kubernetes.calls import CORE
from collectors.kubernetes.evaluator.ways import is_platform_namespace
from collectors.kubernetes.facts import Metadata  # noqa: TC001  msgspec reads the annotations at run time
from collectors.kubernetes.known import Namespaces
from collectors.kubernetes.records import control, environment_of, owner_of
from scanner.records import Account, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Enforcement, Record

_LEVEL = "pod-security.kubernetes.io/"


class ListedNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace."""

    metadata: Metadata


def namespaces(scope: KubeScope) -> Generator[Record, None, Namespaces]:
    """Yield namespaces as accounts, and return their labels."""
    found: dict[str, dict[str, str]] = {}

    def convert(item: ListedNamespace) -> Iterator[Record]:
        metadata = item.metadata
        labels = metadata.labels or {}
        name = metadata.name
        found[name] = {**labels, **_stated(metadata.annotations)}
        owner, source = owner_of(labels, metadata.annotations)
        me = record_id("kubernetes", "namespace", metadata.uid)
        yield Account(
            id=me,
            **scope.own(),
            kind="kubernetes-namespace",
            native_id=metadata.uid,
            name=f"{scope.cluster}/{name}",
            address=scope.address(name, "", ""),
            parent_id=scope.account_id,
            environment=environment_of(labels, metadata.annotations),
            owner=owner,
            owner_source=source,
            active=metadata.deletion_timestamp is None,
            created_at=metadata.creation_timestamp,
            tags={**labels, **({"platform": "yes"} if is_platform_namespace(name) else {})},
        )
        yield _pod_security(scope, metadata, me)

    yield from scope.listed(
        CORE["namespaces"], convert, table="accounts", kind="kubernetes-namespace",
        fills=("controls/pod-security",), loses=("controls/image-policy", "controls/network-policy"), shape=ListedNamespace,
    )  # fmt: skip
    return Namespaces(labels=found)


def _stated(annotations: dict[str, str] | None) -> dict[str, str]:
    owner, source = owner_of(annotations)
    return {source.removeprefix("tag:"): owner} if owner and source else {}


def _pod_security(scope: KubeScope, metadata: Metadata, account: str) -> Record:
    labels = metadata.labels or {}
    enforce, audit, warn = (labels.get(f"{_LEVEL}{mode}", "") for mode in ("enforce", "audit", "warn"))
    enforcement: Enforcement = "absent"
    detail = "No level of Pod Security is set; the API server's own default is not known"
    if enforce in {"baseline", "restricted"}:
        enforcement, detail = "enforced", f"Pods must meet the level {enforce}"
    elif {audit, warn} & {"baseline", "restricted"}:
        enforcement, detail = (
            "audited",
            "Pods that break the level are admitted, with a warning or an audit entry",
        )
    elif enforce == "privileged":
        detail = "The enforced level is privileged, which allows everything"
    return control(
        scope, "pod-security", metadata.uid, metadata.name, enforcement=enforcement, detail=detail, target=account,
    )  # fmt: skip
