"""Sign-ins of a GitLab job with tokens issued by GitLab, and the stores it reads secrets from.

https://docs.gitlab.com/ci/secrets/id_token_authentication/, https://docs.gitlab.com/ci/yaml/#secrets.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import roles_in, text_at
from collectors.definitions.definition import Login, Reference
from collectors.definitions.shell.variables import fill
from collectors.definitions.yaml_nodes import mapping, text, texts

if TYPE_CHECKING:
    from collectors.definitions.builder import DefinitionBuilder
    from collectors.definitions.yaml_nodes import Mapping, Node, Scalar

_STORES = {
    "vault": "vault",
    "gcp_secret_manager": "secret-manager",
    "azure_key_vault": "key-vault",
    "aws_secrets_manager": "secrets-manager",
    "akeyless": "akeyless",
    "gitlab_secrets_manager": "gitlab-secrets-manager",
}
_SERVICE_ACCOUNT = re.compile(
    r"(?<![\w.-])[\w.-]{1,100}@[\w-]{1,100}\.iam\.gserviceaccount\.com|--(?:impersonate-)?service-account[ =][\"']?(?P<named>\$\{?\w+\}?)"
)
_VAULT_ROLE = re.compile(r"\bauth/[\w/-]{0,200}login\b[^\n;|&]{0,300}?\brole=[\"']?(?P<role>[\w.${}-]+)")
_OLD_TOKEN = re.compile(r"\$\{?(?P<name>CI_JOB_JWT(?:_V[12])?)\b")
"""Removed in GitLab 17.0; earlier versions set it in every job:
https://docs.gitlab.com/ci/variables/predefined_variables/."""
_CONTINUED = re.compile(r"\\\n\s*")


def id_token_logins(
    out: DefinitionBuilder,
    key: Scalar,
    tokens: Node | None,
    script: str,
    *,
    env: dict[str, str],
    environment: str | None,
) -> None:
    """Record the sign-ins with a job's ``id_tokens``, and with the tokens that older versions gave every job."""
    script = _CONTINUED.sub(" ", script)
    asked = [
        (name, [fill(audience, env) for audience in texts(mapping(settings).get("aud"))])
        for name, settings in mapping(tokens).pairs
    ]
    found = [(name.text, audiences, name.line) for name, audiences in asked]
    found += [
        (old, [], key.line) for old in dict.fromkeys(match["name"] for match in _OLD_TOKEN.finditer(script))
    ]
    for token, audiences, line in found:
        service, targets = _target(token, audiences, script, env, alone=len(found) == 1)
        out.logins.append(
            Login(
                service=service,
                how="oidc",
                targets=list(dict.fromkeys(targets)),
                audience=audiences[0] if len(audiences) == 1 else None,
                line=line,
                job=key.text,
                environment=environment,
                token_allowed=True,
            )
        )


def _target(
    token: str, audiences: list[str], script: str, env: dict[str, str], *, alone: bool
) -> tuple[str, list[str]]:
    """Return service and targets of a token, by its audience or else by its use in the script."""
    service = (
        _by_audience(" ".join(audiences))
        or _by_use(token, script)
        or (_by_script(script, env) if alone else None)
    )
    values = "\n".join(env.values())
    if service == "aws":
        roles = roles_in(f"{script}\n{values}", env)
        if "AWS_ROLE_ARN" in script and not roles and "AWS_ROLE_ARN" not in env:
            roles = ["$AWS_ROLE_ARN"]
        return service, roles
    if service == "azure":
        return service, _option(script, env, "-u", "--username")
    if service == "gcp":
        found = [
            match["named"] or match.group()
            for match in _SERVICE_ACCOUNT.finditer(fill(f"{script}\n{values}", env))
        ]
        return service, found
    if service == "vault":
        role = env.get("VAULT_AUTH_ROLE")
        return service, [role] if role else [
            match["role"] for match in _VAULT_ROLE.finditer(fill(script, env))
        ]
    return service or _other(audiences), []


def _by_audience(whole: str) -> str | None:
    lower = whole.lower()
    if "amazonaws" in lower:
        return "aws"
    if "azureadtokenexchange" in lower:
        return "azure"
    if "googleapis" in lower or "workloadidentitypools" in lower:
        return "gcp"
    if "vault" in lower:
        return "vault"
    known = {"pypi": "pypi", "testpypi": "pypi", "sigstore": "sigstore", "npm:registry.npmjs.org": "npm"}
    return known.get(lower)


def _by_use(token: str, script: str) -> str | None:
    """Return the service whose command reads the token's variable."""
    name = re.escape(token)
    for service, before in (
        ("aws", r"--web-identity-token[ =]|AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("azure", r"--federated-token[ =]"),
        ("vault", r"\bauth/[\w/-]{0,200}login\b"),
        ("gcp", r"(?:subjectToken|credential-source|cred-file)"),
    ):
        if re.search(
            rf"(?:{before})[^\n]{{0,200}}\$\{{?{name}\b|\$\{{?{name}\b[^\n]{{0,40}}>[^\n]{{0,60}}(?:{before})",
            script,
        ):
            return service
    return None


def _by_script(script: str, env: dict[str, str]) -> str | None:
    whole = "\n".join([script, *env.values()])
    if (
        "assume-role-with-web-identity" in script
        or "AWS_WEB_IDENTITY_TOKEN_FILE" in script
        or roles_in(whole, env)
    ):
        return "aws"
    if re.search(r"\baz\s+login\b", script):
        return "azure"
    if (
        "workloadIdentityPools" in whole
        or "workload-identity-pools" in whole
        or re.search(r"\bgcloud\b", script)
    ):
        return "gcp"
    if "VAULT_ADDR" in whole or "VAULT_AUTH_ROLE" in env or re.search(r"\bvault\s", script):
        return "vault"
    return None


def _other(audiences: list[str]) -> str:
    match = re.match(r"(?:https?://)?([\w.-]+)", audiences[0]) if audiences else None
    return match.group(1) if match else "unknown"


def _option(script: str, env: dict[str, str], *names: str) -> list[str]:
    for name in names:
        match = re.search(
            rf"\baz\s+login\b[^\n;|&]{{0,300}}?\s{name}[ =][\"']?(?P<value>\$\{{?\w+\}}?|[\w-]+)", script
        )
        if match:
            return [fill(match["value"], env).replace("{", "").replace("}", "")]
    return []


def vault_secrets(out: DefinitionBuilder, job: str, node: Mapping, environment: str | None) -> None:
    """Note ``secrets:``: https://docs.gitlab.com/ci/yaml/#secrets."""
    for key, settings in mapping(node.get("secrets")).pairs:
        for kind, store in _STORES.items():
            where = mapping(settings).get(kind)
            if where is None:
                continue
            named = (
                text(where) or text_at(where, "name") or text_at(where, "path") or text_at(where, "secret_id")
            )
            if kind == "vault" and text_at(where, "engine", "path"):
                named = f"{text_at(where, 'engine', 'path')}/{named}/{text_at(where, 'field')}"
            out.secrets.append(
                Reference(
                    name=named or key.text, line=key.line, column=key.column, scope="job", job=job, environment=environment, store=store,
                )
            )  # fmt: skip
            role = text_at(where, "role_arn")
            if role is not None:
                out.logins.append(
                    Login(service="aws", how="oidc", targets=[role], line=key.line, job=job, environment=environment, token_allowed=True)
                )  # fmt: skip
