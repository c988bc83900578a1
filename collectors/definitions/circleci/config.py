"""``.circleci/config.yml`` -> `Definition`. Syntax: https://circleci.com/docs/reference/configuration-reference/.

A context is a store of secrets that a job gets whole. Every job of a project with contexts can ask for an OIDC token
(https://circleci.com/docs/guides/permissions-authentication/openid-connect-tokens/); its issuer and subject have ids that are
not in the file. Jobs and commands of the file are read with the parameters that are passed to them; those of orbs are not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionBuilder, text_at
from collectors.definitions.definition import DefinitionError, Job, JobRunner, Login, Unresolved, Use
from collectors.definitions.shell.variables import Shell
from collectors.definitions.stored_values import reference, variables
from collectors.definitions.yaml_nodes import (
    Mapping,
    Scalar,
    boolean,
    items,
    mapping,
    read,
    replaced,
    text,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.definition import Definition, Pin
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint

_PARAMETER = re.compile(r"<<\s*(?P<where>pipeline\.parameters|parameters)\.(?P<name>[\w-]+)\s*>>")
_STRANGERS = re.compile(
    r"<<\s*(?P<name>pipeline\.(?:git\.(?:branch|tag)|trigger_parameters\.[\w.-]+|event\.[\w.-]+|schedule\.name))\s*>>"
)
_EXACT = re.compile(r"\d+\.\d+\.\d+")
_LEVELS = 6
_MOST_STEPS = 5_000
_OIDC_ORBS = {
    "aws-cli/setup": ("aws", "role_arn"), "aws-cli/role_arn_setup": ("aws", "role_arn"), "aws-ecr/build_and_push_image": ("aws", "role_arn"),
    "aws-ecr/ecr_login": ("aws", "role_arn"), "aws-ecs/deploy_service_update": ("aws", "role_arn"), "aws-s3/sync": ("aws", "role_arn"),
    "gcp-cli/setup": ("gcp", "service_account_email"), "gcp-oidc-auth/authenticate": ("gcp", "service_account_email"),
    "azure-cli/login_with_oidc": ("azure", "client_id"), "vault/setup-vault": ("vault", "role"),
}  # fmt: skip
"""Command or job of an orb to service and the parameter for the identity."""


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Parse a configuration. Raises `DefinitionError`."""
    documents = read(source)
    if not documents or not isinstance(documents[0].root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    reader = _Reader(path, documents[0].root, fingerprint)
    reader.read()
    return reader.out.definition(documents=documents[:1], triggers=reader.triggers)


class _Reader:
    def __init__(self, path: str, root: Mapping, fingerprint: Fingerprint) -> None:
        self.out = DefinitionBuilder(path, "circleci", fingerprint)
        self.root = root
        self.triggers: dict[str, list[str]] = {}
        self.commands = mapping(root.get("commands"))
        self.defaults = _defaults(root)
        self.orbs: set[str] = set()
        self.steps = 0

    def read(self) -> None:
        for key, value in mapping(self.root.get("orbs")).pairs:
            self._orb(key, value)
        if boolean(self.root.get("setup")):
            what = "the configuration that this one continues with is computed"
            self.out.unresolved.append(Unresolved(line=self.root.line, what=what))
        jobs = mapping(self.root.get("jobs"))
        used: set[str] = set()
        for _, workflow in mapping(self.root.get("workflows")).pairs:
            if not isinstance(workflow, Mapping):
                continue
            for trigger in items(workflow.get("triggers")):
                if mapping(trigger).get("schedule") is not None:
                    self.triggers["schedule"] = []
            if workflow.get("triggers") is None:
                self.triggers["push"] = []
            for item in items(workflow.get("jobs")):
                used.add(self._of_workflow(item, jobs))
        for key, node in jobs.pairs:
            if key.text not in used and isinstance(node, Mapping):
                self._job(key.text, node, Mapping([], key.line, key.column, None))
        if not self.triggers:
            self.triggers["push"] = []

    def _orb(self, key: Scalar, value: Node) -> None:
        self.orbs.add(key.text)
        name = text(value)
        if name is None:  # written in the file
            return
        orb, _, version = name.partition("@")
        pin: Pin = (
            "sha" if _EXACT.fullmatch(version) else "branch" if version and version != "volatile" else "none"
        )
        self.out.uses.append(
            Use(kind="component", name=orb, ref=version or None, pin=pin, third_party=not orb.startswith("circleci/"), line=value.line)
        )  # fmt: skip
        if (
            pin != "sha"
        ):  # a published version never changes: https://circleci.com/docs/orbs/use/orb-concepts/
            self.out.problem(
                "unpinned-include", value.line, f"orb {orb} is referenced as {version or 'its newest version'}, which its author can move",
                severity="medium" if pin == "none" or version.startswith("dev:") else "low", fix="Name a full version, such as @1.2.3.",
            )  # fmt: skip

    def _of_workflow(self, item: Node, jobs: Mapping) -> str:
        """Read one job of a workflow. Returns its name in ``jobs``."""
        name, given = text(item), Mapping([], item.line, item.column, None)
        if isinstance(item, Mapping) and item.pairs:
            name, given = item.pairs[0][0].text, mapping(item.pairs[0][1])
        if name is None:
            return ""
        shown = text(given.get("name")) or name
        contexts = texts(given.get("context"))
        for context in contexts:
            reference(self.out, given.get("context") or item, context, shown, "circleci-context")
        node = jobs.get(name)
        if isinstance(node, Mapping):
            self._job(shown, node, given)
        elif "/" in name:
            self._of_orb(name, given, shown, item.line)
            self.out.jobs.append(Job(name=shown, line=item.line, runner=JobRunner(kind="hosted")))
        steps = [*items(given.get("pre-steps")), *items(given.get("post-steps"))]
        if steps:
            shell = Shell({})
            self._steps(steps, shown, shell, 0)
            self.out.static_logins(shell, item.line, job=shown, environment=None)
        return name

    def _job(self, shown: str, written: Mapping, given: Mapping) -> None:
        node = mapping(self._filled(written, given))
        plain, stored = variables(self.out, node.get("environment"), shown)
        executor = node.get("executor")
        held = text(executor) or text_at(executor, "name")
        executors = mapping(self.root.get("executors"))
        parts = [node, mapping(executors.get(held)) if held else Mapping([], node.line, 1, None)]
        own = None
        for part in parts:
            for image in items(part.get("docker")):
                self._image(mapping(image), shown)
            resource = text(part.get("resource_class"))
            own = own or (resource if resource and "/" in resource else None)
        runner = JobRunner(kind="self-hosted" if own else "hosted", labels=[own] if own else [])
        self.out.jobs.append(Job(name=shown, line=written.line, runner=runner))
        shell = Shell(plain)
        self._steps(items(node.get("steps")), shown, shell, 0)
        self.out.static_logins(shell, written.line, job=shown, environment=None, stored=stored)

    def _image(self, image: Mapping, job: str) -> None:
        name = text(image.get("image"))
        if name:
            self.out.image(name, image.line, job)
        self.out.values(image.get("environment"), job)
        for key, service in (("auth", "registry"), ("aws_auth", "aws")):
            login = mapping(image.get(key))
            role = login.get("role_arn")
            if isinstance(role, Scalar):
                self.out.logins.append(
                    Login(service="aws", how="oidc", targets=[role.text], line=role.line, job=job)
                )
                continue
            for name_, value in login.pairs:
                if not isinstance(value, Scalar) or name_.text not in {"password", "aws_secret_access_key"}:
                    continue
                if value.text.startswith("$"):
                    secret = value.text.strip("${}")
                    reference(self.out, value, secret, job)
                    self.out.logins.append(
                        Login(service=service, how="static", secrets=[secret], line=value.line, job=job)
                    )
                else:
                    self.out.value(name_.text, value, job)

    def _steps(self, steps: list[Node], job: str, shell: Shell, depth: int) -> None:
        for item in steps:
            self.steps += 1
            if self.steps > _MOST_STEPS or depth > _LEVELS:
                raise DefinitionError("truncated", "it has more steps than are read")
            if isinstance(item, Scalar):
                nothing = Mapping([], item.line, item.column, None)
                self._command((item.text, nothing, item.line), job, shell, depth)
                continue
            for key, value in mapping(item).pairs[:1]:
                if key.text == "run":
                    self._run(value, job, shell)
                elif key.text in {"when", "unless"}:
                    self._steps(items(mapping(value).get("steps")), job, shell, depth + 1)
                else:
                    self._command((key.text, mapping(value), key.line), job, shell, depth)

    def _run(self, node: Node, job: str, shell: Shell) -> None:
        script = node if isinstance(node, Scalar) else mapping(node).get("command")
        given = mapping(mapping(node).get("environment")).pairs
        for name, value in given:
            if isinstance(value, Scalar):
                self.out.reads(value, job=job, shell=shell, under=name.text)
        shell.assign(((n.text, v.text) for n, v in given if isinstance(v, Scalar)), macros=False)
        shell.env |= variables(self.out, mapping(node).get("environment"), job)[0]
        if not isinstance(script, Scalar):
            return
        self.out.script(script, job=job, shell=shell, scope="step")
        start = script.line + (1 if script.style in {"|", ">"} else 0)
        for number, line in enumerate(script.text.split("\n")):
            for match in _STRANGERS.finditer(line):
                self.out.problem(
                    "template-injection", start + number, f"`{match['name']}` is expanded into the script before it runs: whoever names the branch or tag can run code",
                    severity="medium", fix="Read the variable of the same meaning, such as $CIRCLE_BRANCH, and quote it.", job=job,
                )  # fmt: skip

    def _command(self, called: tuple[str, Mapping, int], job: str, shell: Shell, depth: int) -> None:
        name, given, line = called
        command = self.commands.get(name)
        if isinstance(command, Mapping):
            filled = mapping(self._filled(command, given))
            self._steps(items(filled.get("steps")), job, shell, depth + 1)
            for _, value in given.pairs:
                if items(value):
                    self._steps(items(value), job, shell, depth + 1)
        elif "/" in name:
            self._of_orb(name, given, job, line)

    def _of_orb(self, name: str, given: Mapping, job: str, line: int) -> None:
        """Read what is passed to a command or job of an orb, whose content is not at hand."""
        if name.split("/", 1)[0] not in self.orbs:
            return
        known = _OIDC_ORBS.get(name.replace("-", "_") if name not in _OIDC_ORBS else name) or _OIDC_ORBS.get(
            name
        )
        whom = given.get(known[1]) if known else None
        if known is not None and isinstance(whom, Scalar):
            self.out.logins.append(
                Login(service=known[0], how="oidc", targets=[whom.text], line=whom.line, job=job)
            )
        for key, value in given.pairs:
            if isinstance(value, Scalar):
                self.out.value(key.text, value, job)
        self.out.unresolved.append(Unresolved(line=line, what=f"`{name}` of an orb in job `{job}`"))

    def _filled(self, node: Mapping, given: Mapping) -> Node:
        values = _defaults(node) | {
            key.text: value.text for key, value in given.pairs if isinstance(value, Scalar)
        }

        def value(match: re.Match[str]) -> str:
            known = self.defaults if match["where"].startswith("pipeline") else values
            return known.get(match["name"], match.group())

        return replaced(node, lambda one: _PARAMETER.sub(value, one) if "<<" in one else one)


def _defaults(node: Mapping) -> dict[str, str]:
    return dict(_default_pairs(node))


def _default_pairs(node: Mapping) -> Iterator[tuple[str, str]]:
    for key, declared in mapping(node.get("parameters")).pairs:
        default = mapping(declared).get("default")
        if isinstance(default, Scalar):
            yield key.text, default.text
