"""``bitbucket-pipelines.yml`` -> `Definition`.

Syntax: https://support.atlassian.com/bitbucket-cloud/docs/bitbucket-pipelines-configuration-reference/. Secured
variables are not in the file; a variable that a script reads and the file does not set is listed as a reference.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionBuilder, joined, roles_in, text_at
from collectors.definitions.definition import DefinitionError, Deploy, Job, JobRunner, Login, Unresolved, Use
from collectors.definitions.shell.commands import ecs_service
from collectors.definitions.shell.variables import Shell, fill
from collectors.definitions.yaml_nodes import Mapping, Scalar, boolean, items, mapping, read, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.definition import Definition, Pin
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint

_VERSION = re.compile(r"v?\d+\.\d+\.\d+[\w.+-]*")


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Parse a pipeline definition. Raises `DefinitionError`."""
    documents = read(source)
    if not documents or not isinstance(documents[0].root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    root = documents[0].root
    out = DefinitionBuilder(path, "bitbucket-pipelines", fingerprint)
    _image(out, root.get("image"), None)
    for _, service in mapping(mapping(root.get("definitions")).get("services")).pairs:
        _image(out, mapping(service).get("image"), None)
        out.values(mapping(service).get("variables"), None)
    triggers: dict[str, list[str]] = {}
    for kind, name, node in _pipelines(mapping(root.get("pipelines"))):
        event, refs = _event(kind, name)
        known = triggers.setdefault(event, list(refs))
        if refs and known:
            triggers[event] = list(dict.fromkeys([*known, *refs]))
        imported = text_at(node, "import")
        if imported is not None:
            _import(out, imported, node.line)
        for item in items(node):
            for variable in items(mapping(item).get("variables")):
                default = mapping(variable).get("default")
                if isinstance(default, Scalar):
                    out.value(text_at(variable, "name") or "variable", default, None)
        for step in _steps(node):
            _step(out, step, name, refs)
    return out.definition(documents=documents[:1], triggers=triggers)


def _pipelines(node: Mapping) -> Iterator[tuple[str, str, Node]]:
    for key, value in node.pairs:
        if key.text == "default":
            yield "default", "default", value
        else:
            for name, pipeline in mapping(value).pairs:
                yield key.text, name.text, pipeline


def _event(kind: str, name: str) -> tuple[str, list[str]]:
    match kind:
        case "branches":
            return "push", [f"refs/heads/{name.replace('**', '*')}"]
        case "tags":
            return "push", [f"refs/tags/{name.replace('**', '*')}"]
        case "pull-requests":
            return "pull_request", []
        case "custom":
            return "workflow_dispatch", []
        case _:
            return "push", []


def _steps(node: Node | None, deployment: str | None = None) -> Iterator[tuple[Mapping, str | None]]:
    for item in items(node):
        part = mapping(item)
        step = part.get("step")
        if isinstance(step, Mapping):
            yield step, text(step.get("deployment")) or deployment
        parallel = part.get("parallel")
        if parallel is not None:
            inner = mapping(parallel).get("steps") if isinstance(parallel, Mapping) else parallel
            yield from _steps(inner, deployment)
        stage = part.get("stage")
        if isinstance(stage, Mapping):
            yield from _steps(stage.get("steps"), text(stage.get("deployment")))


def _image(out: DefinitionBuilder, node: Node | None, job: str | None) -> None:
    image = text(node) or text_at(node, "name")
    if node is None or image is None:
        return
    out.image(image, node.line, job)
    out.values(node if isinstance(node, Mapping) else None, job)
    shell = Shell({})
    for key, value in mapping(mapping(node).get("aws")).pairs:
        if key.text in {"access-key", "secret-key"} and isinstance(value, Scalar):
            out.reads(value, job=job, shell=shell, under="secret")
            out.logins.append(
                Login(service="aws", how="static", secrets=[value.text.strip("${}")], line=key.line, job=job)
            )
    password = mapping(node).get("password")
    if isinstance(password, Scalar) and password.text.startswith("$"):
        out.reads(password, job=job, shell=shell, under="password")
        out.logins.append(
            Login(
                service="registry",
                how="static",
                secrets=[password.text.strip("${}")],
                line=password.line,
                job=job,
            )
        )
    elif isinstance(password, Scalar):
        out.problem(
            "hardcoded-container-credentials",
            password.line,
            "the registry password is hard-coded in the file",
            severity="high",
            fix="Revoke the password and store the new one as a secured variable.",
            job=job,
        )


def _step(out: DefinitionBuilder, found: tuple[Mapping, str | None], pipeline: str, refs: list[str]) -> None:
    step, environment = found
    name = f"{pipeline}: {text(step.get('name')) or 'step'}"
    _image(out, step.get("image"), name)
    asked = step.get("oidc")
    token = boolean(asked) is True or isinstance(asked, Mapping)
    labels = texts(step.get("runs-on"))
    pipes: list[Mapping] = []
    scripts: list[Scalar] = []
    for part in ("script", "after-script"):
        for item in items(step.get(part)):
            if isinstance(item, Scalar):
                scripts.append(item)
            elif isinstance(item, Mapping):
                pipes.append(item)
    shell = Shell({})
    for scalar in scripts:
        out.script(scalar, job=name, shell=shell, environment=environment, scope="step")
    whole = "\n".join(scalar.text for scalar in scripts)
    role = text_at(step.get("image"), "aws", "oidc-role")
    roles = [role] if role else []
    roles += roles_in(whole, shell.env)
    for pipe in pipes:
        roles += _pipe(out, pipe, name, environment, shell, token=token)
    if token or role:
        out.logins.append(
            Login(
                service=_service(roles, joined(step).lower()),
                how="oidc",
                targets=list(dict.fromkeys(roles)),
                audience=text_at(asked, "audience"),
                line=step.line,
                job=name,
                environment=environment,
                token_allowed=token,
            )
        )
    out.static_logins(shell, step.line, job=name, environment=environment)
    out.jobs.append(
        Job(
            name=name,
            line=step.line,
            environment=environment,
            identity_token=token,
            refs=refs,
            runner=JobRunner(
                kind="self-hosted" if any(label.startswith("self.hosted") for label in labels) else "hosted",
                labels=labels,
            ),
        )
    )
    if any(label.startswith("self.hosted") for label in labels):
        out.problem(
            "self-hosted-runner",
            step.line,
            f"runs on a self-hosted runner with labels {', '.join(labels)}",
            severity="medium",
            fix="Use ephemeral runners that only this repository can use.",
            job=name,
        )


def _service(roles: list[str], whole: str) -> str:
    """Return the cloud that a step's token is for, from the step's commands."""
    if roles or "aws" in whole:
        return "aws"
    for word, service in (("gcloud", "gcp"), ("google", "gcp"), ("azure", "azure"), ("vault", "vault")):
        if word in whole:
            return service
    return "unknown"


def _import(out: DefinitionBuilder, named: str, line: int) -> None:
    """Record a pipeline of another repository: ``import: repository:tag-or-branch:pipeline``."""
    name, _, rest = named.partition(":")
    ref = rest.partition(":")[0] or None
    pin: Pin = "none" if ref is None else "tag" if _VERSION.fullmatch(ref) else "branch"
    out.uses.append(Use(kind="include", name=name, ref=ref, pin=pin, third_party=False, line=line))
    out.unresolved.append(Unresolved(line=line, what=f"imports the pipeline {named}"))
    out.problem(
        "unpinned-include", line, f"imports {named}: anyone who can push there can change this pipeline",
        severity="low", fix="Reference a tag and protect it.",
    )  # fmt: skip


def _pipe(
    out: DefinitionBuilder, node: Mapping, job: str, environment: str | None, shell: Shell, *, token: bool
) -> list[str]:
    """Record a pipe. Returns the roles that it requests."""
    named = text(node.get("pipe"))
    if named is None:
        return []
    name, _, version = named.removeprefix("docker://").partition("@")[0].partition(":")
    name = f"docker://{name}" if named.startswith("docker://") else name
    env = shell.env
    given = out.values(node.get("variables"), job)
    for key, value in mapping(node.get("variables")).pairs:
        if isinstance(value, Scalar):
            out.reads(value, job=job, shell=shell, environment=environment, scope="step", under=key.text)
    shell.assign(given.items(), macros=False)
    if name.startswith("atlassian/google-") and "KEY_FILE" in given:
        shell.assign([("GCP_KEY_FILE", given["KEY_FILE"])], macros=False)
    if (
        name.startswith("atlassian/aws-")
        and not token
        and not any(key.startswith(("AWS_ACCESS_KEY", "AWS_SECRET", "AWS_OIDC")) for key in given)
    ):
        shell.read.update(dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")))  # its defaults
    pin = (
        "sha"
        if "@sha256:" in named
        else "tag"
        if _VERSION.fullmatch(version)
        else "branch"
        if version
        else "none"
    )
    third = not name.removeprefix("docker://").startswith("atlassian/")
    secrets = [ref.name for ref in out.secrets if ref.job == job]
    match pin:
        case "sha" | "tag" | "branch" | "none":
            out.uses.append(
                Use(kind="pipe", name=name, ref=version or None, pin=pin, third_party=third, secrets=secrets, line=node.line, job=job)
            )  # fmt: skip
    if pin != "sha":
        out.problem(
            "unpinned-uses",
            node.line,
            f"pipe {named} can be changed by its publisher",
            severity="medium" if third else "low",
            fix="Use docker://image@sha256:<digest> for third-party pipes.",
            job=job,
        )
    role = given.get("AWS_OIDC_ROLE_ARN") or given.get("AWS_ROLE_ARN")
    target = {
        "atlassian/aws-lambda-deploy": ("aws:lambda-function-name", "FUNCTION_NAME"),
        "atlassian/google-cloud-run-deploy": ("gcp:cloud-run-service-name", "SERVICE"),
        "atlassian/azure-web-apps-deploy": ("azure:webapp-name", "AZURE_APP_NAME"),
        "microsoft/azure-web-apps-deploy": ("azure:webapp-name", "AZURE_APP_NAME"),
    }.get(name)
    address: str | None = None
    if name == "atlassian/aws-ecs-deploy":
        address = ecs_service(
            fill(given.get("CLUSTER_NAME", "default"), env), fill(given.get("SERVICE_NAME", ""), env)
        )
    elif target is not None and given.get(target[1]):
        address = f"{target[0]}:{fill(given[target[1]], env)}"
    if address and "$" not in address:
        out.deploys.append(Deploy(target=address, line=node.line, job=job, environment=environment))
    return [fill(role, env)] if role else []
