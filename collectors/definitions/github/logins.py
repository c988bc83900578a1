"""Steps of GitHub workflows that sign in to a service or deploy a workload.

Inputs are documented in each action's action.yml: https://github.com/aws-actions/configure-aws-credentials,
https://github.com/google-github-actions/auth, https://github.com/Azure/login, https://github.com/hashicorp/vault-action,
https://github.com/pypa/gh-action-pypi-publish, https://github.com/docker/login-action, ...
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from collectors.definitions.builder import roles_in
from collectors.definitions.definition import Login
from collectors.definitions.github.expressions import expressions, paths
from collectors.definitions.github.login_kinds import OIDC_INPUTS, SERVICE_OF_ENV, STATIC_INPUTS
from collectors.definitions.github.steps import expand, literals, secret_names
from collectors.definitions.shell.commands import MAX_SCRIPT, ecs_service, lambda_function
from collectors.definitions.yaml_nodes import Mapping, Scalar, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.github.steps import RawJob, WorkflowStep
    from collectors.definitions.yaml_nodes import Node

_AWS_INPUTS = frozenset(
    ("awsaccesskeyid", "awssecretaccesskey", "awsaccesskey", "awssecretkey", "awskeyid", "awssecretid")
)


def step_logins(
    step: WorkflowStep, job: RawJob, env: dict[str, str], token_allowed: bool | None
) -> Iterator[Login]:
    """Yield the sign-ins of one step. ``env`` is the environment in force at the step."""
    action = step.action

    def login(
        service: str,
        how: Literal["oidc", "static"],
        targets: list[str],
        secrets: list[str],
        audience: str | None = None,
    ) -> Login:
        return Login(
            service=service, how=how, targets=targets, audience=audience, secrets=secrets, line=step.line, job=job.key,
            environment=job.environment, token_allowed=token_allowed if how == "oidc" else None,
        )  # fmt: skip

    def resolved(scalar: Scalar) -> list[str]:
        made = expand(scalar.text.strip(), env, job.matrix)
        return [value for text_ in made for value in _choices(text_)]

    static: dict[str, list[str]] = {}
    for key, value in step.inputs.pairs:
        if re.sub(r"[^a-z]", "", key.text.lower()) not in _AWS_INPUTS or not isinstance(value, Scalar):
            continue
        if value.text and is_stored(resolved(value)):
            static.setdefault("aws", []).extend(_secrets_of(resolved(value)))
    if action in STATIC_INPUTS:
        service, names = STATIC_INPUTS[action]
        for name in names:
            given = step.input(name)
            if given is not None and is_stored(resolved(given)):
                static.setdefault(_registry_service(step, service), []).extend(_secrets_of(resolved(given)))
    for service, found in static.items():
        chained_to = step.input("role-to-assume") if service == "aws" else None
        targets = resolved(chained_to) if chained_to is not None else []
        yield login(service, "static", targets, list(dict.fromkeys(found)))
    if action in OIDC_INPUTS:
        service, names, audience_input, default = OIDC_INPUTS[action]
        role = step.input(*names) if names else Scalar("", step.line, 1, None, "")
        chained = (text(step.input("role-chaining")) or "").lower() == "true"
        if role is not None and service not in static and not chained:
            account = step.input("service_account")
            whom = [one for one in resolved(role) if one] + (resolved(account) if account else [])
            audience = step.input(audience_input)
            yield login(
                service,
                "oidc",
                whom,
                [],
                resolved(audience)[0] if audience else _audience(service, role, default),
            )
    elif action == "hashicorp/vault-action" and text(step.input("method")) == "jwt":
        role = step.input("role")
        audience = step.input("jwtGithubAudience")
        yield login("vault", "oidc", resolved(role) if role else [], [], text(audience))
    elif action == "pypa/gh-action-pypi-publish" and not static and step.input("user") is None:
        yield login("pypi", "oidc", [], [], "pypi")
    if step.run is not None and "assume-role-with-web-identity" in step.run.text[:MAX_SCRIPT]:
        roles = roles_in(step.run.text[:MAX_SCRIPT], env)
        yield login("aws", "oidc", roles, [], "sts.amazonaws.com")
    for service, stored in _run_logins(step, job):
        yield login(service, "static", [], stored)


def _audience(service: str, role: Scalar, default: str | None) -> str | None:
    """Return the default audience of an action. Google's is the URL of the workload identity provider."""
    if service == "gcp" and "${{" not in role.text:
        return f"https://iam.googleapis.com/{role.text.strip()}"
    return default


