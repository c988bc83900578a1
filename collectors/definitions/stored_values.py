"""Values of a pipeline that come from a store of secrets, as Drone, Woodpecker and Kubernetes write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.builder import text_at
from collectors.definitions.definition import Reference
from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, items, mapping, text

if TYPE_CHECKING:
    from collectors.definitions.builder import DefinitionBuilder
    from collectors.definitions.yaml_nodes import Node


def reference(
    out: DefinitionBuilder, node: Node, name: str, job: str | None, store: str | None = None
) -> None:
    """Record a secret that is read by name."""
    out.secrets.append(
        Reference(name=name, line=node.line, column=node.column, scope="step" if job else "workflow", job=job, store=store)
    )  # fmt: skip


def variables(
    out: DefinitionBuilder, node: Node | None, job: str | None, key: str = "from_secret"
) -> tuple[dict[str, str], dict[str, str]]:
    """Read variables ``NAME: value`` and ``NAME: {from_secret: secret}``, or a list of ``NAME=value``. Returns the plain
    ones with their values, and the stored ones with the names of their secrets.
    """
    plain: dict[str, str] = {}
    stored: dict[str, str] = {}
    for name, value in mapping(node).pairs:
        held = text_at(value, key)
        if held is not None:
            stored[name.text] = held
            reference(out, value, held, job)
        elif isinstance(value, Scalar):
            plain[name.text] = value.text
            out.value(name.text, value, job)
    for item in node.items if isinstance(node, Sequence) else []:
        if isinstance(item, Scalar):
            name_text, _, given = item.text.partition("=")
            plain[name_text.strip()] = given
            out.value(name_text.strip(), Scalar(given, item.line, item.column, None, item.style), job)
        elif isinstance(item, Mapping):
            found = variables(out, item, job, key)
            plain |= found[0]
            stored |= found[1]
    return plain, stored


def kubernetes_variables(
    out: DefinitionBuilder, container: Mapping, job: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Read ``env`` and ``envFrom`` of a container. Returns the plain variables with their values, and the stored ones with
    the names of their Kubernetes secrets.

    https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-environment-variables.
    """
    plain: dict[str, str] = {}
    stored: dict[str, str] = {}
    for item in items(container.get("env")):
        part = mapping(item)
        name, value = text(part.get("name")), part.get("value")
        if name is None:
            continue
        held = text_at(part.get("valueFrom"), "secretKeyRef", "name")
        if held is not None:
            stored[name] = held
            reference(out, item, held, job, "kubernetes")
        elif isinstance(value, Scalar):
            plain[name] = value.text
            out.value(name, value, job)
    for item in items(container.get("envFrom")):
        held = text_at(item, "secretRef", "name")
        if held is not None:
            reference(out, item, held, job, "kubernetes")
    return plain, stored
