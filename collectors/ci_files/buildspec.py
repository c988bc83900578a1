"""``buildspec.yml`` of AWS CodeBuild -> `Definition`.

Syntax: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html. The role is that of the CodeBuild
project, not of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.ci_files.definition import DefinitionError, Job, Reference
from collectors.ci_files.gathered import Gathered
from collectors.ci_files.yaml_nodes import Mapping, Scalar, items, mapping, read, texts

if TYPE_CHECKING:
    from collectors.ci_files.definition import Definition
    from scanner.detectors import Fingerprint


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Read a build specification. Raises `DefinitionError`."""
    documents = read(source)
    if not documents or not isinstance(documents[0].root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    root = documents[0].root
    out = Gathered(path, "buildspec", fingerprint)
    env_node = mapping(root.get("env"))
    env = out.values(env_node.get("variables"), None)
    for part, store in (("parameter-store", "parameter-store"), ("secrets-manager", "secrets-manager")):
        for key, value in mapping(env_node.get(part)).pairs:
            if not isinstance(value, Scalar):
                continue
            name = (
                value.text
                if store == "parameter-store" or value.text.startswith("arn:")
                else value.text.split(":", 1)[0]
            )
            out.secrets.append(
                Reference(name=name, line=key.line, column=key.column, scope="workflow", store=store)
            )
            env.setdefault(key.text, "")
    exported = texts(env_node.get("exported-variables"))
    out.jobs.append(Job(name="build", line=root.line))
    for key, phase in mapping(root.get("phases")).pairs:
        for part in ("commands", "finally"):
            for item in items(mapping(phase).get(part)):
                if isinstance(item, Scalar):
                    out.script(item, job=key.text, env=env, scope="step")
                    out.static_logins(item.text, item.line, job=key.text, environment=None, env=env)
    for name in exported:
        if any(ref.name == name for ref in out.secrets):
            out.problem(
                "secrets-in-output", env_node.line, f"exports {name} to later stages in clear",
                severity="medium", fix="Let the later stage read the secret itself.",
            )  # fmt: skip
    out.indirect.append(f"line {root.line}: the role is that of the CodeBuild project")
    return out.definition(documents=documents[:1])