def _choices(value: str) -> list[str]:
    """Return the literal roles that an expression selects from, else the value itself."""
    if not value.startswith("${{"):
        return [value]
    return [match.group(1) for match in _QUOTED_ROLE.finditer(value)] or [value]


_QUOTED_ROLE = re.compile(r"'(arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+)'")


def _secrets_of(values: list[str]) -> list[str]:
    return secret_names(*(Scalar(value, 1, 1, None, "") for value in values))


def is_stored(values: list[str]) -> bool:
    """Return whether a value outlives the job: a literal, a secret or a variable. The job's own token, an output of an
    earlier step (of Vault, of a sign-in) and an input that only the caller knows do not show it.
    """
    for value in values:
        found = [path for one in expressions(value) for path, _ in paths(one.body)]
        if not found and value.strip() and "${{" not in value:
            return True
        if any(path.startswith(("secrets", "vars.")) and path != "secrets.GITHUB_TOKEN" for path in found):
            return True
    return False


def _registry_service(step: WorkflowStep, service: str) -> str:
    """Return whose credential signs in to a registry: ECR takes keys of AWS, Artifact Registry keys of Google.

    https://github.com/docker/login-action#usage.
    """
    if service != "registry":
        return service
    host, user = text(step.input("registry", "login-server")) or "", text(step.input("username")) or ""
    if (
        ".dkr.ecr." in host
        or "public.ecr.aws" in host
        or re.search(r"(?i)secrets\.\w*AWS_\w*ACCESS_KEY", user)
    ):
        return "aws"
    if user in {"_json_key", "_json_key_base64"}:
        return "gcp"
    if host.endswith(".azurecr.io") and re.search(r"(?i)CLIENT_?ID|SERVICE_?PRINCIPAL|\bSP_|APP_?ID", user):
        return "azure"
    return service


_CLI_LOGIN = re.compile(
    r"(?P<aws>aws\s+configure\s+set\s+aws_secret_access_key|AWS_SECRET_ACCESS_KEY\s*=\s*[\"']?\$\{\{\s*secrets)|az\s+login\b[^\n]{0,1000}(?P<azure>--password|\s-p\s)|"
    r"gcloud\s+auth\s+(?P<gcp>activate-service-account)|docker\s+login\b[^\n]{0,1000}(?P<registry>--password\b|\s-p\s|--password-stdin)|"
    r"npm\s+(?:config\s+)?set\s+[^\n]{0,1000}(?P<npm>_authToken)"
)


def _run_logins(step: WorkflowStep, job: RawJob) -> Iterator[tuple[str, list[str]]]:
    """Yield service and secrets of the sign-ins in a step's script."""
    if step.run is None:
        return
    for match in _CLI_LOGIN.finditer(step.run.text[:200_000]):
        names = holders(step.run) or holders(step.env) or holders(job.env)
        if names and match.lastgroup:
            yield match.lastgroup, names


_APPLICATION_ENV = ("ARM_CLIENT_ID", "AZURE_CLIENT_ID")
"""Variables with the application that a client secret belongs to."""
_FEDERATED_ENV = (
    ("aws", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "sts.amazonaws.com"),
    ("azure", "ARM_USE_OIDC", "ARM_CLIENT_ID", "api://AzureADTokenExchange"),
)
"""Service, the variable that enables federation, the variable for the identity, and the audience.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html,
https://registry.terraform.io/providers/hashicorp/azurerm/latest/docs/guides/service_principal_oidc.
"""


