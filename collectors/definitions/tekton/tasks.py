"""Tekton's Task, Pipeline and PipelineRun -> `Definition`. Syntax: https://tekton.dev/docs/pipelines/.

``$(params.name)`` in a script is replaced before a shell sees it. A task or pipeline that is referred to by name or by a
resolver is not read; which service account runs it may be set outside the file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionBuilder, text_at
from collectors.definitions.definition import DefinitionError, Job, JobRunner, Unresolved, Use
from collectors.definitions.shell.variables import Shell
from collectors.definitions.stored_values import kubernetes_variables, reference
from collectors.definitions.yaml_nodes import Mapping, Scalar, items, mapping, read, text

if TYPE_CHECKING:
    from collectors.definitions.definition import Definition, Pin
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint

_PARAMETER = re.compile(r"\$\(params(?:\.(?P<dot>[\w.-]+)|\[[\"'](?P<quoted>[^\"'\]]+)[\"']\])\)")
_ON_EVENT = "pipelinesascode.tekton.dev/on-event"
_SHA = re.compile(r"[0-9a-f]{40}")


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Parse the objects of a file. Raises `DefinitionError`."""
    documents = read(source)
    out = DefinitionBuilder(path, "tekton", fingerprint)
    triggers: dict[str, list[str]] = {}
    names: list[str] = []
    found = False
    for document in documents:
        root = document.root
        if not isinstance(root, Mapping) or not (text(root.get("apiVersion")) or "").startswith(
            "tekton.dev/"
        ):
            continue
        found = True
        spec = mapping(root.get("spec"))
        metadata = mapping(root.get("metadata"))
        name = text(metadata.get("name")) or text(metadata.get("generateName")) or "task"
        names.append(name)
        for event in re.findall(r"\w+", text(mapping(metadata.get("annotations")).get(_ON_EVENT)) or ""):
            triggers[event] = []
        match text(root.get("kind")):
            case "Task" | "ClusterTask" | "StepAction":
                _task(out, spec if spec.get("steps") is not None else root, name)
            case "TaskRun":
                _task_of(out, spec, "taskRef", "taskSpec", name)
            case "Pipeline":
                _pipeline(out, spec)
            case "PipelineRun":
                _reference(out, mapping(spec.get("pipelineRef")), "pipeline", spec.line, name)
                _pipeline(out, mapping(spec.get("pipelineSpec")))
            case _:
                pass
        for item in items(spec.get("workspaces")):
            secret = text_at(item, "secret", "secretName")
            if secret:
                reference(out, item, secret, None, "kubernetes")
    if not found:
        raise DefinitionError("malformed", "the file has no object of Tekton")
    return out.definition(name=names[0] if names else None, documents=documents, triggers=triggers)


def _pipeline(out: DefinitionBuilder, spec: Mapping) -> None:
    for key in ("tasks", "finally"):
        for item in items(spec.get(key)):
            _task_of(out, mapping(item), "taskRef", "taskSpec", text_at(item, "name") or key)


def _task_of(out: DefinitionBuilder, node: Mapping, ref: str, inline: str, name: str) -> None:
    _reference(out, mapping(node.get(ref)), "task", node.line, name)
    spec = node.get(inline)
    if isinstance(spec, Mapping):
        _task(out, spec, name)


def _reference(out: DefinitionBuilder, ref: Mapping, what: str, line: int, job: str) -> None:
    if not ref.pairs:
        return
    given = {text_at(item, "name"): text_at(item, "value") or "" for item in items(ref.get("params"))}
    resolver = text(ref.get("resolver"))
    name = given.get("name") or given.get("url") or given.get("bundle") or text(ref.get("name")) or "?"
    out.unresolved.append(
        Unresolved(line=line, what=f"the {what} {name}{f' of the resolver {resolver}' if resolver else ''}")
    )
    bundle = given.get("bundle") or text(ref.get("bundle"))
    if bundle:
        out.image(bundle, line, job)
    elif resolver in {"git", "hub", "http"}:
        revision = given.get("revision") or given.get("version") or ""
        pin: Pin = "sha" if _SHA.fullmatch(revision) else "tag" if re.match(r"v?\d", revision) else "branch"
        out.uses.append(
            Use(
                kind="template",
                name=name,
                ref=revision or None,
                pin=pin,
                third_party=True,
                line=line,
                job=job,
            )
        )
        if pin != "sha":
            out.problem(
                "unpinned-include", line, f"the {what} {name} is fetched from {resolver} by {'a tag' if pin == 'tag' else 'a branch'}, which can move",
                severity="low" if pin == "tag" else "medium", fix="Name a commit in the parameter `revision`.", job=job,
            )  # fmt: skip


def _task(out: DefinitionBuilder, spec: Mapping, name: str) -> None:
    out.jobs.append(Job(name=name, line=spec.line, runner=JobRunner(kind="self-hosted")))
    for item in items(spec.get("volumes")):
        secret = text_at(item, "secret", "secretName")
        if secret:
            reference(out, item, secret, name, "kubernetes")
    template = mapping(spec.get("stepTemplate"))
    above, held = kubernetes_variables(out, template, name)
    limited = {
        text_at(item, "name") or ""
        for item in items(spec.get("params"))
        if mapping(item).get("enum") is not None
    }
    for key in ("steps", "sidecars"):
        for step in items(spec.get(key)):
            _step(out, mapping(step), name, (above, held), limited)


def _step(
    out: DefinitionBuilder,
    step: Mapping,
    job: str,
    template: tuple[dict[str, str], dict[str, str]],
    limited: set[str],
) -> None:
    above, held = template
    plain, stored = kubernetes_variables(out, step, job)
    stored = held | stored
    image = text(step.get("image"))
    if image and "$(" not in image:
        out.image(image, step.line, job, list(dict.fromkeys(stored.values())))
    _reference(out, mapping(step.get("ref")), "step", step.line, job)
    shell = Shell({**above, **plain, **dict.fromkeys(stored, "")})
    for script in [step.get("script"), *_arguments(step)]:
        if not isinstance(script, Scalar):
            continue
        out.script(script, job=job, shell=shell, scope="step")
        start = script.line + (1 if script.style in {"|", ">"} else 0)
        for number, line in enumerate(script.text.split("\n")):
            for match in _PARAMETER.finditer(line):
                read_name = match["dot"] or match["quoted"]
                if read_name not in limited:
                    out.problem(
                        "template-injection", start + number, f"the parameter `{read_name}` is expanded into the script before it runs",
                        severity="medium", fix="Pass it through `env:` and use the quoted variable.", job=job,
                    )  # fmt: skip
    out.static_logins(shell, step.line, job=job, environment=None, stored=stored)


def _arguments(step: Mapping) -> list[Node]:
    """Return the script after ``-c`` of a shell."""
    words = [*items(step.get("command")), *items(step.get("args"))]
    at = next((at for at, word in enumerate(words) if re.fullmatch(r"-\w{0,4}c", text(word) or "")), None)
    return words[at + 1 : at + 2] if at is not None else []
