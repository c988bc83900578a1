"""OpenID Connect issuers that sign for many tenants, and how many of their tokens a subject pattern accepts.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html (shared
issuers and the claim that tells tenants apart), https://docs.github.com/en/actions/reference/security/oidc,
https://docs.gitlab.com/ci/secrets/id_token_authentication/,
https://developer.hashicorp.com/terraform/cloud-docs/dynamic-provider-credentials/workload-identity-tokens,
https://buildkite.com/docs/pipelines/security/oidc, https://circleci.com/docs/openid-connect-tokens/,
https://support.atlassian.com/bitbucket-cloud/docs/integrate-pipelines-with-resource-servers-using-oidc/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from scanner.records import Exposure

Family: TypeAlias = Literal[
    "github", "gitlab", "terraform", "bitbucket", "buildkite", "circleci", "colon-pairs", "audience", "eks",
    "cognito", "google", "private",
]  # fmt: skip

ORDER: tuple[Exposure, ...] = ("anyone", "another-tenant", "organization", "repository", "exact")
"""Broadest first."""


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer and its properties."""

    family: Family
    shared: bool
    """Whether anyone can get a token from it."""
    example: str
    """An example of a subject that is specific enough."""


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens one value accepts."""

    exposure: Exposure
    problem: str | None
    """The problem's code; None if there is none."""
    names_only: bool = False
    """Whether it uses names, which can be reassigned, instead of ids."""
    example: str | None = None
    """An example of a more specific value."""


_GITHUB = Issuer(family="github", shared=True, example="repo:OWNER/REPOSITORY:environment:ENVIRONMENT")
_PAIRS = "ACCOUNT:NAME:..."
KNOWN: dict[str, Issuer] = {
    "token.actions.githubusercontent.com": _GITHUB,
    "vstoken.actions.githubusercontent.com": _GITHUB,
    "gitlab.com": Issuer(
        family="gitlab", shared=True, example="project_path:GROUP/PROJECT:ref_type:branch:ref:main"
    ),
    "app.terraform.io": Issuer(
        family="terraform",
        shared=True,
        example="organization:ORGANIZATION:project:PROJECT:workspace:WORKSPACE:run_phase:apply",
    ),
    "app.eu.terraform.io": Issuer(
        family="terraform",
        shared=True,
        example="organization:ORGANIZATION:project:PROJECT:workspace:WORKSPACE:run_phase:apply",
    ),
    "agent.buildkite.com": Issuer(
        family="buildkite",
        shared=True,
        example="organization:ORGANIZATION:pipeline:PIPELINE:ref:refs/heads/main:*",
    ),
    "oidc.codefresh.io": Issuer(
        family="colon-pairs", shared=True, example="account:ACCOUNT:pipeline:PIPELINE"
    ),
    "scalr.io": Issuer(
        family="colon-pairs",
        shared=True,
        example="account:ACCOUNT:environment:ENVIRONMENT:workspace:WORKSPACE",
    ),
    "studio.datachain.ai/api": Issuer(family="colon-pairs", shared=True, example="credentials:TEAM/NAME"),
    "tokens.cloud.shisho.dev": Issuer(family="colon-pairs", shared=True, example="job:ORGANIZATION:NAME"),
    "proidc.upbound.io": Issuer(
        family="colon-pairs", shared=True, example="mcp:ORGANIZATION/NAME:provider:NAME"
    ),
    "oidc-configuration.audit-log.githubusercontent.com": Issuer(
        family="colon-pairs", shared=True, example="https://github.com/ENTERPRISE"
    ),
    "rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7": Issuer(
        family="colon-pairs", shared=True, example="system:serviceaccount:NAMESPACE:NAME"
    ),
    "api.pulumi.com/oidc": Issuer(family="audience", shared=True, example="aws:ORGANIZATION"),
    "oidc.vercel.com": Issuer(family="audience", shared=True, example="https://vercel.com/TEAM"),
    "sandboxes.cloud": Issuer(family="audience", shared=True, example="ORGANIZATION"),
    "cognito-identity.amazonaws.com": Issuer(
        family="cognito", shared=True, example="REGION:IDENTITY-POOL-ID"
    ),
    "accounts.google.com": Issuer(family="google", shared=True, example="UNIQUE-ID-OF-THE-SERVICE-ACCOUNT"),
    "www.amazon.com": Issuer(family="audience", shared=True, example="amzn1.application-oa2-client.ID"),
    "graph.facebook.com": Issuer(family="audience", shared=True, example="APPLICATION-ID"),
}
_PRIVATE = Issuer(family="private", shared=False, example="THE-SUBJECT-OF-THE-ONE-CALLER")
_CLUSTER = re.compile(
    r"^(oidc\.eks\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/id/|(oidc|[a-z0-9-]+\.oic)\.prod-aks\.azure\.(com|us|cn)/)",
    re.ASCII,
)
"""https://docs.aws.amazon.com/eks/latest/userguide/enable-iam-roles-for-service-accounts.html,
https://learn.microsoft.com/azure/aks/use-oidc-issuer"""


