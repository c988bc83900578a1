"""``azure-pipelines.yml`` -> `Definition`.

Syntax: https://learn.microsoft.com/azure/devops/pipelines/yaml-schema/. Whether a service connection uses federation or
a stored secret is configured outside the file: it is listed as a reference of store ``service-connection``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.azure.steps import StepReader
from collectors.definitions.azure.template_conditions import defaults_of, resolve
from collectors.definitions.azure.template_files import MOST_FILES, MOST_LEVELS, template_path
from collectors.definitions.azure.templates import expanded, kind_of, pairs
from collectors.definitions.builder import DefinitionBuilder, text_at
from collectors.definitions.called_files import OWN, CalledDefinitions, CalledFiles, CalledRepository
from collectors.definitions.definition import (
    FILE,
    DefinitionError,
    Job,
    JobRunner,
    Reference,
    Unresolved,
    Use,
)
from collectors.definitions.shell.variables import Shell
from collectors.definitions.yaml_nodes import (
    MAX_NODES,
    Mapping,
    Scalar,
    mapping,
    read,
    text,
    texts,
)

if TYPE_CHECKING:
    from collectors.definitions.called_files import FileReader
    from collectors.definitions.definition import Definition, Pin, RunnerKind
    from collectors.definitions.yaml_nodes import Node, YamlDocument
    from scanner.secrets.detectors import Fingerprint

_SHA = re.compile(r"[0-9a-f]{40}")
_WHOLE_PARAMETER = re.compile(r"\$\{\{\s*parameters\.(?P<name>\w+)\s*\}\}")


def parse(
    path: str, source: str, fingerprint: Fingerprint, templates: FileReader | None = None
) -> Definition:
    """Parse a pipeline definition or template, with the templates that ``templates`` reads. Raises `DefinitionError`."""
    called = CalledDefinitions(templates) if templates is not None else None
    return with_templates(path, source, fingerprint, called)


def with_templates(
    path: str, source: str, fingerprint: Fingerprint, called: CalledDefinitions | None
) -> Definition:
    """Parse a pipeline definition or template with templates that are shared with other pipelines of its repository."""
    return _Reader(path, _root(read(source)), fingerprint, called).definition()


def _root(documents: list[YamlDocument]) -> YamlDocument:
    if not documents or not isinstance(documents[0].root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    return documents[0]


class _Reader:
    def __init__(
        self, path: str, document: YamlDocument, fingerprint: Fingerprint, templates: CalledDefinitions | None
    ) -> None:
        self.objects: dict[str, Node] = {
            name: value
            for name, value in defaults_of(mapping(document.root)).items()
            if not isinstance(value, Scalar)  # who starts a run chooses the others
        }
        root = mapping(resolve(document.root, self.objects))
        """Values of the parameters of the file that is read, by name in lower case."""
        self.out = DefinitionBuilder(path, "azure-pipelines", fingerprint)
        self.steps = StepReader(self.out)
        self.root = root
        self.pool = root.get("pool")
        self.documents = [document]
        self.files = CalledFiles(path, templates, levels=MOST_LEVELS, most=MOST_FILES)
        self.out.included = self.files.included
        self.repositories: dict[str, CalledRepository] = {}
        self.pins: dict[str, Pin] = {}
        self.containers: set[str] = set()
        self.steps.declare(root.get("parameters"))

    def definition(self) -> Definition:
        out, root = self.out, self.root
        self._resources(mapping(root.get("resources")))
        env = self._variables(root.get("variables"), None)
        self._template(root.get("extends"), None, env)
        self._jobs(root, "pipeline", env, None)
        self._stages(root.get("stages"), env)
        triggers: dict[str, list[str]] = {}
        if "trigger" not in root or text(root.get("trigger")) != "none":
            triggers["push"] = self._branches(root.get("trigger"))
        if root.get("pr") is not None and text(root.get("pr")) != "none":
            triggers["pull_request"] = []
        if root.get("schedules") is not None:
            triggers["schedule"] = []
        return out.definition(name=text(root.get("name")), documents=self.documents, triggers=triggers)

    def _stages(self, stages: Node | None, env: dict[str, str]) -> None:
        for stage in expanded(stages):
            node = mapping(stage)
            self._template(stage, None, env)
            name = text(node.get("stage")) or "stage"
            self._jobs(node, name, {**env, **self._variables(node.get("variables"), name)}, node.get("pool"))

    @staticmethod
    def _branches(node: Node | None) -> list[str]:
        branches = mapping(node).get("branches") if isinstance(node, Mapping) else node
        names = texts(mapping(branches).get("include") if isinstance(branches, Mapping) else branches)
        return [name if name.startswith("refs/") else f"refs/heads/{name}" for name in names]

    def _variables(self, node: Node | None, job: str | None) -> dict[str, str]:
        env: dict[str, str] = {}
        found: list[tuple[str, Node]] = []
        if isinstance(node, Mapping):
            found = [(key.text, value) for key, value in pairs(node)]
        for item in expanded(node) if not isinstance(node, Mapping) else ():
            part = mapping(item)
            group = part.get("group")
            if isinstance(group, Scalar):
                self.out.secrets.append(
                    Reference(name=self.steps.filled(group.text, env), line=group.line, column=group.column, scope="job" if job else "workflow", job=job, store="variable-group")
                )  # fmt: skip
            env |= self._template(item, job, env)
            name, value = text(part.get("name")), part.get("value")
            if name and value is not None:
                found.append((name, value))
        for name, value in found:
            if isinstance(value, Scalar):
                env[name] = value.text
                self.out.value(name, value, job)
        shell = Shell(env)
        for name, value in found:
            if isinstance(value, Scalar):
                self.out.reads(value, job=job, shell=shell, scope="job" if job else "workflow", under=name)
        self._debug(env, getattr(node, "line", 1), job)
        return env

    def _debug(self, env: dict[str, str], line: int, job: str | None) -> None:
        if any(key.lower() == "system.debug" and value.lower() == "true" for key, value in env.items()):
            self.out.problem(
                "debug-enabled", line, "system.debug enables debug logging, which can expose secrets in the log",
                severity="low", fix="Remove it, and enable system diagnostics for a single run when needed.", job=job,
            )  # fmt: skip

    def _resources(self, node: Mapping) -> None:
        for item in expanded(node.get("repositories")):
            part = mapping(item)
            endpoint = part.get("endpoint")
            if isinstance(endpoint, Scalar):
                self.steps.connection(endpoint, None, {})
            ref = text(part.get("ref"))
            name = text(part.get("name")) or text(part.get("repository")) or "repository"
            pin: Pin = (
                "none"
                if not ref
                else "tag"
                if ref.startswith("refs/tags/")
                else "sha"
                if _SHA.fullmatch(ref)
                else "branch"
            )
            self.pins[text(part.get("repository")) or name] = pin
            self.repositories[text(part.get("repository")) or name] = CalledRepository(
                name=name, kind=text(part.get("type")) or "git", ref=ref
            )
            foreign = text(part.get("type")) in {"github", "bitbucket"}
            self.out.uses.append(
                Use(kind="template", name=name, ref=ref, pin=pin, third_party=foreign, line=item.line)
            )
            if pin == "sha":
                continue
            self.out.problem(
                "unpinned-include", item.line, f"repository {name} is referenced by {'a ' + pin if ref else 'its default branch'}: changes to its templates change this pipeline",
                severity="medium" if foreign else "low", fix="Name a tag or commit in `ref:` and protect it.",
            )  # fmt: skip
        for item in expanded(node.get("containers")):
            self.containers.add(text_at(item, "container") or "")
            self.out.image(text_at(item, "image"), item.line, None)
        for kind in ("containers", "packages", "webhooks", "builds"):
            for item in expanded(node.get(kind)):
                for key in ("endpoint", "connection", "azureSubscription"):
                    found = mapping(item).get(key)
                    if isinstance(found, Scalar):
                        self.steps.connection(found, None, {})

    def _template(
        self,
        node: Node | None,
        job: str | None,
        env: dict[str, str],
        environment: str | None = None,
    ) -> dict[str, str]:
        """Read a template, the connections passed to it, and the steps, jobs and stages in its parameters.

        Returns the variables that it defines.
        """
        name = text_at(node, "template")
        if node is None or name is None:
            return {}
        path, _, repository = name.partition("@")
        pin: Pin = "local" if not repository or repository == "self" else self.pins.get(repository, "branch")
        self.out.uses.append(
            Use(
                kind="template",
                name=path,
                ref=repository or None,
                pin=pin,
                third_party=False,
                line=node.line,
                job=job,
            )
        )
        shell = Shell(env)
        for key, value in pairs(mapping(node).get("parameters")):
            if isinstance(value, Scalar):
                self.steps.input(key.text.lower(), value, job, env, shell)
                continue
            match kind_of(value):
                case "stages":
                    self._stages(value, env)
                case "jobs":
                    self._jobs(
                        Mapping(
                            [(Scalar("jobs", key.line, key.column, None, ""), value)],
                            key.line,
                            key.column,
                            None,
                        ),
                        key.text,
                        env,
                        None,
                    )
                case "steps":
                    for step in expanded(value):
                        self._step(mapping(step), job or key.text, env, environment)
                case _:
                    pass
        why = ""
        if self.files.followed:
            try:
                return self._followed(node, self.steps.filled(name, env), job, env, environment)
            except DefinitionError as exc:
                why = f": {exc}"
        self.out.unresolved.append(Unresolved(line=node.line, what=f"the template {name}{why}"))
        return {}

    def _file(self, name: str) -> tuple[CalledRepository, str]:
        """Return repository and path of a template. Raises `DefinitionError`."""
        if "$" in name:
            raise DefinitionError("unsupported", "its name is computed")
        path, _, alias = name.partition("@")
        here, above = self.files.here
        if not alias:
            return here, template_path(path, above)
        repository = OWN if alias == "self" else self.repositories.get(alias)
        if repository is None:
            raise DefinitionError("malformed", f"the repository {alias} is not among the resources")
        return repository, template_path(path, "")

    def _followed(
        self, node: Node, name: str, job: str | None, env: dict[str, str], environment: str | None
    ) -> dict[str, str]:
        """Read a template's file as a part of this pipeline. Raises `DefinitionError` if it cannot be read."""
        with self.files.entered(*self._file(name), node.line) as (number, source):
            document = _root(read(source, above=FILE * number))
            if sum(one.size for one in self.documents) + document.size > MAX_NODES:
                raise DefinitionError("truncated", "the pipeline's files are larger than is read")
            self.documents.append(document)
            given = {key.text.lower(): value for key, value in pairs(mapping(node).get("parameters"))}
            given = {key: self._given(value, env) for key, value in given.items()}
            values = defaults_of(mapping(document.root)) | given
            root = mapping(resolve(document.root, values))
            above, self.objects = self.objects, values
            try:
                return self._called(root, node, job, env, environment)
            finally:
                self.objects = above

    def _given(self, value: Node, env: dict[str, str]) -> Node:
        """Return a passed value with the variables and parameters that are known here; an object of this file as it is."""
        if not isinstance(value, Scalar):
            return value
        whole = _WHOLE_PARAMETER.fullmatch(value.text.strip())
        held = self.objects.get(whole["name"].lower()) if whole is not None else None
        if held is not None and not isinstance(held, Scalar):
            return held
        filled = self.steps.filled(value.text, env)
        return Scalar(filled, value.line, value.column, value.tag, value.style)

    def _called(
        self, root: Mapping, node: Node, job: str | None, env: dict[str, str], environment: str | None
    ) -> dict[str, str]:
        """Read the content of a template with the parameters that the including statement passes."""
        steps = self.steps
        above = (steps.defaults, steps.parameters, self.pool)
        passed = [
            (key.text, steps.filled(value.text, env), value.text)
            for key, value in pairs(mapping(node).get("parameters"))
            if isinstance(value, Scalar)
        ]
        # A parameter takes any text only if the one that is passed does.
        open_ones = {key for key, _, written in passed if steps.takes_any_text(written)}
        steps.defaults, steps.parameters = {}, {}
        self.pool = root.get("pool") or self.pool
        try:
            steps.declare(root.get("parameters"))
            steps.parameters = {key: kind for key, kind in steps.parameters.items() if key in open_ones}
            steps.defaults |= {key.lower(): value for key, value, _ in passed}
            return self._content(root, job, env, environment)
        finally:
            steps.defaults, steps.parameters, self.pool = above

    def _content(
        self, root: Mapping, job: str | None, env: dict[str, str], environment: str | None
    ) -> dict[str, str]:
        """Read what a template has: stages, jobs, steps or variables. Returns the variables."""
        self._resources(mapping(root.get("resources")))
        variables = self._variables(root.get("variables"), job)
        env = {**env, **variables}
        self._template(root.get("extends"), job, env)
        self._stages(root.get("stages"), env)
        if job is None:
            self._jobs(root, "template", env, None)
        else:
            for step in expanded(root.get("steps")):
                self._step(mapping(step), job, env, environment)
        return variables

    def _jobs(self, node: Mapping, stage: str, env: dict[str, str], pool: Node | None) -> None:
        for item in expanded(node.get("jobs")):
            part = mapping(item)
            self._template(item, None, env)
            name = text(part.get("job")) or text(part.get("deployment")) or stage
            if "template" not in part:
                self._job(part, name, env, pool)
        if node.get("steps") is not None:
            self._job(node, stage, env, pool)

    def _job(self, node: Mapping, name: str, env: dict[str, str], pool: Node | None) -> None:
        env = {
            **env,
            **(self._variables(node.get("variables"), name) if "job" in node or "deployment" in node else {}),
        }
        environment = text(node.get("environment")) or text_at(node, "environment", "name")
        if environment is not None:
            environment = self.steps.filled(environment, env)
            # environment.resource is a resource of the environment: a cluster's namespace, a machine.
            environment = "*" if "$" in environment else environment.partition(".")[0]
        container = node.get("container")
        image = text(container) or text_at(container, "image")
        if image not in self.containers:
            self.out.image(image, node.line, name)
        for step in self._steps(node):
            self._step(step, name, env, environment)
        pool = node.get("pool") or pool or self.pool
        runner = self._pool(pool, env)
        self.out.jobs.append(Job(name=name, line=node.line, environment=environment, runner=runner))
        if runner.kind == "self-hosted" and pool is not None:
            pull_requests = "pr" in self.root and text(self.root.get("pr")) != "none"
            self.out.problem(
                "self-hosted-runner", pool.line, f"runs on self-hosted agents in the pool {runner.group or 'named by demands'}" + (", including for pull requests" if pull_requests else ""),
                severity="high" if pull_requests else "medium", fix="Use ephemeral agents, and Microsoft-hosted agents for pull requests.", job=name,
            )  # fmt: skip

    def _steps(self, node: Mapping) -> list[Mapping]:
        steps = list(expanded(node.get("steps")))
        for _, strategy in mapping(node.get("strategy")).pairs:
            for _, phase in mapping(strategy).pairs:
                steps += expanded(mapping(phase).get("steps"))
                for _, inner in mapping(phase).pairs:
                    steps += expanded(mapping(inner).get("steps"))
        return [mapping(step) for step in steps]

    def _pool(self, node: Node | None, env: dict[str, str]) -> JobRunner:
        image = text_at(node, "vmImage")
        name = text(node) or text_at(node, "name")
        name = self.steps.filled(name, env) if name else None
        if image or (name or "").lower().startswith(("azure pipelines", "hosted ")) or node is None:
            return JobRunner(kind="hosted", labels=[self.steps.filled(image, env)] if image else [])
        if name in {"server", "None"}:
            return JobRunner(kind="hosted", group=name)
        kind: RunnerKind = "unknown" if name and "$" in name else "self-hosted"
        return JobRunner(kind=kind, labels=texts(mapping(node).get("demands")), group=name)

    def _step(self, step: Mapping, job: str, env: dict[str, str], environment: str | None) -> None:
        self._template(step, job, env, environment)
        self.steps.step(step, job, env, environment)
