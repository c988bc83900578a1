"""Kubernetes: service accounts, what roles let them do, which workloads run as them, and what guards a cluster.

Needs: a ClusterRole with ``list`` on what is read, as ``sprawlscan permissions kubernetes`` prints it; nothing else. Only GET is
sent, and one POST that asks the API server what the scanner may list. Any number of clusters, each by a kubeconfig, by its
address and a token, or from a pod in it. Configure the cloud's collector too: it knows which of its roles trust the cluster.

Cannot see: values of Secrets; types and ages of Secrets unless ``secrets: true`` is set; members of groups, which the identity
provider knows; holders of client certificates, whose group ``system:masters`` no binding shows; exemptions and defaults of Pod
Security, audit and authentication in the API server's own files; whether an image needs the token that its pod gets; which image
of an index a node chose, where the runtime reports its digest; when a permission was last used. For one binding, whom its
subject can become is told for the first 200 service accounts, those with the most access first. What was asked for and refused
is a Gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.kubernetes.config import Config
from collectors.kubernetes.first_section import first_sections
from collectors.kubernetes.kinds import HIDES_NO_ACCESS, KINDS, PARTS
from scanner.collect.collector import Target
from scanner.records import record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from scanner.collect.collector import Run
    from scanner.records import Policy, Record

__all__ = [
    "HIDES_NO_ACCESS",
    "KINDS",
    "PARTS",
    "Config",
    "collect",
    "evaluate",
    "first_sections",
    "permissions",
    "targets",
]


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield one target for each cluster. One that cannot be reached is a target too.

    Raises `TargetError` for a kubeconfig that cannot be read.
    """
    from collectors.kubernetes.clusters import contexts_of

    for name, context in contexts_of(config):
        yield Target(
            collector="kubernetes",
            name=name,
            # A cluster has no id of its own in its API: the name stays the same while it does not answer.
            account_id=record_id("kubernetes", "cluster", name),
            params={"context": context},
        )


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one cluster holds. Never raises for what it answers: that is a Gap."""
    from collectors.kubernetes.clusters import dark, opened
    from collectors.kubernetes.plan import cluster_night
    from scanner.collect.failures import SourceError

    try:
        client = opened(config, target.params.get("context", ""), run)
    except SourceError as exc:
        yield dark(target, exc)
        return
    try:
        yield from cluster_night(client, target, config, run)
    finally:
        client.close()


def evaluate(policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]:
    """Yield the grants of bindings and whom their subjects can become, from roles, bindings and the service accounts of a
    snapshot alone.
    """
    from collectors.kubernetes.evaluator import evaluate as evaluated

    yield from evaluated(policies, records, as_of)


def permissions() -> str:
    """Return the smallest read-only ClusterRole of this collector."""
    from collectors.kubernetes.cluster_role import role_text

    return role_text()