def issuer_of(name: str) -> Issuer:
    """Return an issuer by its name, with or without ``https://``."""
    lowered = name.lower().removeprefix("https://").rstrip("/")
    known = KNOWN.get(lowered)
    if known is not None:
        return known
    if lowered.startswith(("token.actions.githubusercontent.com/", "oidc.vercel.com/")):
        # An enterprise's or a team's own issuer: https://docs.github.com/en/enterprise-cloud@latest/actions/
        family: Family = "github" if lowered.startswith("token") else "private"
        return Issuer(
            family=family,
            shared=False,
            example=_GITHUB.example
            if family == "github"
            else "owner:TEAM:project:NAME:environment:production",
        )
    if _CLUSTER.match(lowered):
        return Issuer(family="eks", shared=False, example="system:serviceaccount:NAMESPACE:NAME")
    if lowered.startswith("api.bitbucket.org/2.0/workspaces/"):
        return Issuer(family="bitbucket", shared=False, example="{REPOSITORY-UUID}:*")
    if lowered.startswith("oidc.circleci.com/org/"):
        return Issuer(
            family="circleci", shared=False, example="org/ORGANIZATION-ID/project/PROJECT-ID/user/*"
        )
    if "gitlab" in lowered.partition("/")[0]:
        return Issuer(family="gitlab", shared=False, example=KNOWN["gitlab.com"].example)
    if lowered.endswith("/_services/token"):
        return Issuer(family="github", shared=False, example=_GITHUB.example)
    return _PRIVATE


def grade_subject(issuer: Issuer, value: str) -> Grade:
    """Grade one value of ``sub``, in which ``*`` and ``?`` are wildcards."""
    match issuer.family:
        case "github":
            return _github(value)
        case "gitlab":
            return _gitlab(value)
        case "terraform":
            return _pairs(value, "organization", ("project", "workspace"), "run_phase")
        case "buildkite":
            return _pairs(value, "organization", ("pipeline",), "ref")
        case "bitbucket" | "circleci":
            return _tenant(value)
        case "eks":
            return _service_account(value)
        case _:
            return _plain(value, shared=issuer.shared)


def _literal(value: str) -> str:
    return re.split(r"[*?]", value, maxsplit=1)[0]


_REPO = re.compile(r"repo:(?P<owner>[^/:@*?]+)(?P<owner_id>@[0-9]+)?(@\*)?/")
_NAMED = re.compile(r"repo:(?P<owner>[^/:@*?]+)(@[^/]*)?/(?P<name>[^/:@*?]+)(?P<id>@[0-9]+)?(@\*)?(?::|$)")


