"""Argo's Workflow, WorkflowTemplate, ClusterWorkflowTemplate and CronWorkflow -> `Definition`.

Syntax: https://argo-workflows.readthedocs.io/en/latest/fields/. ``{{inputs.parameters.name}}`` in a script is replaced before
a shell sees it. Templates of other objects (``templateRef``) are not read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionBuilder, text_at
from collectors.definitions.definition import DefinitionError, Job, JobRunner, Login, Unresolved
from collectors.definitions.shell.variables import Shell
from collectors.definitions.stored_values import kubernetes_variables, reference
from collectors.definitions.yaml_nodes import Mapping, Scalar, items, mapping, read, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.definition import Definition
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint

_PARAMETER = re.compile(r"\{\{=?\s*(?P<name>(?:inputs|workflow)\.parameters\.[\w-]+)\s*\}\}")
_KINDS = frozenset(("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"))
_STORES = {"s3": "aws", "gcs": "gcp", "azure": "azure", "oss": "alibaba"}


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Parse the objects of a file. Raises `DefinitionError`."""
    documents = read(source)
    out = DefinitionBuilder(path, "argo-workflows", fingerprint)
    triggers: dict[str, list[str]] = {}
    name = None
    found = False
    for document in documents:
        root = document.root
        if not isinstance(root, Mapping) or text(root.get("kind")) not in _KINDS:
            continue
        found = True
        name = name or text_at(root.get("metadata"), "name") or text_at(root.get("metadata"), "generateName")
        spec = mapping(root.get("spec"))
        if text(root.get("kind")) == "CronWorkflow":
            triggers["schedule"] = []
            spec = mapping(spec.get("workflowSpec"))
        _workflow(out, spec)
    if not found:
        raise DefinitionError("malformed", "the file has no workflow of Argo")
    return out.definition(name=name, documents=documents, triggers=triggers)


def _workflow(out: DefinitionBuilder, spec: Mapping) -> None:
    limited = {
        f"{where}.parameters.{text_at(item, 'name')}"
        for where, node in (("workflow", spec.get("arguments")), *(("inputs", mapping(one).get("inputs")) for one in items(spec.get("templates"))))
        for item in items(mapping(node).get("parameters"))
        if mapping(item).get("enum") is not None
    }  # fmt: skip
    named = text_at(spec, "workflowTemplateRef", "name")
    if named:
        out.unresolved.append(Unresolved(line=spec.line, what=f"the workflow template {named}"))
    for item in items(spec.get("volumes")):
        secret = text_at(item, "secret", "secretName")
        if secret:
            reference(out, item, secret, None, "kubernetes")
    for item in items(spec.get("imagePullSecrets")):
        secret = text_at(item, "name")
        if secret:
            reference(out, item, secret, None, "kubernetes")
    for item in items(spec.get("templates")):
        template = mapping(item)
        job = text(template.get("name")) or "template"
        for ref in _references(template):
            out.unresolved.append(
                Unresolved(
                    line=ref.line, what=f"the template {text_at(ref, 'template')} of {text_at(ref, 'name')}"
                )
            )
        _artifacts(out, template, job)
        containers = [
            (mapping(template.get(key)), key)
            for key in ("container", "script")
            if template.get(key) is not None
        ]
        containers += [
            (mapping(one), "container")
            for key in ("initContainers", "sidecars")
            for one in items(template.get(key))
        ]
        containers += [
            (mapping(one), "container")
            for one in items(mapping(template.get("containerSet")).get("containers"))
        ]
        if containers or template.get("resource") is not None or template.get("http") is not None:
            out.jobs.append(Job(name=job, line=template.line, runner=JobRunner(kind="self-hosted")))
        for container, kind in containers:
            _container(out, container, job, is_script=kind == "script", limited=limited)


def _references(template: Mapping) -> Iterator[Mapping]:
    """Yield the templates of other objects that a template runs."""
    groups = [*items(mapping(template.get("dag")).get("tasks"))]
    for group in items(template.get("steps")):
        groups += items(group) or [group]
    for one in groups:
        ref = mapping(one).get("templateRef")
        if isinstance(ref, Mapping):
            yield ref


def _container(
    out: DefinitionBuilder, container: Mapping, job: str, *, is_script: bool, limited: set[str]
) -> None:
    plain, stored = kubernetes_variables(out, container, job)
    image = text(container.get("image"))
    if image and "{{" not in image:
        out.image(image, container.line, job, list(dict.fromkeys(stored.values())))
    shell = Shell({**plain, **dict.fromkeys(stored, "")})
    script = container.get("source") if is_script else _after_c(container)
    if isinstance(script, Scalar):
        out.script(script, job=job, shell=shell, scope="step")
        start = script.line + (1 if script.style in {"|", ">"} else 0)
        for number, line in enumerate(script.text.split("\n")):
            for match in _PARAMETER.finditer(line):
                if match["name"] not in limited:
                    out.problem(
                        "template-injection", start + number, f"the parameter `{match['name']}` is expanded into the script before it runs",
                        severity="medium", fix="Pass it through `env:` and use the quoted variable.", job=job,
                    )  # fmt: skip
    out.static_logins(shell, container.line, job=job, environment=None, stored=stored)


def _after_c(container: Mapping) -> Node | None:
    """Return the script after ``-c`` of a shell."""
    words = [*items(container.get("command")), *items(container.get("args"))]
    at = next((at for at, word in enumerate(words) if re.fullmatch(r"-\w{0,4}c", text(word) or "")), None)
    return words[at + 1] if at is not None and at + 1 < len(words) else None


def _artifacts(out: DefinitionBuilder, template: Mapping, job: str) -> None:
    """Record the keys with which artifacts are read and written."""
    for where in ("inputs", "outputs"):
        for item in items(mapping(template.get(where)).get("artifacts")):
            for kind, service in _STORES.items():
                store = mapping(mapping(item).get(kind))
                for key in (
                    "secretKeySecret",
                    "accessKeySecret",
                    "serviceAccountKeySecret",
                    "accountKeySecret",
                ):
                    secret = text_at(store, key, "name")
                    if secret is not None:
                        reference(out, item, secret, job, "kubernetes")
                        out.logins.append(
                            Login(service=service, how="static", secrets=[secret], line=item.line, job=job)
                        )
                        break
