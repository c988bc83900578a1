"""``.buildkite/pipeline.yml`` -> `Definition`. Syntax: https://buildkite.com/docs/pipelines/configure/step-types.

Agents are the customer's own, unless a queue is hosted, which the file does not say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionBuilder, text_at
from collectors.definitions.definition import DefinitionError, Job, JobRunner, Login, Unresolved, Use
from collectors.definitions.shell.variables import Shell
from collectors.definitions.stored_values import reference, variables
from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, items, mapping, read, scalars, text

if TYPE_CHECKING:
    from collectors.definitions.definition import Definition, Pin, RunnerKind
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint

_LEVELS = 4
_SHA = re.compile(r"[0-9a-f]{40}")
_VERSION = re.compile(r"v?\d+(?:\.\d+){0,3}")
_UPLOAD = re.compile(r"\bbuildkite-agent\s+pipeline\s+upload\b")
_STRANGERS = re.compile(
    r"(?<![$\\])\$\{?(?P<name>BUILDKITE_(?:MESSAGE|BRANCH|TAG|BUILD_AUTHOR|BUILD_CREATOR|PULL_REQUEST_(?:REPO|LABELS)))\b"
)
"""Variables that outsiders write. ``pipeline upload`` replaces them in the text before a shell sees it; ``$$`` is left.

https://buildkite.com/docs/pipelines/configure/environment-variables#runtime-variable-interpolation.
"""
_OIDC_PLUGINS = {
    "aws-assume-role-with-web-identity": ("aws", "role-arn"),
    "gcp-workload-identity-federation": ("gcp", "service-account"),
    "vault-oidc-auth": ("vault", "vault-role"),
}


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Parse a pipeline, YAML or JSON. Raises `DefinitionError`."""
    documents = read(source)
    root = documents[0].root if documents else None
    if not isinstance(root, Mapping | Sequence):
        raise DefinitionError("malformed", "the file is neither a mapping nor a list")
    reader = _Reader(path, mapping(root), fingerprint)
    reader.steps(items(mapping(root).get("steps") if isinstance(root, Mapping) else root), 0)
    triggers: dict[str, list[str]] = {"push": []}
    return reader.out.definition(documents=documents[:1], triggers=triggers)


class _Reader:
    def __init__(self, path: str, root: Mapping, fingerprint: Fingerprint) -> None:
        self.out = DefinitionBuilder(path, "buildkite", fingerprint)
        self.root = root
        self.env = variables(self.out, root.get("env"), None)[0]
        self.stored = self._secrets(root, None)
        self.count = 0

    def _secrets(self, node: Mapping, job: str | None) -> dict[str, str]:
        """Return variable to secret: https://buildkite.com/docs/pipelines/security/secrets/buildkite-secrets."""
        given = node.get("secrets")
        found: dict[str, str] = {}
        for item in items(given):
            if isinstance(item, Scalar):
                found[item.text] = item.text
                reference(self.out, item, item.text, job, "buildkite-secrets")
        for key, value in mapping(given).pairs:
            if isinstance(value, Scalar):
                found[key.text] = value.text
                reference(self.out, value, value.text, job, "buildkite-secrets")
        return found

    def steps(self, nodes: list[Node], depth: int) -> None:
        if depth > _LEVELS:
            raise DefinitionError("truncated", "its groups are nested deeper than is read")
        for item in nodes:
            step = mapping(item)
            self.count += 1
            if step.get("steps") is not None:
                self.steps(items(step.get("steps")), depth + 1)
            elif step.get("command") is not None or step.get("commands") is not None or "plugins" in step:
                self._step(step)
            elif step.get("trigger") is not None:
                what = f"the pipeline {text(step.get('trigger'))} that step {self.count} starts"
                self.out.unresolved.append(Unresolved(line=item.line, what=what))

    def _step(self, step: Mapping) -> None:
        job = text(step.get("key")) or text(step.get("label")) or f"step {self.count}"
        plain, _ = variables(self.out, step.get("env"), job)
        stored = self.stored | self._secrets(step, job)
        shell = Shell({**self.env, **plain, **dict.fromkeys(stored, "")})
        agents = mapping(step.get("agents") or self.root.get("agents"))
        labels = [f"{key.text}={value.text}" for key, value in agents.pairs if isinstance(value, Scalar)]
        queue = text(agents.get("queue"))
        kind: RunnerKind = "unknown" if queue else "self-hosted"
        self.out.jobs.append(
            Job(name=job, line=step.line, runner=JobRunner(kind=kind, labels=labels, group=queue))
        )
        self.out.image(text(step.get("image")), step.line, job)
        for item in items(step.get("plugins")):
            self._plugin(item, job)
        for key in ("command", "commands"):
            for _, script in scalars(step.get(key)):
                self._script(script, job, shell)
        self.out.static_logins(shell, step.line, job=job, environment=None, stored=stored)

    def _script(self, script: Scalar, job: str, shell: Shell) -> None:
        self.out.script(script, job=job, shell=shell, scope="step")
        start = script.line + (1 if script.style in {"|", ">"} else 0)
        for number, line in enumerate(script.text.split("\n")):
            if _UPLOAD.search(line):
                what = f"the steps that job `{job}` uploads are computed"
                self.out.unresolved.append(Unresolved(line=start + number, what=what))
            match = _STRANGERS.search(line)
            if match is not None:
                self.out.problem(
                    "template-injection", start + number, f"${match['name']} is expanded into the command when the pipeline is uploaded: whoever writes the commit or branch can run code",
                    severity="medium", fix="Write $$ before the name, so that the shell reads the variable, and quote it.", job=job,
                )  # fmt: skip

    def _plugin(self, item: Node, job: str) -> None:
        written, given = text(item), Mapping([], item.line, 1, None)
        if isinstance(item, Mapping) and item.pairs:
            written, given = item.pairs[0][0].text, mapping(item.pairs[0][1])
        if not written:
            return
        name, _, ref = written.partition("#")
        pin: Pin = (
            "sha"
            if _SHA.fullmatch(ref)
            else "tag"
            if _VERSION.fullmatch(ref)
            else "branch"
            if ref
            else "none"
        )
        if name.startswith(("./", "/")):
            pin = "local"
        self.out.uses.append(
            Use(kind="component", name=name, ref=ref or None, pin=pin, third_party="/" in name and pin != "local", line=item.line, job=job)
        )  # fmt: skip
        if pin in {"none", "branch"}:
            self.out.problem(
                "unpinned-include", item.line, f"plugin {name} is referenced by {'a branch' if ref else 'its default branch'}, which its author can move",
                severity="medium", fix="Name a version or a commit behind #.", job=job,
            )  # fmt: skip
        short = name.rsplit("/", 1)[-1].removesuffix("-buildkite-plugin").removesuffix(".git")
        for key, value in given.pairs:
            if isinstance(value, Scalar):
                self.out.value(key.text, value, job)
        if short in _OIDC_PLUGINS:
            service, key_name = _OIDC_PLUGINS[short]
            whom = text_at(given, key_name)
            self.out.logins.append(
                Login(service=service, how="oidc", targets=[whom] if whom else [], line=item.line, job=job)
            )
        image = text(given.get("image")) if short == "docker" else None
        self.out.image(image, item.line, job)
