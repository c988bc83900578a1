"""Pods, as the workloads that they belong to.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.kubernetes.calls import CORE
from collectors.kubernetes.facts import Pod

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.kubernetes.estate import ClusterWorkloads
    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Record


def pods(scope: KubeScope, estate: ClusterWorkloads) -> Generator[Record, None, bool]:
    """Read pods page by page, and yield those that belong to no known controller. Return whether all were read."""
    return (
        yield from scope.listed(
            CORE["pods"],
            lambda item: estate.pod(scope, item),
            table="identities",
            kind="pod",
            fills=("links/runs_as", "identities/custom-workload"),
            loses=("rollouts", "secrets/kubernetes-env", "secrets/kubernetes-secret-use"),
            shape=Pod,
        )
    )