def _github(value: str) -> Grade:
    """Grade ``repo:owner/name:...``, ``repo:owner@1/name@2:...`` and subjects of templates with other claims."""
    if not value.startswith("repo:"):
        return _template(value)
    owner = _REPO.match(value)
    if owner is None:
        rest = _literal(value).removeprefix("repo:")
        if not rest or "/" in rest or rest.endswith((":", "@")):
            return Grade(exposure="anyone", problem="OIDC-2")
        example = f"repo:{rest}/REPOSITORY:environment:ENVIRONMENT"
        return Grade(exposure="another-tenant", problem="OIDC-3", names_only=True, example=example)
    names_only = owner["owner_id"] is None
    start = f"repo:{owner['owner']}{owner['owner_id'] or ''}"
    named = _NAMED.match(value)
    if named is None or "*" in value[: named.end()].replace("@*", "") or "?" in value[: named.end()]:
        return Grade(
            exposure="organization",
            problem="OIDC-4",
            names_only=names_only,
            example=f"{start}/REPOSITORY:environment:ENVIRONMENT",
        )
    start = value[: named.end()].rstrip(":") + ":"
    rest = value[named.end() :]
    names_only = names_only or named["id"] is None
    # With a template of ``repo`` only, all runs of a repository have the same subject.
    if "*" in rest or "?" in rest or rest in {"", "pull_request"}:
        return Grade(
            exposure="repository",
            problem="OIDC-5",
            names_only=names_only,
            example=f"{start}environment:ENVIRONMENT",
        )
    return Grade(exposure="exact", problem=None, names_only=names_only)


_CLAIM = re.compile(
    r"(?:^|:)(repository_owner_id|repository_owner|repository_id|repository|enterprise_id|enterprise|job_workflow_ref"
    r"|workflow_ref):([^:]*)"
)
_WHOLE = frozenset({"repository_id", "repository", "workflow_ref"})
_GITHUB_CLAIM = re.compile(
    r"(?:actor|actor_id|base_ref|environment|event_name|head_ref|ref|ref_type|repository_visibility|runner_environment"
    r"|workflow|repo_property_\w+|sha|run_id):|pull_request$"
)


def _template(value: str) -> Grade:
    """Grade a subject of an organization's template with other claims: ``repository_owner_id:1:...``.

    Every organization chooses its own template, so a subject without an owner can belong to anyone.
    """
    wild = bool(re.search(r"[*?]", value))
    pairs = _CLAIM.findall(value)
    keys = {key for key, text in pairs if text and not re.search(r"[*?]", text)}
    owners = {key for key, text in pairs if re.match(r"[^/*?]+/", text) and key not in keys}
    starts = {key for key, text in pairs if _literal(text) and key not in keys | owners}
    if keys & _WHOLE:
        names_only = "repository_id" not in keys
        if wild:
            return Grade(exposure="repository", problem="OIDC-5", names_only=names_only)
        return Grade(exposure="exact", problem=None, names_only=names_only)
    if keys or owners:
        return Grade(
            exposure="organization",
            problem="OIDC-4",
            names_only=not keys & {"repository_owner_id", "enterprise_id"},
        )
    if starts:
        return Grade(exposure="another-tenant", problem="OIDC-3", names_only=True)
    if wild or _GITHUB_CLAIM.match(value):
        return Grade(exposure="anyone", problem="OIDC-2" if wild else "OIDC-1")
    return Grade(exposure="exact", problem=None, names_only=True)


def _gitlab(value: str) -> Grade:
    """Grade ``project_path:group/project:ref_type:branch:ref:main``."""
    key, colon, rest = value.partition(":")
    if re.search(r"[*?]", key) or not colon:
        return Grade(exposure="anyone", problem="OIDC-2")
    if key != "project_path":
        return _plain(value, shared=True)
    path, _, tail = rest.partition(":")
    literal = _literal(path)
    if not literal or literal.startswith("/"):
        return Grade(exposure="anyone", problem="OIDC-2")
    if "/" not in literal:
        return Grade(
            exposure="another-tenant",
            problem="OIDC-3",
            names_only=True,
            example=f"project_path:{literal}/PROJECT:ref_type:branch:ref:main",
        )
    if literal != path:
        group = literal.rpartition("/")[0]
        return Grade(
            exposure="organization",
            problem="OIDC-4",
            names_only=True,
            example=f"project_path:{group}/PROJECT:ref_type:branch:ref:main",
        )
    if re.search(r"[*?]", tail):
        return Grade(
            exposure="repository",
            problem="OIDC-5",
            names_only=True,
            example=f"project_path:{path}:ref_type:branch:ref:main",
        )
    return Grade(exposure="exact", problem=None, names_only=True)


