"""``cloudbuild.yaml`` -> `Definition`. Schema: https://cloud.google.com/build/docs/build-config-file-schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.ci_files.definition import DefinitionError, Job, Reference, Runner
from collectors.ci_files.gathered import Gathered, fill, text_at
from collectors.ci_files.yaml_nodes import Mapping, Scalar, items, mapping, read, text, texts

if TYPE_CHECKING:
    from collectors.ci_files.definition import Definition
    from scanner.detectors import Fingerprint


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Read a build configuration, YAML or JSON. Raises `DefinitionError`."""
    documents = read(source)
    if not documents or not isinstance(documents[0].root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    root = documents[0].root
    out = Gathered(path, "cloudbuild", fingerprint)
    env = out.values(root.get("substitutions"), None)
    names: dict[str, str] = {}
    available = mapping(root.get("availableSecrets"))
    for item in items(available.get("secretManager")):
        version = text_at(item, "versionName") or "?"
        match = re.search(r"secrets/([^/]+)", version)
        name = match.group(1) if match else version
        names[text_at(item, "env") or name] = name
        out.secrets.append(
            Reference(name=name, line=item.line, column=item.column, scope="workflow", store="secret-manager")
        )
    for item in [*items(available.get("inline")), *items(root.get("secrets"))]:
        key = text_at(item, "kmsKeyName") or "?"
        held = mapping(item).get("envMap") or mapping(item).get("secretEnv")
        for name_node, _ in mapping(held).pairs:
            names[name_node.text] = name_node.text
            out.secrets.append(
                Reference(name=name_node.text, line=name_node.line, column=name_node.column, scope="workflow", store=f"kms:{key}")
            )  # fmt: skip
    options = mapping(root.get("options"))
    pool = text_at(options, "pool", "name")
    out.jobs.append(
        Job(name="build", line=root.line, runner=Runner(kind="self-hosted" if pool else "hosted", group=pool))
    )
    for number, item in enumerate(items(root.get("steps"))):
        step = mapping(item)
        job = text(step.get("id")) or f"step {number}"
        seen = [
            names.get(name, name)
            for name in [*texts(step.get("secretEnv")), *texts(options.get("secretEnv"))]
        ]
        image = text(step.get("name"))
        if image and not image.startswith("$"):
            out.image(image, item.line, job, seen)
        for pair in [*items(step.get("env")), *items(options.get("env"))]:
            if isinstance(pair, Scalar):
                key, _, value = pair.text.partition("=")
                out.value(key, Scalar(value, pair.line, pair.column, None, pair.style), job)
        script = step.get("script")
        if isinstance(script, Scalar):
            out.script(script, job=job, env={**env, **dict.fromkeys(names, "")}, scope="step")
        args = texts(step.get("args"))
        if args:
            program = (text(step.get("entrypoint")) or (image or "").rsplit("/", 1)[-1]).split(":", 1)[0]
            program = {"cloud-sdk": "gcloud", "google-cloud-cli": "gcloud"}.get(program, program)
            line = args[-1] if program in {"bash", "sh"} else " ".join([program, *args])
            out.script(
                Scalar(fill(line.replace("$$", "$"), env), item.line, item.column, None, ""),
                job=job,
                env={**env, **dict.fromkeys(names, "")},
                scope="step",
            )
    account = text(root.get("serviceAccount"))
    if account is None:
        out.indirect.append(f"line {root.line}: the service account is that of the trigger")
    return out.definition(documents=documents[:1], service_accounts=[account] if account else [])
