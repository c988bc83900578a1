"""Finds the clusters of a section, and opens one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collectors.kubernetes.calls import VERSION
from collectors.kubernetes.client import KubeClient
from collectors.kubernetes.kubeconfig import Kubeconfig
from collectors.kubernetes.sign_in import ClusterSignIn, access_of
from scanner.collect.collector import TargetError
from scanner.collect.failures import Failure, SourceError
from scanner.collect.listings import ListingRequest, gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.kubernetes.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.records import Gap


def contexts_of(config: Config) -> Iterator[tuple[str, str]]:
    """Yield name and context of each cluster; the context is empty without a kubeconfig. Raises `TargetError`.

    With a name and several contexts, the names of the contexts follow it.
    """
    if config.kubeconfig is None:
        host = "in-cluster" if config.in_cluster else urlsplit(str(config.url)).netloc
        yield config.name or host, ""
        return
    try:
        file = Kubeconfig(config.kubeconfig)
    except SourceError as exc:
        raise TargetError(f"{config.kubeconfig}: {exc.detail}") from None
    names = list(config.contexts)
    if not names:
        servers: dict[str, str] = {}
        for context in file.contexts():
            servers.setdefault(context.server, context.name)
        names = list(servers.values())
    for name in names:
        yield (
            (name if config.name is None else config.name if len(names) == 1 else f"{config.name} {name}"),
            name,
        )


def opened(config: Config, context: str, run: Run) -> KubeClient:
    """Return a client for a cluster. Raises `SourceError` for a credential that cannot work."""
    access = access_of(config, context)
    sign_in = ClusterSignIn(config, access, run.as_of)
    return KubeClient(access.server, config, run, sign_in)


def dark(target: Target, exc: SourceError) -> Gap:
    """Return the Gap for a cluster that cannot be signed in to."""
    request = ListingRequest(
        provider="kubernetes",
        account_id=target.account_id,
        collector=target.collector,
        target=target.name,
        table="*",
        call=f"GET {VERSION}",
        needs="a credential of the cluster",
    )
    return gap(request, Failure(reason=exc.reason, detail=exc.detail))
