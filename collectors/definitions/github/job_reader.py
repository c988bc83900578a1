"""Reads the jobs and steps of a GitHub workflow: what they sign in to, use, deploy, read and contain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionParts
from collectors.definitions.definition import (
    FILE,
    Deploy,
    HardCoded,
    Job,
    JobRunner,
    Reference,
    Unresolved,
    Use,
)
from collectors.definitions.github.logins import (
    environment_logins,
    fill,
    step_deploys,
    step_environment,
    step_logins,
)
from collectors.definitions.github.references import references
from collectors.definitions.github.steps import (
    RawJob,
    WorkflowStep,
    environments_of,
    expand,
    is_third_party,
    pin_of,
    runner_kind,
    secret_names,
    split_uses,
)
from collectors.definitions.images import image_pin
from collectors.definitions.shell.commands import deploy_targets, hard_coded
from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, mapping, text
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collectors.definitions.definition import Scope
    from collectors.definitions.github.calls import Calls
    from collectors.definitions.yaml_nodes import Node
    from scanner.secrets.detectors import Fingerprint, Seen


class JobReader(DefinitionParts):
    """Collects what the jobs of one workflow contain."""

    def __init__(
        self, path: str, root: Mapping, fingerprint: Fingerprint, owner: str | None, calls: Calls
    ) -> None:
        super().__init__(path, fingerprint)
        self.root = root
        self.owner = owner
        self.calls = calls
        self.lines: list[str] = []
        self.env = mapping(root.get("env"))
        self.called = False
        """Whether it is a part of another definition, which calls it: its values are reported where they are written."""

    def read_job(self, job: RawJob, called: bool) -> Job:
        """Read a job. ``called``: whether only other workflows start it, so that its permissions are theirs."""
        token = None if job.permissions is None and called else _may_request_token(job.permissions)
        self.read_references(job.node, "job", job.key, job.environment)
        for step in job.steps:
            if step.line // FILE != job.line // FILE:
                self.read_references(step.node, "step", job.key, job.environment)
        self.check_values(job.env, job.key)
        self.logins += environment_logins(job.env, job.line, job.key, job.environment, token)
        if job.calls is not None:
            self._call(job)
            self.check_values(mapping(job.node.get("with")), job.key)
        container = job.node.get("container")
        self._container(container, job, "container")
        for _, service in mapping(job.node.get("services")).pairs:
            self._container(service, job, "service")
        self.read_steps(job, token)
        kind = runner_kind(job.runs_on, job.group)
        if kind == "unknown" and any("${{" in label for label in job.runs_on):
            self.unresolved.append(
                Unresolved(line=job.line, what=f"the runner of job `{job.key}` is computed")
            )
        environment = job.environment
        if environment == "*":
            environment = next(iter(environments_of(job)), "*")
        if environment == "*":
            self.unresolved.append(
                Unresolved(line=job.line, what=f"the environment of job `{job.key}` is computed")
            )
        return Job(
            name=job.key,
            line=job.line,
            runner=None if job.calls else JobRunner(kind=kind, labels=job.runs_on, group=job.group),
            environment=environment,
            permissions=job.permissions,
            identity_token=token,
            calls=job.calls,
        )

    def _call(self, job: RawJob) -> None:
        name, ref = split_uses(job.calls or "")
        passed = job.node.get("secrets")
        names = ["*"] if text(passed) == "inherit" else secret_names(passed, job.node.get("with"))
        if text(passed) == "inherit":
            line = line_of(job.node, "secrets")
            self.secrets.append(
                Reference(
                    name="*",
                    line=line,
                    column=passed.column if passed else 1,
                    scope="job",
                    job=job.key,
                    environment=job.environment,
                    via="inherit",
                )
            )
        self.uses.append(
            Use(
                kind="reusable-workflow",
                name=name,
                ref=ref,
                pin=pin_of(name, ref),
                third_party=is_third_party(name, self.owner),
                secrets=names,
                line=line_of(job.node, "uses"),
                job=job.key,
            )
        )

    def _container(self, node: Node | None, job: RawJob, what: str) -> None:
        image = text(node) or text(mapping(node).get("image"))
        if node is None or not image:
            return
        self.check_values(mapping(mapping(node).get("env")), job.key)
        secrets = secret_names(mapping(node).get("env"))
        for made in expand(image, {}, job.matrix):
            self.read_image(made.removeprefix("docker://"), node.line, job.key, secrets)
        password = mapping(mapping(node).get("credentials")).get("password")
        if isinstance(password, Scalar) and password.text and "${{" not in password.text:
            seen = inspect(f"{what}_password", password.text, self.fingerprint)
            if seen is not None:
                self._hard(f"{what}.credentials.password", password.line, password.column, seen, job.key)

    def read_image(self, image: str, line: int, job: str | None, secrets: list[str]) -> None:
        """Record a container image."""
        if not image.strip() or image.strip().startswith("${{"):
            return
        name = image.split("@", 1)[0]
        self.uses.append(
            Use(
                kind="image",
                name=name,
                ref=image.partition("@")[2] or None,
                pin=image_pin(image),
                third_party=True,
                secrets=secrets,
                line=line,
                job=job,
            )
        )

    def read_steps(self, job: RawJob, token: bool | None) -> None:
        """Read the steps of a job. ``token``: whether it may ask for an identity token."""
        job_secrets = secret_names(self.env, job.env)
        for step in job.steps:
            env = step_environment(self.env, job, step)
            if step.uses is not None:
                self._step_use(step, job, job_secrets)
            self.logins += step_logins(step, job, env, token)
            self.logins += environment_logins(step.env, step.line, job.key, job.environment, token)
            self.check_values(step.env, job.key)
            self.check_values(step.inputs, job.key)
            for target in step_deploys(step, job, env):
                self._deploy(target, step.line, job)
            if step.run is None:
                continue
            start = step.run.line + (1 if step.run.style in {"|", ">"} else 0)
            for target, line in deploy_targets(
                step.run.text,
                lambda command, env=env: fill(command, env, job.matrix),  # type: ignore[misc]
            ):
                self._deploy(target, start + line, job)
            for name, line, seen in hard_coded(step.run.text, inspect, self.fingerprint):
                self._hard(name, start + line, 1, seen, job.key)

    def _step_use(self, step: WorkflowStep, job: RawJob, job_secrets: list[str]) -> None:
        name = step.uses or ""
        line = line_of(step.node, "uses")
        seen = list(dict.fromkeys([*secret_names(step.inputs, step.env), *job_secrets]))
        if name.startswith("docker://"):
            image = f"{name}@{step.ref}" if step.ref else name
            self.read_image(image.removeprefix("docker://"), line, job.key, seen)
            return
        self.uses.append(
            Use(
                kind="action",
                name=name,
                ref=step.ref,
                pin=pin_of(name, step.ref),
                third_party=is_third_party(name, self.owner),
                secrets=seen,
                line=line,
                job=job.key,
            )
        )

    def _deploy(self, target: str, line: int, job: RawJob) -> None:
        if target and "${{" not in target and "$" not in target:
            self.deploys.append(Deploy(target=target, line=line, job=job.key, environment=job.environment))

    def _hard(self, name: str, line: int, column: int, seen: Seen, job: str | None) -> None:
        if line >= FILE:
            return  # a value in a called file is that file's
        self.hard_coded.append(HardCoded(name=name, line=line, column=column, seen=seen, job=job))

    def check_values(self, node: Mapping, job: str | None) -> None:
        """Evaluate the literal values of ``env:`` and ``with:`` blocks."""
        if self.called:
            return
        for key, value in node.pairs:
            if isinstance(value, Sequence | Mapping) or "${{" in value.text:
                continue
            seen = inspect(key.text, value.text, self.fingerprint)
            if seen is not None:
                self._hard(key.text, value.line, value.column, seen, job)

    def read_references(self, node: Node, scope: Scope, job: str | None, environment: str | None) -> None:
        """Record the references to ``secrets`` and ``vars`` below a node."""
        for store, reference in references(node, scope, job=job, environment=environment):
            (self.secrets if store == "secrets" else self.variables).append(reference)


def _may_request_token(permissions: dict[str, str] | None) -> bool:
    """Return whether a job may request an OIDC token, which no default of GitHub includes."""
    given = permissions or {}
    return given.get("id-token", given.get("*")) == "write"


def line_of(node: Mapping, key: str) -> int:
    """Return the line of a key."""
    found = node.key(key)
    return found.line if found else node.line
