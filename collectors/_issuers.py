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
    form: str
    """What a subject that is specific enough consists of, in words; of the audience for issuers told apart by it."""


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens one value accepts."""

    exposure: Exposure
    problem: str | None
    """The problem's code; None if there is none."""
    names_only: bool = False
    """Whether it uses names, which can be reassigned, instead of ids."""
    start: str | None = None
    """What a more specific value begins with, as far as the value says it."""


def wanted(issuer: Issuer, grade: Grade | None = None) -> str:
    """Return which subjects a trust should be limited to, in words: the known beginning, and the form of the rest."""
    if grade is None or grade.start is None:
        return f"the exact subject of each caller that needs it: {issuer.form}"
    return f'the exact subject of each caller that needs it, which begins with "{grade.start}": {issuer.form}'


_GITHUB = Issuer(
    family="github",
    shared=True,
    form='"repo:", owner, "/", repository, then ":environment:" and the environment, or ":ref:refs/heads/" and the branch',
)
_GITLAB_FORM = '"project_path:", group, "/", project, ":ref_type:branch:ref:" and the branch'
_TERRAFORM = Issuer(
    family="terraform",
    shared=True,
    form='"organization:", organization, ":project:", project, ":workspace:", workspace, and ":run_phase:apply"; plans '
    "have a subject of their own, and need a role that can only read",
)
_VERCEL_FORM = '"owner:", team, ":project:", project, ":environment:" and the environment'


def _pairs_of(form: str) -> Issuer:
    return Issuer(family="colon-pairs", shared=True, form=form)


def _audience_of(form: str) -> Issuer:
    return Issuer(family="audience", shared=True, form=form)


KNOWN: dict[str, Issuer] = {
    "token.actions.githubusercontent.com": _GITHUB,
    "vstoken.actions.githubusercontent.com": _GITHUB,
    "gitlab.com": Issuer(family="gitlab", shared=True, form=_GITLAB_FORM),
    "app.terraform.io": _TERRAFORM,
    "app.eu.terraform.io": _TERRAFORM,
    "agent.buildkite.com": Issuer(
        family="buildkite",
        shared=True,
        form='"organization:", organization, ":pipeline:", pipeline, ":ref:refs/heads/", branch, and ":commit:*"',
    ),
    "oidc.codefresh.io": _pairs_of('"account:", account ID, ":pipeline:" and the pipeline ID'),
    "scalr.io": _pairs_of(
        '"account:", account, ":environment:", environment, ":workspace:" and the workspace'
    ),
    "studio.datachain.ai/api": _pairs_of('"credentials:", team, "/" and the name'),
    "tokens.cloud.shisho.dev": _pairs_of('"job:", organization, ":" and the name'),
    "proidc.upbound.io": _pairs_of('"mcp:", organization, "/", control plane, ":provider:" and the provider'),
    "oidc-configuration.audit-log.githubusercontent.com": _pairs_of(
        '"https://github.com/" and the enterprise'
    ),
    "rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7": _pairs_of(
        '"system:serviceaccount:", namespace, ":" and the service account'
    ),
    "api.pulumi.com/oidc": _audience_of('"aws:" and the organization'),
    "oidc.vercel.com": _audience_of('"https://vercel.com/" and the team'),
    "sandboxes.cloud": _audience_of("the organization"),
    **dict.fromkeys(
        (
            "cognito-identity.amazonaws.com",
            "cognito-identity-us-gov.amazonaws.com",
            "cognito-identity.cn-north-1.amazonaws.com.cn",
        ),
        Issuer(family="cognito", shared=True, form="the identity pool ID"),
    ),
    "accounts.google.com": Issuer(
        family="google", shared=True, form="the unique ID of the service account, a number"
    ),
    "www.amazon.com": _audience_of("the client ID of the application"),
    "graph.facebook.com": _audience_of("the application ID"),
}
_PRIVATE = Issuer(family="private", shared=False, form="as the issuer writes it")
_CLUSTER = re.compile(
    r"^(oidc\.eks\.[a-z0-9-]+\.(amazonaws\.(com(\.cn)?|eu)|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)/id/"
    r"|(oidc|[a-z0-9-]+\.oic)\.prod-aks\.azure\.(com|us|cn)/)",
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
            form=_GITHUB.form if family == "github" else _VERCEL_FORM,
        )
    if _CLUSTER.match(lowered):
        form = '"system:serviceaccount:", namespace, ":" and the service account'
        return Issuer(family="eks", shared=False, form=form)
    if lowered.startswith("api.bitbucket.org/2.0/workspaces/"):
        form = 'the repository\'s UUID in braces and ":*"'
        return Issuer(family="bitbucket", shared=False, form=form)
    if lowered.startswith("oidc.circleci.com/org/"):
        form = '"org/", organization ID, "/project/", project ID and "/user/*"'
        return Issuer(family="circleci", shared=False, form=form)
    if "gitlab" in lowered.partition("/")[0]:
        return Issuer(family="gitlab", shared=False, form=_GITLAB_FORM)
    if lowered.endswith("/_services/token"):
        return Issuer(family="github", shared=False, form=_GITHUB.form)
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
        return Grade(exposure="another-tenant", problem="OIDC-3", names_only=True, start=f"repo:{rest}/")
    names_only = owner["owner_id"] is None
    start = f"repo:{owner['owner']}{owner['owner_id'] or ''}"
    named = _NAMED.match(value)
    if named is None or "*" in value[: named.end()].replace("@*", "") or "?" in value[: named.end()]:
        return Grade(
            exposure="organization",
            problem="OIDC-4",
            names_only=names_only,
            start=f"{start}/",
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
            start=start,
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
            start=f"project_path:{literal}/",
        )
    if literal != path:
        group = literal.rpartition("/")[0]
        return Grade(
            exposure="organization",
            problem="OIDC-4",
            names_only=True,
            start=f"project_path:{group}/",
        )
    if re.search(r"[*?]", tail):
        return Grade(
            exposure="repository",
            problem="OIDC-5",
            names_only=True,
            start=f"project_path:{path}:ref_type:",
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
            start=f"{tenant}:{name}:{units[0]}:",
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
            start=f"{tenant}:{name}:" if name else None,
        )
    if any(unit_ in values and re.search(r"[*?]", values[unit_]) for unit_ in units):
        return Grade(exposure="organization", problem="OIDC-4", names_only=True)
    if wild and (last not in values or re.search(r"[*?]", values[last])):
        start = literal if literal.endswith(":") else literal + ":"
        return Grade(exposure="repository", problem="OIDC-5", names_only=True, start=start)
    # What follows the branch is different for every build: the commit, the step.
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
        return Grade(exposure="repository", problem="IRSA-2", start=f"system:serviceaccount:{parts[2]}:")
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
