"""A `Definition` -> records: the pipeline as an identity, its logins and deployments as links, its problems as weaknesses."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal

from collectors.definitions.definition import Problem
from collectors.definitions.tokens import tokens as presented
from scanner.records import Identity, Link, Record, Secret, StoredSignIn, Weakness, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.context import Context
    from collectors.definitions.definition import Definition, Login


def identity_id(definition: Definition, context: Context) -> str:
    """Return the `Identity.id` of a definition: by repository id and path, or by the repository alone."""
    repository = context.repository_id or context.repository
    native = repository if context.one_per_repository else f"{repository}:{definition.path}"
    return record_id(context.provider, context.pipeline(definition.format).id_kind, native)


def definition_records(definition: Definition, *, context: Context) -> Iterator[Record]:
    """Yield the records of one definition file: first its `Identity`, then `Secret`, `Link` and `Weakness`.

    Give every definition of a repository the same context.
    """
    me = identity_id(definition, context)
    yield _identity(definition, context, me)
    yield from _secrets(definition, context, me)
    yield from _links(definition, context, me)
    yield from _weaknesses(definition, context, me)


def _identity(definition: Definition, context: Context, me: str) -> Identity:
    issuer, given = presented(definition, context)
    tokens = [token for number, token in enumerate(given) if token not in given[:number]]
    subjects = sorted({token["sub"] for token in tokens})
    environments = sorted({job.environment for job in definition.jobs if job.environment})
    return Identity(
        id=me,
        provider=context.provider,
        account_id=context.account_id,
        surface="automation",
        kind=context.pipeline(definition.format).kind,
        is_pipeline=definition.format != "github-action",
        reusable=_reusable(definition),
        native_id=me.split(":", 2)[2],
        name=definition.name,
        address=context.repository
        if context.one_per_repository
        else f"{context.repository}/{definition.path}",
        enabled=False if context.archived else None,
        environment=environments[0] if len(environments) == 1 and environments != ["*"] else None,
        issuer=issuer if tokens else None,
        subjects=subjects,
        tokens=tokens,
        dangerous_triggers=definition.dangerous_triggers,
        url=context.url,
        location=f"{definition.path}:{definition.line}",
        triggers=sorted(definition.triggers),
        permissions=_permissions(definition),
        secrets=sorted({reference.name for reference in definition.secrets}),
        variables=sorted({reference.name for reference in definition.variables}),
        environments=environments,
        runner=_runner(definition),
        logins=sorted({f"{login.service}:{login.how}" for login in definition.logins}),
        sign_ins=_sign_ins(definition, context),
    )


_APPLICATION_IDS = ("$ARM_CLIENT_ID", "$AZURE_CLIENT_ID")
"""Variables with the application that a client secret belongs to.

