"""Steps of an Azure pipeline: scripts, tasks and their inputs, service connections and deployments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.azure.templates import pairs, substituted
from collectors.definitions.builder import text_at
from collectors.definitions.definition import Deploy, Reference
from collectors.definitions.shell.variables import Shell
from collectors.definitions.yaml_nodes import Mapping, Scalar, boolean, items, mapping, text

if TYPE_CHECKING:
    from collectors.definitions.builder import DefinitionBuilder
    from collectors.definitions.yaml_nodes import Node

_CONNECTION = re.compile(
    r"(?!connectedservicenameselector$|azurecontainerregistry$|connection(?:type|string)|use)"
    r"(?:\w*(?:service|connected|registry|container|feed|ssh|publish|custom|upload|download|hub|kubernetes|external|upstream|azure|server|jira|slack|vault|"
    r"artifactory|xray|octopus|docker|snyk|nuget|npm|maven|cargo|manager|platform|aws|gcp|arm)\w*(?:connections?|endpoints?)(?:name)?(?:arm|aws|gcp|azurerm|ssh|foracr|forsecrets)?"
    r"|\w*connectedservicename(?:arm|ssh)?|azuresubscription(?:for\w+|id|name)?|environmentservicename\w*|backendservice(?:arm|aws|gcp|oci)|awscredentials|gcpcredentials"
    r"|sonar(?:qube|cloud)|\w*feedcredentials|containerregistry|endpoint|serviceconnection\w*|githubconnection|connection)"
)
"""Names of inputs that take a service connection, in lower case: tasks spell them differently."""
_NO_CONNECTION = re.compile(
    r"(?i)\s*|true|false|none|.*://.*|[./~\\].*|internal|external|azure resource manager|kubernetes service connection"
)
_UNTRUSTED = re.compile(
    r"\$\((?P<name>Build\.(?:SourceBranch(?:Name)?|SourceVersionMessage|SourceVersionAuthor|RequestedFor)|"
    r"System\.PullRequest\.(?:SourceBranch|SourceRepositoryURI|TargetBranch(?:Name)?)|Build\.PullRequest\.\w+)\)",
    re.IGNORECASE,
)
_PARAMETER = re.compile(r"\$\{\{\s*parameters(?:\.(?P<name>\w+)|\['(?P<index>\w+)'\])\s*\}\}")
_SCRIPT_KEYS = ("script", "bash", "pwsh", "powershell")
_SCRIPT_INPUTS = frozenset(
    ("inlinescript", "script", "inline", "scriptinline", "inlinescripts", "customcommand")
)
_DEPLOYS = {
    "azurewebapp": ("azure:webapp-name", "appname"),
    "azurermwebappdeployment": ("azure:webapp-name", "webappname", "appname"),
    "azureappservicemanage": ("azure:webapp-name", "webappname"),
    "azurefunctionapp": ("azure:functionapp-name", "appname"),
    "azurefunctionappcontainer": ("azure:functionapp-name", "appname"),
    "azurecontainerapps": ("azure:containerapp-name", "containerappname"),
    "azurewebappcontainer": ("azure:webapp-name", "appname"),
    "lambdadeployfunction": ("aws:lambda-function-name", "functionname"),
}


def _names_connection(name: str) -> bool:
    return len(name) <= 80 and _CONNECTION.fullmatch(name) is not None


class StepReader:
    """Adds what steps contain to a definition, with the parameters of the file in which they are written."""

    def __init__(self, out: DefinitionBuilder) -> None:
        self.out = out
        self.parameters: dict[str | None, str] = {}
        """Types of the parameters that take any text, by name."""
        self.defaults: dict[str, str] = {}
        """Values of parameters, by name in lower case."""

    def declare(self, node: Node | None) -> None:
        """Record the parameters of a pipeline or template: types of those that take any text, and defaults."""
        for key, value in mapping(node).pairs:  # the old form: name and default
            if isinstance(value, Scalar):
                self.defaults[key.text.lower()] = value.text
                self.out.value(key.text, value, None)
        for item in items(node):
            name, default = text_at(item, "name"), mapping(item).get("default")
            if name is None or not isinstance(item, Mapping):
                continue
            if isinstance(default, Scalar):
                self.defaults[name.lower()] = default.text
                self.out.value(name, default, None)
            if item.get("values") is None:
                self.parameters[name] = text(item.get("type")) or "string"

    def takes_any_text(self, value: str) -> bool:
        """Return whether a value contains a parameter that takes any text."""
        return any(
            self.parameters.get(match["name"] or match["index"]) == "string"
            for match in _PARAMETER.finditer(value)
        )

    def filled(self, value: str, env: dict[str, str]) -> str:
        """Return a value with the variables and parameters that are known."""
        return substituted(value, {key.lower(): known for key, known in env.items()}, self.defaults)

    def connection(self, scalar: Scalar, job: str | None, env: dict[str, str]) -> None:
        """List the service connections that a value names."""
        for name in map(str.strip, re.split(r"[,\n]", self.filled(scalar.text.strip(), env))):
            if _NO_CONNECTION.fullmatch(name):
                continue
            self.out.secrets.append(
                Reference(name=name, line=scalar.line, column=scalar.column, scope="step" if job else "workflow", job=job, store="service-connection")
            )  # fmt: skip

    def input(self, name: str, value: Scalar, job: str | None, env: dict[str, str], shell: Shell) -> None:
        """Evaluate one input of a task or parameter of a template, by its name in lower case."""
        if _names_connection(name) and not _NO_CONNECTION.fullmatch(value.text):
            self.connection(value, job, env)
        elif "securefile" in name and not _NO_CONNECTION.fullmatch(value.text):
            self.out.secrets.append(
                Reference(name=self.filled(value.text, env), line=value.line, column=value.column, scope="step", job=job, store="secure-file")
            )  # fmt: skip
        else:
            self.out.value(name, value, job)
            self.out.reads(value, job=job, shell=shell, scope="step", under=name)

    def step(self, step: Mapping, job: str, env: dict[str, str], environment: str | None) -> None:
        """Read one step, apart from the template that it may include."""
        out = self.out
        given = [(key.text, value) for key, value in pairs(step.get("env")) if isinstance(value, Scalar)]
        shell = Shell(env)
        for name, value in given:
            out.value(name, value, job)
            out.reads(value, job=job, shell=shell, scope="step", under=name)
        shell.assign(((name, value.text) for name, value in given), macros=True)
        shell.env.update((name, value.text) for name, value in given)
        for key in _SCRIPT_KEYS:
            script = step.get(key)
            if isinstance(script, Scalar):
                self._script(script, job, shell, environment)
        if text(step.get("checkout")) not in {None, "none"} and boolean(step.get("persistCredentials")):
            out.problem(
                "artipacked", step.line, "the checkout leaves the job's token in .git/config",
                severity="medium", fix="Remove `persistCredentials: true`.", job=job,
            )  # fmt: skip
        task = text(step.get("task"))
        if task is not None:
            self._task(task, step, job, env=env, shell=shell, environment=environment)
        out.static_logins(shell, step.line, job=job, environment=environment)

    def _task(
        self,
        task: str,
        step: Mapping,
        job: str,
        *,
        env: dict[str, str],
        shell: Shell,
        environment: str | None,
    ) -> None:
        out = self.out
        name = task.split("@", 1)[0].lower().rsplit(".", 1)[-1]
        inputs = {key.text.lower(): value for key, value in pairs(step.get("inputs"))}
        for key_text, value in inputs.items():
            if not isinstance(value, Scalar):
                continue
            if key_text in _SCRIPT_INPUTS:
                self._script(value, job, shell, environment)
            else:
                self.input(key_text, value, job, env, shell)
        if name == "azurekeyvault":
            vault = self.filled(text(inputs.get("keyvaultname")) or "?", env)
            wanted = text(inputs.get("secretsfilter")) or "*"
            for secret in map(str.strip, self.filled(wanted, env).split(",")):
                out.secrets.append(
                    Reference(name=secret, line=step.line, column=step.column, scope="step", job=job, store=f"key-vault:{vault}", via="name" if secret != "*" else "index")  # noqa: S105
                )  # fmt: skip
        if name in _DEPLOYS:
            prefix, *keys = _DEPLOYS[name]
            target = next((text(inputs[key]) for key in keys if text(inputs.get(key))), None)
            target = self.filled(target, env) if target else None
            if target and "$" not in target:
                out.deploys.append(
                    Deploy(target=f"{prefix}:{target}", line=step.line, job=job, environment=environment)
                )

    def _script(self, script: Scalar, job: str, shell: Shell, environment: str | None) -> None:
        out = self.out
        out.script(script, job=job, shell=shell, environment=environment, scope="step")
        start = script.line + (1 if script.style in {"|", ">"} else 0)
        for number, line in enumerate(script.text.split("\n")):
            if line.lstrip().startswith(("#", "REM ", "rem ", "::")) and not line.startswith("##vso"):
                continue
            untrusted = _UNTRUSTED.search(line)
            if untrusted is not None:
                out.problem(
                    "template-injection", start + number, f"$({untrusted['name']}) is expanded into the script before it runs: anyone who can name the branch can run code",
                    severity="high", fix="Pass it through `env:` and use the quoted variable.", job=job,
                )  # fmt: skip
            for given in _PARAMETER.finditer(line):
                passed = self.defaults.get((given["name"] or given["index"]).lower(), "")
                held = _UNTRUSTED.search(passed)
                if held is not None:
                    out.problem(
                        "template-injection", start + number, f"the parameter `{given['name'] or given['index']}` is $({held['name']}), which is expanded into the script before it runs: anyone who can name the branch can run code",
                        severity="high", fix="Pass it through `env:` and use the quoted variable.", job=job,
                    )  # fmt: skip
                    continue
                if self.parameters.get(given["name"] or given["index"]) == "string":
                    out.problem(
                        "template-injection", start + number, f"the parameter `{given['name'] or given['index']}` is expanded into the script before it runs",
                        severity="medium", fix="Limit it with `values:`, or pass it through `env:`.", job=job,
                    )  # fmt: skip
