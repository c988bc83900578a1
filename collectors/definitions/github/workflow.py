"""GitHub workflows and composite actions -> `Definition`.

Syntax: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax and
https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax. Triggers that run with the
repository's rights for untrusted users:
https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionParts
from collectors.definitions.definition import (
    Definition,
    DefinitionError,
    Deploy,
    HardCoded,
    Job,
    JobRunner,
    Problem,
    Reference,
    Unresolved,
    Use,
)
from collectors.definitions.github import problems as github_problems
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
    Workflow,
    WorkflowStep,
    expand,
    is_third_party,
    job_of,
    job_of_action,
    permissions_of,
    pin_of,
    runner_kind,
    secret_names,
    split_uses,
    steps_of,
)
from collectors.definitions.github.triggers import DANGEROUS, activities_of, inputs_of, triggers_of
from collectors.definitions.images import image_pin
from collectors.definitions.shell.commands import deploy_targets, hard_coded
from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, mapping, read, text
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collectors.definitions.definition import Scope
    from collectors.definitions.yaml_nodes import Node, YamlDocument
    from scanner.secrets.detectors import Fingerprint, Seen


_MOST_WORK = 1_000_000
"""Steps times variables. The largest public workflows have about ten thousand."""


def parse(path: str, source: str, fingerprint: Fingerprint, owner: str | None = None) -> Definition:
    """Parse a workflow or an action.yml. Raises `DefinitionError`. ``owner`` is the account whose actions are not
    third-party.
    """
    documents = read(source)
    root = documents[0].root if documents else None
    if not isinstance(root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    reader = _Reader(path, documents[0], root, fingerprint, owner)
    reader.lines = source.splitlines()
    if "runs" in root and "jobs" not in root:
        return reader.action()
    if not isinstance(root.get("jobs"), Mapping):
        raise DefinitionError("malformed", "the workflow has no jobs")
    return reader.workflow()


class _Reader(DefinitionParts):
    """Parses a workflow job by job."""

    def __init__(
        self, path: str, document: YamlDocument, root: Mapping, fingerprint: Fingerprint, owner: str | None
    ) -> None:
        super().__init__(path, fingerprint)
        self.document = document
        self.root = root
        self.owner = owner
        self.lines: list[str] = []
        self.env = mapping(root.get("env"))

    def workflow(self) -> Definition:
        triggers = triggers_of(self.root.get("on"))
        permissions = permissions_of(self.root.get("permissions"))
        jobs = [
            job_of(key, node, permissions)
            for key, node in mapping(self.root.get("jobs")).pairs
            if isinstance(node, Mapping)
        ]
        self._guard(jobs)
        self._references(self.env, "workflow", None, None)
        self._values(self.env, None)
        self.logins += environment_logins(self.env, 1, None, None)
        called = set(triggers) == {"workflow_call"}
        made = [self._job(job, called) for job in jobs]
        problems = list(
            github_problems.find(
                Workflow(
                    env=self.env,
                    triggers=triggers,
                    activities=activities_of(self.root.get("on")),
                    permissions=permissions,
                    permissions_line=_line(self.root, "permissions"),
                    permission_lines={
                        key.text: key.line for key, _ in mapping(self.root.get("permissions")).pairs
                    },
                    lines=self.lines,
                    on_line=_line(self.root, "on"),
                    on_lines={key.text: key.line for key, _ in mapping(self.root.get("on")).pairs},
                    inputs=inputs_of(self.root),
                    jobs=jobs,
                    uses=self.uses,
                    logins=self.logins,
                    secrets=self.secrets,
                    composite=False,
                )
            )
        )
        dangerous = [event for event in DANGEROUS if event in triggers]
        return self._definition(
            name=text(self.root.get("name")) or self.path.rsplit("/", 1)[-1],
            triggers=triggers,
            jobs=made,
            permissions=permissions,
            dangerous=dangerous,
            problems=problems,
        )

    def _guard(self, jobs: list[RawJob]) -> None:
        """Reject a file with far more combinations of steps and variables than any real workflow."""
        shared = len(self.env.pairs)
        work = sum(len(job.steps) * (shared + len(job.env.pairs) + 1) for job in jobs)
        if work > _MOST_WORK:
            raise DefinitionError("truncated", f"{work} pairs of step and variable, more than the limit")

    def action(self) -> Definition:
        runs = mapping(self.root.get("runs"))
        steps = steps_of(runs.get("steps"))
        job = job_of_action(runs, steps)
        image = text(runs.get("image"))
        if image and image.startswith("docker://"):
            self._image(image.removeprefix("docker://"), _line(runs, "image"), None, [])
        self._steps(job, None)
        problems = list(
            github_problems.find(
                Workflow(
                    env=self.env,
                    triggers={},
                    activities={},
                    permissions=None,
                    permissions_line=1,
                    permission_lines={},
                    lines=self.lines,
                    on_line=1,
                    on_lines={},
                    inputs=dict.fromkeys(
                        (key.text for key, _ in mapping(self.root.get("inputs")).pairs), "string"
                    ),
                    jobs=[job],
                    uses=self.uses,
                    logins=self.logins,
                    secrets=self.secrets,
                    composite=True,
                )
            )
        )
        made = [Job(name="action", line=runs.line)] if steps else []
        name = text(self.root.get("name")) or self.path
        return self._definition(
            name=name, triggers={}, jobs=made, permissions=None, dangerous=[], problems=problems
        )

    def _definition(
        self,
        *,
        name: str,
        triggers: dict[str, list[str]],
        jobs: list[Job],
        permissions: dict[str, str] | None,
        dangerous: list[str],
        problems: list[Problem],
    ) -> Definition:
        problems += [
            Problem(
                code="duplicate-key",
                line=key.line,
                detail=f"the key `{key.text[:80]}` is defined twice: GitHub rejects the file, and other parsers use one of them",
                severity="low",
                fix="Remove one of the two.",
            )
            for key in self.document.duplicates
        ]
        return Definition(
            path=self.path,
            format="github-workflow" if "jobs" in self.root else "github-action",
            name=name,
            triggers=triggers,
            jobs=jobs,
            permissions=permissions,
            secrets=self.secrets,
            variables=self.variables,
            logins=self.logins,
            uses=self.uses,
            dangerous_triggers=dangerous,
            untrusted_checkout=any(problem.code == "untrusted-checkout" for problem in problems),
            hard_coded=self.hard_coded,
            deploys=self.deploys,
            problems=sorted(problems, key=lambda problem: (problem.line, problem.code, problem.detail)),
            unresolved=self.unresolved,
            job_token="jobs" in self.root,
            confidence="low" if self.document.repaired else "high",
        )

    def _job(self, job: RawJob, called: bool) -> Job:
        token = None if job.permissions is None and called else _may_request_token(job.permissions)
        self._references(job.node, "job", job.key, job.environment)
        self._values(job.env, job.key)
        self.logins += environment_logins(job.env, job.line, job.key, job.environment, token)
        if job.calls is not None:
            self._call(job)
        container = job.node.get("container")
        self._container(container, job, "container")
        for _, service in mapping(job.node.get("services")).pairs:
            self._container(service, job, "service")
        self._steps(job, token)
        kind = runner_kind(job.runs_on, job.group)
        if kind == "unknown" and any("${{" in label for label in job.runs_on):
            self.unresolved.append(
                Unresolved(line=job.line, what=f"the runner of job `{job.key}` is computed")
            )
        if job.environment == "*":
            self.unresolved.append(
                Unresolved(line=job.line, what=f"the environment of job `{job.key}` is computed")
            )
        return Job(
            name=job.key,
            line=job.line,
            runner=None if job.calls else JobRunner(kind=kind, labels=job.runs_on, group=job.group),
            environment=job.environment,
            permissions=job.permissions,
            identity_token=token,
            calls=job.calls,
        )

    def _call(self, job: RawJob) -> None:
        name, ref = split_uses(job.calls or "")
        passed = job.node.get("secrets")
        names = ["*"] if text(passed) == "inherit" else secret_names(passed, job.node.get("with"))
        if text(passed) == "inherit":
            line = _line(job.node, "secrets")
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
                line=_line(job.node, "uses"),
                job=job.key,
            )
        )
        self.unresolved.append(
            Unresolved(line=job.line, what=f"job `{job.key}` is the reusable workflow {job.calls}")
        )

    def _container(self, node: Node | None, job: RawJob, what: str) -> None:
        image = text(node) or text(mapping(node).get("image"))
        if node is None or not image:
            return
        self._values(mapping(mapping(node).get("env")), job.key)
        secrets = secret_names(mapping(node).get("env"))
        for made in expand(image, {}, job.matrix):
            self._image(made.removeprefix("docker://"), node.line, job.key, secrets)
        password = mapping(mapping(node).get("credentials")).get("password")
        if isinstance(password, Scalar) and password.text and "${{" not in password.text:
            seen = inspect(f"{what}_password", password.text, self.fingerprint)
            if seen is not None:
                self._hard(f"{what}.credentials.password", password.line, password.column, seen, job.key)

    def _image(self, image: str, line: int, job: str | None, secrets: list[str]) -> None:
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

    def _steps(self, job: RawJob, token: bool | None) -> None:
        job_secrets = secret_names(self.env, job.env)
        for step in job.steps:
            env = step_environment(self.env, job, step)
            if step.uses is not None:
                self._step_use(step, job, job_secrets)
            self.logins += step_logins(step, job, env, token)
            self.logins += environment_logins(step.env, step.line, job.key, job.environment, token)
            self._values(step.env, job.key)
            self._values(step.inputs, job.key)
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
        line = _line(step.node, "uses")
        seen = list(dict.fromkeys([*secret_names(step.inputs, step.env), *job_secrets]))
        if name.startswith("docker://"):
            image = f"{name}@{step.ref}" if step.ref else name
            self._image(image.removeprefix("docker://"), line, job.key, seen)
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
        self.hard_coded.append(HardCoded(name=name, line=line, column=column, seen=seen, job=job))

    def _values(self, node: Mapping, job: str | None) -> None:
        """Evaluate the literal values of ``env:`` and ``with:`` blocks."""
        for key, value in node.pairs:
            if isinstance(value, Sequence | Mapping) or "${{" in value.text:
                continue
            seen = inspect(key.text, value.text, self.fingerprint)
            if seen is not None:
                self._hard(key.text, value.line, value.column, seen, job)

    def _references(self, node: Node, scope: Scope, job: str | None, environment: str | None) -> None:
        """Record the references to ``secrets`` and ``vars`` below a node."""
        for store, reference in references(node, scope, job=job, environment=environment):
            (self.secrets if store == "secrets" else self.variables).append(reference)


def _may_request_token(permissions: dict[str, str] | None) -> bool:
    """Return whether a job may request an OIDC token, which no default of GitHub includes."""
    given = permissions or {}
    return given.get("id-token") == "write" or given.get("*") == "write"


def _line(node: Mapping, key: str) -> int:
    found = node.key(key)
    return found.line if found else node.line
