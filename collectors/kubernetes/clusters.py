"""Finds the clusters of a section, and opens one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collectors.kubernetes.calls import VERSION
from collectors.kubernetes.client import KubeClient
from collectors.kubernetes.kubeconfig import Kubeconfig
from collectors.kubernetes.sign_in import SignIn, access_of
from scanner.collect.collector import TargetError
from scanner.collect.failures import Failure, SourceError
from scanner.collect.listings import ListingRequest, gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.kubernetes.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.records import Gap


def contexts_of(config: Config) -> Iterator[tuple[str, str]]:
    """Yield name and context of each cluster; the context is empty without a kubeconfig. Raises `TargetError`."""
    if config.kubeconfig is None:
        yield ("in-cluster" if config.in_cluster else urlsplit(str(config.url)).netloc), ""
        return
    try:
        file = Kubeconfig(config.kubeconfig)
    except SourceError as exc:
        raise TargetError(f"{config.kubeconfig}: {exc.detail}") from None
    if config.contexts:
        yield from ((name, name) for name in config.contexts)
        return
    seen: set[str] = set()
    for context in file.contexts():
        if context.server not in seen:
            seen.add(context.server)
            yield context.name, context.name


def opened(config: Config, context: str, run: Run) -> KubeClient:
    """Return a client for a cluster. Raises `SourceError` for a credential that cannot work."""
    access = access_of(config, context)
    sign_in = SignIn(config, access, run.as_of)
    return KubeClient(access.server, config, run, sign_in)


def uid_of(config: Config, context: str, run: Run) -> str | None:
    """Return what identifies a cluster: the ``uid`` of its namespace kube-system. None if it does not answer.

    https://github.com/kubernetes/kubernetes/issues/44954, as OpenTelemetry's ``k8s.cluster.uid`` has it.
    """
    try:
        client = opened(config, context, run)
    except SourceError:
        return None
    try:
        for item in client.objects("/api/v1/namespaces", fieldSelector="metadata.name=kube-system"):
            metadata = item["metadata"]
            if metadata.get("name") == "kube-system":
                return str(metadata["uid"])
    except SourceError:
        return None
    finally:
        client.close()
    return None


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
