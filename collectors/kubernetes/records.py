"""Records that several listings make."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from scanner.records import Control, Link, record_id
from scanner.stated import first_stated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Enforcement, Relation, Stage

OWNERS = ("owner", "team", "app.kubernetes.io/owner", "contact")
ENVIRONMENTS = ("environment", "env", "app.kubernetes.io/environment", "stage")


def owner_of(*labels: Mapping[str, str] | None) -> tuple[str | None, str | None]:
    """Return the owner that labels or annotations name, and where it comes from. The first mapping that has one counts."""
    for one in labels:
        owner, key = first_stated(one or {}, OWNERS)
        if owner:
            return owner, f"tag:{key}"
    return None, None


def environment_of(*labels: Mapping[str, str] | None) -> str | None:
    """Return the environment that labels name."""
    return next((found for one in labels if (found := first_stated(one or {}, ENVIRONMENTS)[0])), None)


def digest_of(*parts: str) -> str:
    """Return a short digest that tells these parts apart."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:24]


def link(scope: KubeScope, source: str, relation: Relation, target: str, *, evidence: str, why: str) -> Link:
    """Return a relation between two identities."""
    return Link(
        id=record_id("kubernetes", relation.replace("_", "-"), digest_of(source, target)),
        **scope.own(),
        source_id=source,
        relation=relation,
        target_id=target,
        evidence=evidence,
        why=why,
    )


def control(
    scope: KubeScope,
    kind: str,
    native: str,
    name: str,
    *,
    enforcement: Enforcement,
    detail: str,
    target: str | None = None,
    stage: Stage = "runtime",
    bypass: list[str] | None = None,
) -> Control:
    """Return a guard of the cluster."""
    return Control(
        id=record_id("kubernetes", kind, native),
        **scope.own(),
        stage=stage,
        kind=kind,
        name=name,
        enforcement=enforcement,
        target=target,
        bypass=sorted(bypass or ()),
        detail=detail,
    )
