"""``buildspec.yml`` of AWS CodeBuild -> `Definition`.

Syntax: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html,
https://docs.aws.amazon.com/codebuild/latest/userguide/batch-build-buildspec.html. The role is configured in the
CodeBuild project, not in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionBuilder, text_at
from collectors.definitions.definition import DefinitionError, Job, Reference, Unresolved
from collectors.definitions.shell.variables import Shell
from collectors.definitions.yaml_nodes import Mapping, Scalar, items, mapping, read, texts

if TYPE_CHECKING:
    from collectors.definitions.definition import Definition
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Parse a build specification. Raises `DefinitionError`."""
    documents = read(source)
    if not documents or not isinstance(documents[0].root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    root = documents[0].root
    out = DefinitionBuilder(path, "buildspec", fingerprint)
    env_node = mapping(root.get("env"))
    shell = Shell(out.values(env_node.get("variables"), None))
    stored = _stored(out, env_node)
    for name in stored:
        shell.env.setdefault(name, "")
    for _, value in mapping(env_node.get("variables")).pairs:
        if isinstance(value, Scalar):
            out.reads(value, job=None, shell=shell)
    out.jobs.append(Job(name="build", line=root.line))
    _batch(out, mapping(root.get("batch")))
    for key, phase in mapping(root.get("phases")).pairs:
        for part in ("commands", "finally"):
            for item in items(mapping(phase).get(part)):
                if isinstance(item, Scalar):
                    out.script(item, job=key.text, shell=shell, scope="step")
    out.static_logins(shell, root.line, job="build", environment=None, stored=stored)
    exported = env_node.get("exported-variables")
    for name in texts(exported):
        if name in stored and exported is not None:
            out.problem(
                "secrets-in-output", exported.line, f"exports {name} to later stages in plaintext",
                severity="medium", fix="Read the secret from the secret store in the later stage.",
            )  # fmt: skip
    out.unresolved.append(Unresolved(line=root.line, what="the role is set on the CodeBuild project"))
    return out.definition(documents=documents[:1])


def _stored(out: DefinitionBuilder, env: Mapping) -> dict[str, str]:
    """Record the stored secrets that become variables. Returns variable to name in its store."""
    stored: dict[str, str] = {}
    for store in ("parameter-store", "secrets-manager"):
        for key, value in mapping(env.get(store)).pairs:
            if not isinstance(value, Scalar):
                continue
            name = value.text
            if store == "secrets-manager":
                # secret-id:json-key:version-stage:version-id; if secret-id is an ARN, it contains six colons.
                name = ":".join(name.split(":")[:7]) if name.startswith("arn:") else name.split(":", 1)[0]
            out.secrets.append(
                Reference(name=name, line=key.line, column=key.column, scope="workflow", store=store)
            )
            stored[key.text] = name
    return stored


def _batch(out: DefinitionBuilder, batch: Mapping) -> None:
    """Record the builds of a batch, each with its own variables and image."""
    matrix = mapping(batch.get("build-matrix"))
    builds: list[Node] = [
        *items(batch.get("build-graph")), *items(batch.get("build-list")), *items(batch.get("build-fanout")),
        *(node for node in (matrix.get("static"), matrix.get("dynamic")) if node is not None),
    ]  # fmt: skip
    for item in builds:
        env = mapping(mapping(item).get("env"))
        out.values(env.get("variables"), text_at(item, "identifier"))
        image = text_at(env, "image")
        if image is not None and not image.startswith("aws/codebuild/"):
            out.image(image, item.line, text_at(item, "identifier"))
