"""``.travis.yml`` -> `Definition`. Syntax: https://docs.travis-ci.com/user/customizing-the-build/.

Values under ``secure:`` are encrypted for the repository and no leak; variables of the repository's settings are not in the
file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionBuilder
from collectors.definitions.definition import DefinitionError, Job, JobRunner, Login, Unresolved
from collectors.definitions.shell.variables import Shell
from collectors.definitions.stored_values import reference
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
    from collectors.definitions.definition import Definition
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint

_PHASES = ("before_install", "install", "before_script", "script", "after_success", "after_failure", "before_deploy", "after_deploy", "after_script")  # fmt: skip
_PROVIDERS = {
    **dict.fromkeys(("s3", "lambda", "elasticbeanstalk", "codedeploy", "opsworks", "ecr", "cloudformation"), "aws"),
    **dict.fromkeys(("gcs", "gae"), "gcp"), "azure_web_apps": "azure", "pypi": "pypi", "npm": "npm", "rubygems": "rubygems",
    "cargo": "crates", "heroku": "heroku", "netlify": "netlify", "releases": "github", "pages": "github", "flynn": "flynn",
    "cloudfoundry": "cloudfoundry", "openshift": "openshift", "surge": "surge", "snap": "snap", "bintray": "bintray",
}  # fmt: skip
"""https://docs.travis-ci.com/user/deployment/."""
_CREDENTIALS = frozenset(
    ("access_key_id", "secret_access_key", "password", "api_key", "api_token", "token", "github_token", "oauth_token", "keyfile", "key", "auth", "client_secret", "deploy_key")
)  # fmt: skip
_ASSIGNED = re.compile(r"(?<!\w)(?P<name>[A-Za-z_]\w*+)=(?P<value>\"[^\"]*\"|'[^']*'|\S*)")


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Parse a build configuration. Raises `DefinitionError`."""
    documents = read(source)
    if not documents or not isinstance(documents[0].root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    root = documents[0].root
    out = DefinitionBuilder(path, "travis", fingerprint)
    env = _variables(out, root.get("env"), None)
    imported = root.get("import")
    for item in items(imported) or [one for one in (imported,) if one is not None]:
        named = text(item) or text(mapping(item).get("source")) or "?"
        out.unresolved.append(Unresolved(line=item.line, what=f"the imported file {named}"))
    _job(out, root, "build", env)
    for key in ("jobs", "matrix"):
        for number, item in enumerate(items(mapping(root.get(key)).get("include"))):
            part = mapping(item)
            name = text(part.get("name")) or text(part.get("stage")) or f"job {number + 1}"
            _job(out, part, name, env | _variables(out, part.get("env"), name))
    return out.definition(documents=documents[:1], triggers={"push": [], "pull_request": []})


def _job(out: DefinitionBuilder, node: Mapping, name: str, env: dict[str, str]) -> None:
    group = text(node.get("group"))
    out.jobs.append(
        Job(
            name=name,
            line=node.line,
            runner=JobRunner(kind="hosted", labels=texts(node.get("os")), group=group),
        )
    )
    shell = Shell(env)
    for phase in _PHASES:
        for _, script in scalars(node.get(phase)):
            out.script(script, job=name, shell=shell, scope="step")
    deploy = node.get("deploy")
    for item in items(deploy) or ([deploy] if isinstance(deploy, Mapping) else []):
        _deploy(out, mapping(item), name, shell)
    out.static_logins(shell, node.line, job=name, environment=None)


def _deploy(out: DefinitionBuilder, node: Mapping, job: str, shell: Shell) -> None:
    provider = text(node.get("provider")) or ""
    if provider == "script":
        script = node.get("script")
        if isinstance(script, Scalar):
            out.script(script, job=job, shell=shell, scope="step")
        return
    held: list[str] = []
    found = False
    for key, value in node.pairs:
        if key.text not in _CREDENTIALS:
            continue
        if mapping(value).get("secure") is not None:
            found = True
        elif isinstance(value, Scalar) and value.text.strip().startswith("$"):
            name = value.text.strip().strip("${}\"'")
            reference(out, value, name, job)
            held.append(name)
        elif isinstance(value, Scalar):
            before = len(out.hard_coded)
            out.value(key.text, value, job)
            found = found or len(out.hard_coded) > before
    service = _PROVIDERS.get(provider)
    if service is not None and (held or found):
        out.logins.append(Login(service=service, how="static", secrets=held, line=node.line, job=job))


def _variables(out: DefinitionBuilder, node: Node | None, job: str | None) -> dict[str, str]:
    """Read ``env:``: texts of one or more assignments, mappings, or ``global`` and ``jobs`` with lists of them."""
    found: dict[str, str] = {}
    if isinstance(node, Scalar):
        for match in _ASSIGNED.finditer(node.text[:5_000]):
            value = match["value"].strip("\"'")
            found[match["name"]] = value
            out.value(match["name"], Scalar(value, node.line, node.column, None, node.style), job)
    for item in node.items if isinstance(node, Sequence) else []:
        found |= _variables(out, item, job)
    for key, value in mapping(node).pairs:
        if key.text in {"global", "jobs", "matrix"}:
            made = _variables(out, value, job)
            found |= made if key.text == "global" else {}
        elif key.text != "secure" and isinstance(value, Scalar):
            found[key.text] = value.text
            out.value(key.text, value, job)
    return found
