"""``cloudbuild.yaml`` -> `Definition`. Schema: https://cloud.google.com/build/docs/build-config-file-schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionBuilder, text_at
from collectors.definitions.definition import DefinitionError, Job, JobRunner, Reference, Unresolved
from collectors.definitions.shell.variables import Shell, fill
from collectors.definitions.yaml_nodes import Mapping, Scalar, items, mapping, read, text, texts

if TYPE_CHECKING:
    from collectors.definitions.definition import Definition
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Parse a build configuration, YAML or JSON. Raises `DefinitionError`."""
    documents = read(source)
    if not documents or not isinstance(documents[0].root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    root = documents[0].root
    out = DefinitionBuilder(path, "cloudbuild", fingerprint)
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
        Job(
            name="build",
            line=root.line,
            runner=JobRunner(kind="self-hosted" if pool else "hosted", group=pool),
        )
    )
    for number, item in enumerate(items(root.get("steps"))):
        _step(out, item, f"step {number}", options=options, env=env, names=names)
    account = text(root.get("serviceAccount"))
    if account is None:
        out.unresolved.append(Unresolved(line=root.line, what="the service account is set on the trigger"))
    return out.definition(documents=documents[:1], service_accounts=[fill(account, env)] if account else [])


_SHELLS = frozenset(("bash", "sh", "ash", "dash", "zsh", "env"))
_PROGRAMS = {"cloud-sdk": "gcloud", "google-cloud-cli": "gcloud"}


def _step(
    out: DefinitionBuilder,
    item: Node,
    number: str,
    *,
    options: Mapping,
    env: dict[str, str],
    names: dict[str, str],
) -> None:
    """Record one step. ``names``: variable to the name of its secret."""
    step = mapping(item)
    job = text(step.get("id")) or number
    held = [*texts(step.get("secretEnv")), *texts(options.get("secretEnv"))]
    image = text(step.get("name"))
    if image and not image.startswith("$"):
        out.image(image, item.line, job, [names.get(name, name) for name in held])
    shell = Shell({**env, **dict.fromkeys([*names, *held], "")})
    for pair in [*items(options.get("env")), *items(step.get("env"))]:
        if isinstance(pair, Scalar):
            key, _, value = pair.text.partition("=")
            out.value(key, Scalar(value, pair.line, pair.column, None, pair.style), job)
            shell.env[key] = value.replace("$$", "$")
    cluster = fill(shell.env.get("CLOUDSDK_CONTAINER_CLUSTER", ""), shell.env)
    if cluster and "$" not in cluster:
        shell.clusters["name"] = (
            cluster  # https://github.com/GoogleCloudPlatform/cloud-builders/tree/master/kubectl
        )
    script = step.get("script")
    if isinstance(script, Scalar):
        out.script(script, job=job, shell=shell, scope="step")
    args = [arg for arg in items(step.get("args")) if isinstance(arg, Scalar)]
    program = (text(step.get("entrypoint")) or (image or "").rsplit("/", 1)[-1]).split(":", 1)[0]
    program = program.rsplit("/", 1)[-1]
    if args and program in _SHELLS:
        # The argument after -c is the script; $$ is the shell's $.
        flag = next((at for at, arg in enumerate(args) if re.fullmatch(r"-\w*c", arg.text)), -1)
        given = args[flag + 1] if -1 < flag < len(args) - 1 else args[-1]
        whole = Scalar(_filled(given.text, env), given.line, given.column, None, given.style)
        out.script(whole, job=job, shell=shell, scope="step")
    elif args:
        words = [_PROGRAMS.get(program, program), *(_quoted(_filled(arg.text, env)) for arg in args)]
        out.script(
            Scalar(" ".join(words), item.line, item.column, None, ""), job=job, shell=shell, scope="step"
        )
    stored = {name: names.get(name, name) for name in held}
    out.static_logins(shell, item.line, job=job, environment=None, stored=stored)


def _filled(script: str, env: dict[str, str]) -> str:
    return fill(script.replace("$$", "\0"), env).replace("\0", "$")


def _quoted(word: str) -> str:
    return f"'{word}'" if re.search(r"[\s;&|]", word) and "'" not in word else word
