"""``azure-pipelines.yml`` -> `Definition`.

Syntax: https://learn.microsoft.com/azure/devops/pipelines/yaml-schema/. A service connection decides, outside the file,
whether it signs in by federation or by a stored secret: it is listed as a reference of store ``service-connection``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.ci_files.definition import DefinitionError, Deploy, Job, Reference, Runner, Use
from collectors.ci_files.gathered import Gathered, text_at
from collectors.ci_files.yaml_nodes import Mapping, Scalar, boolean, items, mapping, read, text, texts

if TYPE_CHECKING:
    from collectors.ci_files.definition import Definition, RunnerKind
    from collectors.ci_files.yaml_nodes import Document, Node
    from scanner.detectors import Fingerprint

_CONNECTIONS = frozenset(
    ("azuresubscription", "connectedservicename", "connectedservicenamearm", "azureresourcemanagerconnection", "awscredentials",
     "kubernetesserviceconnection", "kubernetesserviceendpoint", "containerregistry", "dockerregistryendpoint", "sshendpoint",
     "serviceconnection", "environmentservicename", "environmentservicenameaws", "backendservicearm", "githubconnection",
     "externalfeedcredentials", "nugetserviceconnections", "sonarqube", "serviceendpoint", "endpoint", "gcpserviceconnection",
     "azuresubscriptionendpoint", "customendpoint", "publishendpoint", "pythonuploadserviceconnection")
)  # fmt: skip
_UNTRUSTED = re.compile(
    r"\$\((?P<name>Build\.(?:SourceBranch(?:Name)?|SourceVersionMessage|SourceVersionAuthor|RequestedFor)|"
    r"System\.PullRequest\.(?:SourceBranch|SourceRepositoryURI|TargetBranch(?:Name)?)|Build\.PullRequest\.\w+)\)",
    re.IGNORECASE,
)
_PARAMETER = re.compile(r"\$\{\{\s*parameters\.(?P<name>\w+)\s*\}\}")
_SCRIPT_KEYS = ("script", "bash", "pwsh", "powershell")
_SCRIPT_INPUTS = frozenset(("inlinescript", "script", "inline", "scriptinline"))
_DEPLOYS = {
    "azurewebapp": ("azure:webapp-name", "appname"),
    "azurermwebappdeployment": ("azure:webapp-name", "webappname"),
    "azurefunctionapp": ("azure:functionapp-name", "appname"),
    "azurecontainerapps": ("azure:containerapp-name", "containerappname"),
    "azurewebappcontainer": ("azure:webapp-name", "appname"),
    "lambdadeployfunction": ("aws:lambda-function-name", "functionname"),
}


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Read a pipeline definition or template. Raises `DefinitionError`."""
    documents = read(source)
    if not documents or not isinstance(documents[0].root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    return _Reader(path, documents[0].root, fingerprint).definition(documents[0])


class _Reader:
    def __init__(self, path: str, root: Mapping, fingerprint: Fingerprint) -> None:
        self.out = Gathered(path, "azure-pipelines", fingerprint)
        self.root = root
        self.parameters = {
            text_at(item, "name"): text_at(item, "type") or "string"
            for item in items(root.get("parameters"))
            if isinstance(item, Mapping) and text_at(item, "values") is None and item.get("values") is None
        }

    def definition(self, document: Document) -> Definition:
        out, root = self.out, self.root
        env = self._variables(root.get("variables"), None)
        self._resources(mapping(root.get("resources")))
        self._template(root.get("extends"), None)
        self._jobs(root, "pipeline", env)
        for stage in items(root.get("stages")):
            node = mapping(stage)
            self._template(stage, None)
            name = text(node.get("stage")) or "stage"
            self._jobs(node, name, {**env, **self._variables(node.get("variables"), name)})
        triggers: dict[str, list[str]] = {}
        if "trigger" not in root or text(root.get("trigger")) != "none":
            triggers["push"] = self._branches(root.get("trigger"))
        if root.get("pr") is not None and text(root.get("pr")) != "none":
            triggers["pull_request"] = []
        if root.get("schedules") is not None:
            triggers["schedule"] = []
        return out.definition(name=text(root.get("name")), documents=[document], triggers=triggers)

    @staticmethod
    def _branches(node: Node | None) -> list[str]:
        branches = mapping(node).get("branches") if isinstance(node, Mapping) else node
        names = texts(mapping(branches).get("include") if isinstance(branches, Mapping) else branches)
        return [f"refs/heads/{name}" for name in names]

    def _variables(self, node: Node | None, job: str | None) -> dict[str, str]:
        if isinstance(node, Mapping):
            plain = self.out.values(node, job)
            self._debug(plain, node.line, job)
            return plain
        env: dict[str, str] = {}
        for item in items(node):
            part = mapping(item)
            group = part.get("group")
            if isinstance(group, Scalar):
                self.out.secrets.append(
                    Reference(name=group.text, line=group.line, column=group.column, scope="job" if job else "workflow", job=job, store="variable-group")
                )  # fmt: skip
            self._template(item, job)
            name, value = text(part.get("name")), part.get("value")
            if name and isinstance(value, Scalar):
                env[name] = value.text
                self.out.value(name, value, job)
        self._debug(env, getattr(node, "line", 1), job)
        return env

    def _debug(self, env: dict[str, str], line: int, job: str | None) -> None:
        if any(key.lower() == "system.debug" and value.lower() == "true" for key, value in env.items()):
            self.out.problem(
                "debug-enabled", line, "system.debug writes more to the log than is good for secrets",
                severity="low", fix="Remove it; ask for diagnostics in a single run.", job=job,
            )  # fmt: skip

    def _resources(self, node: Mapping) -> None:
        for item in items(node.get("repositories")):
            part = mapping(item)
            endpoint = part.get("endpoint")
            if isinstance(endpoint, Scalar):
                self._connection(endpoint, None)
            ref = text(part.get("ref"))
            name = text(part.get("name")) or text(part.get("repository")) or "repository"
            pin = "tag" if ref and ref.startswith("refs/tags/") else "branch" if ref else "none"
            foreign = text(part.get("type")) in {"github", "bitbucket"}
            self.out.uses.append(
                Use(kind="template", name=name, ref=ref, pin="tag" if pin == "tag" else "branch" if pin == "branch" else "none", third_party=foreign, line=item.line)
            )  # fmt: skip
            self.out.problem(
                "unpinned-include", item.line, f"repository {name} is taken by {'a ' + pin if ref else 'its default branch'}: templates from it can change this pipeline",
                severity="medium" if foreign else "low", fix="Name a tag or commit in `ref:` and protect it.",
            )  # fmt: skip
        for item in items(node.get("containers")):
            self.out.image(text_at(item, "image"), item.line, None)
            endpoint = mapping(item).get("endpoint")
            if isinstance(endpoint, Scalar):
                self._connection(endpoint, None)

    def _template(self, node: Node | None, job: str | None) -> None:
        name = text_at(node, "template")
        if node is None or name is None:
            return
        path, _, repository = name.partition("@")
        self.out.uses.append(
            Use(kind="template", name=path, ref=repository or None, pin="local" if not repository or repository == "self" else "branch", third_party=False, line=node.line, job=job)
        )  # fmt: skip
        self.out.indirect.append(f"line {node.line}: the template {name}")

    def _jobs(self, node: Mapping, stage: str, env: dict[str, str]) -> None:
        for item in items(node.get("jobs")):
            part = mapping(item)
            self._template(item, None)
            name = text(part.get("job")) or text(part.get("deployment")) or stage
            if "template" not in part:
                self._job(part, name, env)
        if node.get("steps") is not None:
            self._job(node, stage, env)

    def _job(self, node: Mapping, name: str, env: dict[str, str]) -> None:
        env = {
            **env,
            **(self._variables(node.get("variables"), name) if "job" in node or "deployment" in node else {}),
        }
        environment = text(node.get("environment")) or text_at(node, "environment", "name")
        if environment and "$" in environment:
            environment = "*"
        container = node.get("container")
        self.out.image(text(container) or text_at(container, "image"), node.line, name)
        before = len(self.out.jobs)
        for step in self._steps(node):
            self._step(step, name, env, environment)
        if len(self.out.jobs) == before:
            pool = node.get("pool") or self.root.get("pool")
            runner = self._pool(pool)
            self.out.jobs.append(Job(name=name, line=node.line, environment=environment, runner=runner))
            if runner.kind == "self-hosted" and pool is not None:
                told = "pr" in self.root and text(self.root.get("pr")) != "none"
                self.out.problem(
                    "self-hosted-runner", pool.line, f"runs on agents of its own, in the pool {runner.group or 'named by demands'}" + (", for pull requests, too" if told else ""),
                    severity="high" if told else "medium", fix="Use agents that are thrown away after each job, and hosted ones for pull requests.", job=name,
                )  # fmt: skip

    def _steps(self, node: Mapping) -> list[Mapping]:
        steps = [mapping(item) for item in items(node.get("steps"))]
        for _, strategy in mapping(node.get("strategy")).pairs:
            for _, phase in mapping(strategy).pairs:
                steps += [mapping(item) for item in items(mapping(phase).get("steps"))]
                for _, inner in mapping(phase).pairs:
                    steps += [mapping(item) for item in items(mapping(inner).get("steps"))]
        # Template expressions (`${{ if }}`) hold lists of steps.
        unfolded: list[Mapping] = []
        for step in steps:
            unfolded.append(step)
            for key, value in step.pairs:
                if key.text.startswith("${{"):
                    unfolded += [mapping(item) for item in items(value)]
        return unfolded

    @staticmethod
    def _pool(node: Node | None) -> Runner:
        image = text_at(node, "vmImage")
        name = text(node) or text_at(node, "name")
        if image or (name or "").lower().startswith(("azure pipelines", "hosted ")) or node is None:
            return Runner(kind="hosted", labels=[image] if image else [])
        kind: RunnerKind = "unknown" if name and "$" in name else "self-hosted"
        return Runner(kind=kind, labels=texts(mapping(node).get("demands")), group=name)

    def _connection(self, scalar: Scalar, job: str | None) -> None:
        for name in re.split(r"\s*,\s*", scalar.text.strip()):
            self.out.secrets.append(
                Reference(name=name, line=scalar.line, column=scalar.column, scope="step" if job else "workflow", job=job, store="service-connection")
            )  # fmt: skip

    def _step(self, step: Mapping, job: str, env: dict[str, str], environment: str | None) -> None:
        out = self.out
        self._template(step, job)
        own = out.values(step.get("env"), job)
        for _, value in mapping(step.get("env")).pairs:
            if isinstance(value, Scalar):
                self._reads(value, job, env)
        for key in _SCRIPT_KEYS:
            script = step.get(key)
            if isinstance(script, Scalar):
                self._script(script, job, {**env, **own}, environment)
        if text(step.get("checkout")) not in {None, "none"} and boolean(step.get("persistCredentials")):
            out.problem(
                "artipacked", step.line, "the checkout leaves the job's token in .git/config",
                severity="medium", fix="Remove `persistCredentials: true`.", job=job,
            )  # fmt: skip
        task = text(step.get("task"))
        if task is None:
            return
        name = task.split("@", 1)[0].lower()
        inputs = {key.text.lower(): value for key, value in mapping(step.get("inputs")).pairs}
        for key_text, value in inputs.items():
            if not isinstance(value, Scalar):
                continue
            if key_text in _CONNECTIONS:
                self._connection(value, job)
            elif key_text in _SCRIPT_INPUTS:
                self._script(value, job, {**env, **own}, environment)
            else:
                out.value(key_text, value, job)
                self._reads(value, job, env)
        if name == "azurekeyvault":
            vault = text(inputs.get("keyvaultname")) or "?"
            wanted = text(inputs.get("secretsfilter")) or "*"
            for secret in re.split(r"\s*,\s*", wanted):
                out.secrets.append(
                    Reference(name=secret, line=step.line, column=step.column, scope="step", job=job, store=f"key-vault:{vault}", via="name" if secret != "*" else "index")  # noqa: S105
                )  # fmt: skip
        if name in _DEPLOYS:
            prefix, key_name = _DEPLOYS[name]
            target = text(inputs.get(key_name))
            if target and "$" not in target:
                out.deploys.append(
                    Deploy(target=f"{prefix}:{target}", line=step.line, job=job, environment=environment)
                )

    def _script(self, script: Scalar, job: str, env: dict[str, str], environment: str | None) -> None:
        out = self.out
        out.script(script, job=job, env=env, environment=environment, scope="step")
        start = script.line + (1 if script.style in {"|", ">"} else 0)
        for number, line in enumerate(script.text.split("\n")):
            untrusted = _UNTRUSTED.search(line)
            if untrusted is not None:
                out.problem(
                    "template-injection", start + number, f"$({untrusted['name']}) is pasted into the script before it runs: whoever names the branch writes code",
                    severity="high", fix="Hand it over by `env:` and use the variable, quoted.", job=job,
                )  # fmt: skip
            for given in _PARAMETER.finditer(line):
                if self.parameters.get(given["name"]) == "string":
                    out.problem(
                        "template-injection", start + number, f"the parameter `{given['name']}` is pasted into the script before it runs",
                        severity="medium", fix="Limit it with `values:`, or hand it over by `env:`.", job=job,
                    )  # fmt: skip

    def _reads(self, value: Scalar, job: str, env: dict[str, str]) -> None:
        self.out.reads(value, job=job, env=env, scope="step")
