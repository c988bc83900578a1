"""What a job of a GitLab pipeline signs in to by its ID tokens, and the secrets that it fetches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.ci_files.definition import Login, Reference
from collectors.ci_files.gathered import fill, roles_in, text_at
from collectors.ci_files.yaml_nodes import mapping, text, texts

if TYPE_CHECKING:
    from collectors.ci_files.gathered import Gathered
    from collectors.ci_files.yaml_nodes import Mapping, Node, Scalar


def id_token_logins(
    out: Gathered,
    key: Scalar,
    tokens: Node | None,
    script: str,
    *,
    env: dict[str, str],
    environment: str | None,
) -> None:
    """Note the sign-ins of a job's ``id_tokens``: https://docs.gitlab.com/ci/yaml/#id_tokens."""
    values = "\n".join(env.values())
    for token, settings in mapping(tokens).pairs:
        audiences = [fill(audience, env) for audience in texts(mapping(settings).get("aud"))]
        whole = f"{' '.join(audiences)} {script} {values}"
        roles = roles_in(f"{script}\n{values}", env)
        if "AWS_ROLE_ARN" in script and not roles and "AWS_ROLE_ARN" not in env:
            roles = ["$AWS_ROLE_ARN"]
        if roles or "amazonaws" in whole or "assume-role-with-web-identity" in script:
            service, targets = "aws", roles
        elif "AzureADTokenExchange" in whole or "az login" in script:
            service, targets = "azure", _option(script, env, "-u", "--username")
        elif "googleapis" in whole or "workloadIdentityPools" in whole or "gcloud" in script:
            service = "gcp"
            targets = re.findall(r"[\w.-]+@[\w-]+\.iam\.gserviceaccount\.com", f"{script}\n{values}")
        elif "vault" in whole.lower():
            service, targets = "vault", [env["VAULT_AUTH_ROLE"]] if "VAULT_AUTH_ROLE" in env else []
        else:
            service, targets = _other(audiences), []
        out.logins.append(
            Login(
                service=service,
                how="oidc",
                targets=list(dict.fromkeys(targets)),
                audience=audiences[0] if len(audiences) == 1 else None,
                line=token.line,
                job=key.text,
                environment=environment,
                token_allowed=True,
            )
        )


def _other(audiences: list[str]) -> str:
    match = re.match(r"(?:https?://)?([\w.-]+)", audiences[0]) if audiences else None
    name = match.group(1) if match else "unknown"
    return {"pypi": "pypi", "sigstore": "sigstore", "npm:registry.npmjs.org": "npm"}.get(name, name)


def _option(script: str, env: dict[str, str], *names: str) -> list[str]:
    for name in names:
        match = re.search(rf"(?:^|\s){name}[ =][\"']?\$?\{{?([\w-]+)", script)
        if match:
            return [env.get(match.group(1), f"${match.group(1)}")]
    return []


def vault_secrets(out: Gathered, job: str, node: Mapping, environment: str | None) -> None:
    """Note ``secrets:``: https://docs.gitlab.com/ci/yaml/#secrets."""
    stores = {
        "vault": "vault",
        "gcp_secret_manager": "secret-manager",
        "azure_key_vault": "key-vault",
        "aws_secrets_manager": "secrets-manager",
        "akeyless": "akeyless",
    }
    for key, settings in mapping(node.get("secrets")).pairs:
        for kind, store in stores.items():
            where = mapping(settings).get(kind)
            if where is None:
                continue
            named = (
                text(where) or text_at(where, "name") or text_at(where, "path") or text_at(where, "secret_id")
            )
            out.secrets.append(
                Reference(
                    name=named or key.text,
                    line=key.line,
                    column=key.column,
                    scope="job",
                    job=job,
                    environment=environment,
                    store=store,
                )
            )