https://registry.terraform.io/providers/hashicorp/azurerm/latest/docs/guides/service_principal_client_secret,
https://learn.microsoft.com/python/api/azure-identity/azure.identity.environmentcredential
"""


def _sign_ins(definition: Definition, context: Context) -> list[StoredSignIn]:
    """Return the sign-ins with stored credentials, each once."""
    found: dict[tuple[str, tuple[str, ...], str | None], None] = {}
    for login in definition.logins:
        if login.how != "static" or not login.secrets:
            continue
        asked = login.targets or (list(_APPLICATION_IDS) if login.service == "azure" else [])
        targets = {
            target
            for one in asked
            if (target := _login_target(login, _resolved(one, context, login.environment))) is not None
        }
        found[
            login.service, tuple(sorted(set(login.secrets))), min(targets) if len(targets) == 1 else None
        ] = None
    return [
        StoredSignIn(service=service, names=list(names), target=target)
        for service, names, target in sorted(found, key=lambda one: (one[0], one[1], one[2] or ""))
    ]


def _reusable(definition: Definition) -> Literal["only", "also"] | None:
    """Return whether other pipelines can call this one.

    https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#workflow_call
    """
    if "workflow_call" not in definition.triggers:
        return None
    return "only" if set(definition.triggers) == {"workflow_call"} else "also"


def _runner(definition: Definition) -> str | None:
    """Return the most relevant class of runner: self-hosted, then unknown, then hosted."""
    kinds = {job.runner.kind for job in definition.jobs if job.runner}
    return next((kind for kind in ("self-hosted", "unknown", "hosted") if kind in kinds), None)


def _permissions(definition: Definition) -> list[str]:
    """Return the broadest token permission over all jobs, by scope."""
    rank = {"none": 0, "read": 1, "write": 2}
    widest: dict[str, str] = {}
    default = False
    for job in definition.jobs:
        given = job.permissions
        if given is None:
            default = definition.job_token
            continue
        for scope, level in given.items():
            if rank.get(level, 0) > rank.get(widest.get(scope, "none"), 0):
                widest[scope] = level
    return sorted(f"{scope}:{level}" for scope, level in widest.items()) + (["default"] if default else [])


def _secrets(definition: Definition, context: Context, me: str) -> Iterator[Record]:
    seen: dict[str, int] = {}
    for found in definition.hard_coded:
        native = me.split(":", 2)[2]
        path = definition.file_of(found.line)
        base = f"{native}:{found.name}" if native.endswith(path) else f"{native}:{path}:{found.name}"
        seen[base] = seen.get(base, 0) + 1
        unique = base if seen[base] == 1 else f"{base}#{seen[base]}"
        key_id = found.seen.key_id
        yield Secret(
            id=record_id(context.provider, "ci-file", unique),
            provider=context.provider,
            account_id=context.account_id,
            store="ci-file",
            name=found.name,
            holder_id=me,
            readable=True,
            looks_like=found.seen.looks_like,
            recognized_by=found.seen.recognized_by,
            length=found.seen.length,
            fingerprint=found.seen.fingerprint,
            credential_id=record_id("aws", "access-key", key_id)
            if key_id and found.seen.looks_like.startswith("aws-")
            else None,
            location=definition.where(found.line),
        )


_EXPRESSION = re.compile(r"\$\{\{\s*(?P<store>vars|secrets)\.(?P<name>\w+)\s*\}\}")
_SHELL_VARIABLE = re.compile(r"\$\{?(?P<name>[A-Za-z_]\w*)\}?")


def _resolved(text: str, context: Context, environment: str | None = None) -> str:
    """Substitute the plain variables of a job in this environment: ``${{ vars.ROLE }}``, ``$ROLE``."""
    values = context.values(environment)

    def expression(match: re.Match[str]) -> str:
        store, name = match["store"], match["name"]
        known = values if store == "vars" else context.secret_values
        return known.get(name, known.get(name.upper(), match.group()))

    text = _EXPRESSION.sub(expression, text)
    if "${{" in text:
        return text
    return _SHELL_VARIABLE.sub(lambda match: values.get(match["name"], match.group()), text)


_NAMED = re.compile(
    r"(?P<provider>[^:]+):(?P<kind>[^:]+)-name:(?P<name>.+)|kubernetes:(?P<object>workload|helm-release):[^/]+/(?P<object_name>.+)"
)
"""A workload that a definition names without its account: ``aws:lambda-function-name:mail``; one of a cluster, whose name in a
kubeconfig is not the one that others know: ``kubernetes:workload:prod/shop/web``."""


def _links(definition: Definition, context: Context, me: str) -> Iterator[Record]:
    yielded: set[tuple[str, str]] = set()

    def link(relation: Literal["uses", "deploys"], target: str, line: int, why: str) -> Iterator[Record]:
        if (relation, target) in yielded:
            return
        yielded.add((relation, target))
        named = _NAMED.fullmatch(target) if relation == "deploys" else None
        yield Link(
            id=record_id(context.provider, "link", _digest(me, relation, target)),
            provider=context.provider,
            account_id=context.account_id,
            source_id=me,
            relation=relation,
            target_id=target,
            evidence=definition.where(line),
            why=why,
            target_provider=(named["provider"] or "kubernetes") if named else None,
            target_kind=(named["kind"] or named["object"]) if named else None,
            target_name=(named["name"] or named["object_name"]) if named else None,
        )

    for login in definition.logins:
        if login.how != "oidc":
            continue
        for asked in login.targets:
            target = _login_target(login, _resolved(asked, context, login.environment))
            if target is not None:
                where = f" in job {login.job}" if login.job else ""
                why = f"signs in to {login.service} as {target}{where}{_called(definition, login.line)}"
                yield from link("uses", target, login.line, why)
    owner = context.repository.split("/", 1)[0]
    for use in definition.uses:
        # A called workflow runs with the caller's token; workflows of other owners are not identities in this scan.
        if use.kind == "reusable-workflow" and "${{" not in use.name:
            name = use.name
            if name.startswith("./"):
                name = f"{context.repository}/{name.removeprefix('./')}"
            if name.split("/", 1)[0] == owner:
                yield from link("uses", name, use.line, f"calls the workflow {name}")
    for account in definition.service_accounts:
        target = _resolved(account, context).rsplit("/", 1)[-1]
        if "$" not in target:
            yield from link("uses", target, 1, f"runs as {target}")
    for deploy in definition.deploys:
        target = _resolved(deploy.target, context, deploy.environment)
        where = f" in job {deploy.job}" if deploy.job else ""
        why = f"deploys {target}{where}{_called(definition, deploy.line)}"
        yield from link("deploys", target, deploy.line, why)


def _called(definition: Definition, line: int) -> str:
    """Return where the file of a line is called, as the end of a sentence."""
    callers = definition.callers(line)
    return f" (called at {' from '.join(callers)})" if callers else ""


def _login_target(login: Login, asked: str) -> str | None:
    """Return the address of the identity that a login requests; None if it could not be resolved."""
    if "$" in asked or "{{" in asked or not asked.strip():
        return None
    asked = asked.strip()
    if login.service == "aws":
        return asked if asked.startswith("arn:") else None
    if login.service == "gcp":
        return asked if "@" in asked else None
    if login.service == "azure":
        return f"entra:application:{asked}"
    return f"{login.service}:role:{asked}" if login.service == "vault" else None


_UNRESOLVED_FIX = "Write the value literally if possible. Otherwise review it by hand."


def _weaknesses(definition: Definition, context: Context, me: str) -> Iterator[Record]:
    seen: dict[str, int] = {}
    native = me.split(":", 2)[2]

    def weakness(problem: Problem, confidence: Literal["high", "low"]) -> Weakness:
        path = definition.file_of(problem.line)
        # Line numbers change with every edit: the id is made from code and text, so that a weakness keeps its identity.
        base = _digest(native, path, problem.code, problem.detail, problem.job or "")
        seen[base] = seen.get(base, 0) + 1
        return Weakness(
            id=record_id(context.provider, problem.code, base if seen[base] == 1 else f"{base}-{seen[base]}"),
            provider=context.provider,
            account_id=context.account_id,
            subject_id=me,
            code=problem.code,
            severity=problem.severity,
            what=problem.detail + _called(definition, problem.line),
            fix=problem.fix,
            path=path,
            line=definition.line_in_file(problem.line),
            job=problem.job,
            confidence=confidence,
        )

    for problem in definition.problems:
        yield weakness(problem, definition.confidence)
    for one in definition.unresolved:
        yield weakness(
            Problem(
                code="unresolved-reference",
                line=one.line,
                detail=one.what,
                severity="info",
                fix=_UNRESOLVED_FIX,
            ),
            "low",
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]