def _pairs(value: str, tenant: str, units: tuple[str, ...], last: str) -> Grade:
    """Grade ``organization:acme:workspace:app:run_phase:apply``: who, which unit, which run."""
    literal = _literal(value)
    wild = literal != value
    if not literal.startswith(f"{tenant}:") or literal == f"{tenant}:":
        return (
            Grade(exposure="anyone", problem="OIDC-2")
            if wild
            else Grade(exposure="exact", problem=None, names_only=True)
        )
    name, colon, rest = literal.removeprefix(f"{tenant}:").partition(":")
    if not colon and wild:
        return Grade(
            exposure="another-tenant",
            problem="OIDC-3",
            names_only=True,
            example=f"{tenant}:{name}:{units[0]}:NAME",
        )
    fields = value.removeprefix(f"{tenant}:{name}:").split(":")
    values = dict(zip(fields[::2], fields[1::2], strict=False))
    del rest
    unit = units[-1]
    if (
        unit not in values
        or re.search(r"[*?]", values[unit])
        or any(re.search(r"[*?]", key) for key in values)
    ):
        problem = "OIDC-4"
        return Grade(
            exposure="organization",
            problem=problem,
            names_only=True,
            example=f"{tenant}:{name}:{unit}:NAME:{last}:...",
        )
    if any(unit_ in values and re.search(r"[*?]", values[unit_]) for unit_ in units):
        return Grade(exposure="organization", problem="OIDC-4", names_only=True)
    if wild:
        return Grade(exposure="repository", problem="OIDC-5", names_only=True)
    return Grade(exposure="exact", problem=None, names_only=True)


def _tenant(value: str) -> Grade:
    """Grade a subject of an issuer that belongs to one workspace or organization; it starts with the repository."""
    literal = _literal(value)
    project = literal.partition("/project/")[2] if literal.startswith("org/") else literal
    if literal != value and len(project.strip("{}/:")) < 8:
        return Grade(exposure="organization", problem="OIDC-4")
    return Grade(exposure="repository" if literal != value else "exact", problem=None)


def _service_account(value: str) -> Grade:
    """Grade ``system:serviceaccount:namespace:name``."""
    parts = value.split(":")
    if (
        len(parts) < 4
        or "*" in parts[2]
        or "?" in parts[2]
        or (value.count("*") and not value.startswith("system:serviceaccount:"))
    ):
        wild = "*" in value or "?" in value
        return (
            Grade(exposure="organization", problem="IRSA-1")
            if wild
            else Grade(exposure="exact", problem=None)
        )
    if "*" in parts[3] or "?" in parts[3]:
        return Grade(
            exposure="repository", problem="IRSA-2", example=f"system:serviceaccount:{parts[2]}:NAME"
        )
    return Grade(exposure="exact", problem=None)


def _plain(value: str, *, shared: bool) -> Grade:
    """Grade a subject of unknown format: only the part before the first wildcard counts."""
    literal = _literal(value)
    if literal == value:
        return Grade(exposure="exact", problem=None)
    if not re.search(r"[^:/][:/][^:/]+[:/]", literal):
        return (
            Grade(exposure="anyone", problem="OIDC-2")
            if shared
            else Grade(exposure="organization", problem="OIDC-2")
        )
    return Grade(
        exposure="organization" if shared else "repository", problem="OIDC-4" if shared else "OIDC-5"
    )