def environment_logins(
    env: Mapping, line: int, job: str | None, environment: str | None, token: bool | None = None
) -> Iterator[Login]:
    """Yield the sign-ins defined by an ``env:`` block: ``AWS_SECRET_ACCESS_KEY: ${{ secrets.X }}``."""
    for federated, switch, whom, audience in _FEDERATED_ENV:
        if text(env.get(switch)) in {None, "", "false"}:
            continue
        named = text(env.get(whom))
        yield Login(
            service=federated, how="oidc", targets=_choices(named) if named else [], audience=audience,
            line=getattr(env.key(switch), "line", line), job=job, environment=environment, token_allowed=token,
        )  # fmt: skip
    found: dict[str, list[str]] = {}
    at: dict[str, int] = {}
    for key, value in env.pairs:
        service = SERVICE_OF_ENV.get(key.text)
        names = [name for name in secret_names(value) if name != "GITHUB_TOKEN"] if service else []
        if service and names:
            found.setdefault(service, []).extend(names)
            at.setdefault(service, key.line)
    application = [given for name in _APPLICATION_ENV if (given := text(env.get(name)))]
    for service, names in found.items():
        yield Login(
            service=service,
            how="static",
            targets=application[:1] if service == "azure" else [],
            secrets=list(dict.fromkeys(names)),
            line=at.get(service, line),
            job=job,
            environment=environment,
        )


def step_deploys(step: WorkflowStep, job: RawJob, env: dict[str, str]) -> Iterator[str]:
    """Yield the addresses of the workloads that a step's action deploys."""

    def values(*names: str) -> list[str]:
        found = step.input(*names)
        return expand(found.text.strip(), env, job.matrix) if found else []

    action = step.action
    if action == "aws-actions/amazon-ecs-deploy-task-definition":
        clusters: list[str] = values("cluster")
        for service in values("service"):
            for cluster in clusters or [""]:
                yield ecs_service(cluster or None, service) or ""
    elif action in {"aws-actions/aws-lambda-deploy", "appleboy/lambda-action", "int128/deploy-lambda-action"}:
        for name in values("function-name", "function_name"):
            yield lambda_function(name) or ""
    kinds = {
        "azure/webapps-deploy": ("azure:webapp-name", "app-name"),
        "azure/functions-action": ("azure:functionapp-name", "app-name"),
        "azure/container-apps-deploy-action": ("azure:containerapp-name", "containerAppName"),
        "google-github-actions/deploy-cloudrun": ("gcp:cloud-run-service-name", "service"),
        "google-github-actions/deploy-cloud-functions": ("gcp:cloud-function-name", "name"),
    }
    if action in kinds:
        prefix, name = kinds[action]
        for value in values(name):
            yield f"{prefix}:{value}" if "${{" not in value else ""


def fill(script: str, env: dict[str, str], matrix: dict[str, list[str]]) -> str:
    """Return a shell command with variables and expressions substituted if their value is in the file."""
    filled = expand(script, env, matrix)[0]

    def variable(match: re.Match[str]) -> str:
        value = env.get(match["name"])
        return value if value is not None and "${{" not in value else match.group()

    return re.sub(r"\$\{?(?P<name>[A-Za-z_]\w*)\}?", variable, filled)


def step_environment(workflow_env: Mapping, job: RawJob, step: WorkflowStep) -> dict[str, str]:
    """Return the environment variables of a step."""
    return literals(workflow_env, job.env, step.env)


def holders(node: Node | None) -> list[str]:
    """Return the secrets below a node, except the job's own token."""
    return [name for name in secret_names(node) if name != "GITHUB_TOKEN"]
