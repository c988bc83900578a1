"""Proposes the section ``kubernetes`` from a kubeconfig on this machine, or from being a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.machine import ProposedSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine

_NOTE = "`sprawlscan permissions kubernetes` prints the ClusterRole that it needs."


def first_sections(machine: Machine) -> Iterator[ProposedSection]:
    """Yield a section for each way to sign in, best first."""
    if machine.variable("KUBERNETES_SERVICE_HOST"):
        yield ProposedSection(
            found="the cluster in which this pod runs",
            section={"in_cluster": True},
            notes={"in_cluster": _NOTE},
        )
    given = machine.value("KUBECONFIG")
    path = machine.home / (given.split(":")[0] if given else ".kube/config")
    contexts = machine.mapping(path).get("contexts")
    if isinstance(contexts, list) and any(isinstance(one, dict) and one.get("name") for one in contexts):
        yield ProposedSection(
            found=f"a kubeconfig, {machine.shown(path)}",
            section={"kubeconfig": str(path)},
            notes={"kubeconfig": f"For a first try. For every night, use a service account's token. {_NOTE}"},
        )
