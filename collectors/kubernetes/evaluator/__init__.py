"""What roles and bindings come to: pure, without the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.kubernetes.evaluator.becoming import becoming
from collectors.kubernetes.evaluator.grants import ClusterRoles, GrantedRole
from collectors.kubernetes.evaluator.residents import Residents
from scanner.records import Credential, Identity, Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from scanner.records import Policy, Record

__all__ = ["Residents", "evaluate"]


def evaluate(policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]:
    """Yield the grants of bindings and the ``can_become`` links that follow from them, cluster by cluster."""
    clusters: dict[str, ClusterRoles] = {}
    residents: dict[str, Residents] = {}
    for policy in policies:
        if policy.provider == "kubernetes":
            clusters.setdefault(policy.account_id, ClusterRoles(policy.account_id)).add(policy)
    for record in records:
        if record.provider == "kubernetes" and isinstance(record, Identity | Credential | Link):
            residents.setdefault(record.account_id, Residents(record.account_id)).add(record)
    for account, roles in clusters.items():
        yield from evaluated(roles, residents.get(account) or Residents(account))


def evaluated(roles: ClusterRoles, residents: Residents) -> Iterator[Record]:
    """Yield the grants of one cluster's bindings, then whom their holders can become."""
    granted: list[GrantedRole] = list(roles.granted())
    for one in granted:
        yield one.grant
    yield from becoming(granted, residents)
