"""Whether a namespace lets nothing in unless a policy allows it.

https://kubernetes.io/docs/concepts/services-networking/network-policies/#default-deny-all-ingress-traffic . Whether the network
plug-in enforces policies at all, the API does not say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.kubernetes.calls import NETWORK
from collectors.kubernetes.evaluator.ways import is_platform_namespace
from collectors.kubernetes.records import control
from scanner.collect.listings import with_coverage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Record


def network_policies(scope: KubeScope, labels: Mapping[str, Mapping[str, str]]) -> Iterator[Record]:
    """Yield one control for each namespace that is not the platform's."""
    found: dict[str, list[bool]] = {}

    def note(item: Any) -> None:
        spec = item.get("spec") or {}
        selector = spec.get("podSelector") or {}
        everyone = not selector.get("matchLabels") and not selector.get("matchExpressions")
        # Without policyTypes, a policy is for ingress.
        inward = "Ingress" in (spec.get("policyTypes") or ["Ingress"])
        denies = everyone and inward and not spec.get("ingress")
        found.setdefault(str(item["metadata"]["namespace"]), []).append(denies)

    def read() -> Iterator[Record]:
        for item in scope.objects(NETWORK["networkpolicies"]):
            note(item)
        yield from _controls(scope, labels, found)

    resource = NETWORK["networkpolicies"]
    request = scope.request(
        "controls", f"GET {resource.path()}", kind="network-policy", needs=f"list {resource.title}"
    )
    yield from with_coverage(read(), request)


def _controls(
    scope: KubeScope, labels: Mapping[str, Mapping[str, str]], found: Mapping[str, list[bool]]
) -> Iterator[Record]:
    for name in sorted(labels):
        if is_platform_namespace(name):
            continue
        several = found.get(name, [])
        if any(several):
            detail = "Nothing reaches its pods unless a policy allows it"
        elif several:
            detail = f"{len(several)} policies limit what reaches some of its pods; others are open"
        else:
            detail = "Every pod of the cluster reaches its pods"
        cluster = scope.account_id.removeprefix("kubernetes:cluster:")
        yield control(
            scope, "network-policy", f"{cluster}/{name}", name,
            enforcement="enforced" if any(several) else "absent", detail=detail,
        )  # fmt: skip
