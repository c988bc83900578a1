"""``.drone.yml`` and ``.woodpecker.yml`` -> `Definition`. Syntax: https://docs.drone.io/yaml/docker/ and
https://woodpecker-ci.org/docs/usage/workflow-syntax. Both run on servers of their users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from collectors.definitions.builder import DefinitionBuilder, text_at
from collectors.definitions.definition import DefinitionError, Job, JobRunner, Login
from collectors.definitions.shell.variables import Shell
from collectors.definitions.stored_values import reference, variables
from collectors.definitions.yaml_nodes import (
    Mapping,
    Scalar,
    Sequence,
    items,
    mapping,
    read,
    scalars,
    text,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.definition import Definition
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint

_PLUGINS = (("ecr", "aws"), ("s3", "aws"), ("lambda", "aws"), ("ecs", "aws"), ("cloudformation", "aws"), ("gcr", "gcp"),
            ("gar", "gcp"), ("gcs", "gcp"), ("gke", "gcp"), ("acr", "azure"), ("docker", "registry"), ("kaniko", "registry"),
            ("npm", "npm"), ("pypi", "pypi"), ("ssh", "ssh"), ("scp", "ssh"), ("rsync", "ssh"), ("helm", "kubernetes"), ("kube", "kubernetes"))  # fmt: skip
"""A part of the name of a plugin's image to the service that its settings sign in to: https://plugins.drone.io."""
_CREDENTIALS = frozenset(
    ("password", "secret_key", "access_key", "json_key", "token", "api_key", "key", "ssh_key", "kubernetes_token", "kube_config", "auth_json", "client_secret")
)  # fmt: skip


def parse(
    path: str, source: str, fingerprint: Fingerprint, kind: Literal["drone", "woodpecker"]
) -> Definition:
    """Parse the pipelines of a file. Raises `DefinitionError`."""
    documents = read(source)
    out = DefinitionBuilder(path, kind, fingerprint)
    triggers: dict[str, list[str]] = {}
    found = False
    for document in documents:
        root = document.root
        if not isinstance(root, Mapping):
            continue
        match text(root.get("kind")) or "pipeline":
            case "pipeline":
                found = True
                _pipeline(out, root, triggers)
            case "secret":
                store = "vault" if "/" in (text_at(root, "get", "path") or "") else "kubernetes"
                if root.get("get") is not None:
                    reference(out, root, text(root.get("name")) or "secret", None, store)
            case _:
                found = True
    if not found:
        raise DefinitionError("malformed", "the file has no pipeline")
    return out.definition(documents=documents, triggers=triggers or {"push": []})


_EVENTS = {"cron": "schedule", "manual": "workflow_dispatch", "custom": "workflow_dispatch"}


def _pipeline(out: DefinitionBuilder, root: Mapping, triggers: dict[str, list[str]]) -> None:
    for key in ("trigger", "when"):
        for part in items(root.get(key)) or [mapping(root.get(key))]:
            event = mapping(part).get("event")
            for one in texts(mapping(event).get("include") if isinstance(event, Mapping) else event):
                triggers[_EVENTS.get(one, one)] = []
    labels = [f"{key.text}={value.text}" for one in ("node", "labels") for key, value in mapping(root.get(one)).pairs if isinstance(value, Scalar)]  # fmt: skip
    env = variables(out, root.get("environment"), None)[0]
    for item in items(root.get("image_pull_secrets")):
        if isinstance(item, Scalar):
            reference(out, item, item.text, None)
    name = text(root.get("name"))
    for where in ("steps", "pipeline", "services", "clone"):
        for number, (step_name, step) in enumerate(_steps(root.get(where))):
            job = step_name or f"{where} {number}"
            _step(out, step, f"{name}: {job}" if name else job, env)
            if where in {"steps", "pipeline"}:
                out.jobs.append(
                    Job(name=f"{name}: {job}" if name else job, line=step.line, runner=JobRunner(kind="self-hosted", labels=labels))
                )  # fmt: skip
    _server(out, mapping(root.get("server")))


def _server(out: DefinitionBuilder, server: Mapping) -> None:
    """Read the machine on which a pipeline of type ``ssh`` runs."""
    for key, value in server.pairs:
        held = text_at(value, "from_secret")
        if key.text in {"password", "ssh_key"} and held is not None:
            reference(out, value, held, None)
            out.logins.append(Login(service="ssh", how="static", secrets=[held], line=key.line))
        elif isinstance(value, Scalar):
            out.value(key.text, value, None)


def _steps(node: Node | None) -> Iterator[tuple[str | None, Mapping]]:
    for item in node.items if isinstance(node, Sequence) else []:
        if isinstance(item, Mapping):
            yield text(item.get("name")), item
    for key, value in mapping(node).pairs:
        if isinstance(value, Mapping):
            yield key.text, value


def _step(out: DefinitionBuilder, step: Mapping, job: str, above: dict[str, str]) -> None:
    image = text(step.get("image"))
    plain, stored = variables(out, step.get("environment"), job)
    for item in items(step.get("secrets")):  # the older form: a name, or source and target
        held = text(item) or text_at(item, "source")
        if held:
            stored[(text_at(item, "target") or held).upper()] = held
            reference(out, item, held, job)
    settings = {**_held(out, step.get("settings"), job)}
    if image:
        out.image(image, step.line, job, list(dict.fromkeys([*stored.values(), *settings.values()])))
    service = next(
        (service for word, service in _PLUGINS if image and word in image.split(":")[0].lower()), None
    )
    names = [secret for key, secret in settings.items() if key.lower() in _CREDENTIALS]
    if service is not None and names:
        out.logins.append(Login(service=service, how="static", secrets=names, line=step.line, job=job))
    shell = Shell({**above, **plain, **dict.fromkeys(stored, "")})
    for key in ("commands", "command"):
        for _, script in scalars(step.get(key)):
            out.script(script, job=job, shell=shell, scope="step")
    out.static_logins(shell, step.line, job=job, environment=None, stored=stored)


def _held(out: DefinitionBuilder, settings: Node | None, job: str) -> dict[str, str]:
    """Return the settings of a plugin that are stored secrets."""
    return variables(out, settings, job)[1]
