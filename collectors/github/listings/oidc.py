"""The subject format of workflow OIDC tokens: GitHub's default, or a template of claims.

https://docs.github.com/en/actions/reference/security/oidc
https://docs.github.com/en/rest/actions/oidc
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.facts import DEFAULT_CLAIMS, SubjectTemplate
from collectors.github.records import control
from scanner.collect.failures import unsupported_on

if TYPE_CHECKING:
    from collections.abc import Generator

    from collectors.github.facts import RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Control, Record


def organization_template(scope: OrganizationScope) -> Generator[Record, None, SubjectTemplate | None]:
    """Yield the organization's subject template, and return it; None if there is none, or it could not be read."""

    def template(body: dict[str, Any]) -> Generator[Record, None, SubjectTemplate]:
        read = _template(body)
        yield _control(scope.account_id, f"org/{scope.number}", read)
        return read

    return (
        yield from scope.object(
            "/orgs/{org}/actions/oidc/customization/sub",
            template,
            table="controls",
            kind="oidc-subject-template",
            needs="organization_administration: read",
            classify=unsupported_on(
                {404}, "No organization template is set, or the server does not support it."
            ),
        )
    )


def repository_template(
    scope: OrganizationScope, repository: RepositoryFacts, organization: SubjectTemplate | None
) -> Generator[Record, None, SubjectTemplate | None]:
    """Yield a repository's subject template, and return it; None if it could not be read.

    ``use_default: true`` means GitHub's default; false without claim keys means the organization's template.
    """

    def template(body: dict[str, Any]) -> Generator[Record, None, SubjectTemplate]:
        own = _template(body)
        if body.get("use_default", True):
            read = SubjectTemplate(immutable=own.immutable)
        elif body.get("include_claim_keys"):
            read = own
        else:
            claims = organization.claims if organization else DEFAULT_CLAIMS
            read = SubjectTemplate(claims=claims, immutable=own.immutable)
        if read.claims != DEFAULT_CLAIMS or read.immutable:
            yield _control(repository.account_id, str(repository.number), read)
        return read

    return (
        yield from scope.of(repository).object(
            "/repos/{owner}/{repo}/actions/oidc/customization/sub",
            template,
            table="controls",
            kind="oidc-subject-template",
            needs="actions: read",
        )
    )


def _template(body: dict[str, Any]) -> SubjectTemplate:
    keys = tuple(str(key) for key in body.get("include_claim_keys") or [])
    immutable = body.get("use_immutable_subject")
    # Repositories created, renamed or transferred since July 2026 have ids in their subjects regardless of the setting,
    # so the prefix of a subject is more reliable. https://docs.github.com/en/actions/reference/security/oidc
    if body.get("sub_claim_prefix"):
        immutable = "@" in str(body["sub_claim_prefix"])
    return SubjectTemplate(claims=keys or DEFAULT_CLAIMS, immutable=immutable)


def _control(account_id: str, native_id: str, template: SubjectTemplate) -> Control:
    return control(
        account_id,
        "oidc-subject-template",
        native_id,
        stage="build",
        name="OIDC subject template",
        enforcement="documented" if template.claims == DEFAULT_CLAIMS else "enforced",
        target=account_id,
        detail=f"Subject claims: {', '.join(template.claims)}; "
        f"{'with' if template.immutable else 'without'} immutable ids.",
    )
