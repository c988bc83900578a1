"""How the subject of a workflow's OIDC token is made: by GitHub's default, or by a template of claims.

https://docs.github.com/en/actions/reference/security/oidc
https://docs.github.com/en/rest/actions/oidc
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.failures import explain_unsupported
from collectors.github.listings.controls import control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.listings.structure import Repository
    from collectors.github.scope import Scope
    from scanner.records import Record

_DEFAULT = ("repo", "context")


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """What the ``sub`` of a repository's tokens is made of."""

    claims: tuple[str, ...] = _DEFAULT
    """Claim names in order; ``repo, context`` is GitHub's default."""
    immutable: bool | None = None
    """True when ids stand beside the names: ``repo:acme@1/app@2:...``; None where that is not known."""


def _template(body: dict[str, Any]) -> Template:
    keys = tuple(str(key) for key in body.get("include_claim_keys") or [])
    immutable = body.get("use_immutable_subject")
    # Repositories made, renamed or moved since July 2026 have ids in their subjects whatever the setting says: what a
    # subject begins with is the surer word. https://docs.github.com/en/actions/reference/security/oidc
    if body.get("sub_claim_prefix"):
        immutable = "@" in str(body["sub_claim_prefix"])
    return Template(claims=keys or _DEFAULT, immutable=immutable)


def organization_template(scope: Scope, found: list[Template]) -> Iterator[Record]:
    """Yield the organization's subject template; fills ``found``."""

    def template(body: dict[str, Any]) -> Iterator[Record]:
        read = _template(body)
        found.append(read)
        yield control(
            scope.account_id,
            "oidc-subject-template",
            f"org/{scope.number}",
            stage="build",
            name="OIDC subject template",
            enforcement="documented" if read.claims == _DEFAULT else "enforced",
            target=scope.account_id,
            detail=f"Subject claims: {', '.join(read.claims)}; "
            f"{'with' if read.immutable else 'without'} immutable ids.",
        )

    yield from scope.object(
        "/orgs/{org}/actions/oidc/customization/sub",
        template,
        table="controls",
        kind="oidc-subject-template",
        needs="organization_administration: read",
        explained=explain_unsupported("No organization template is set, or the server does not offer one."),
    )


def repository_template(
    scope: Scope, repository: Repository, organization: Template | None, found: list[Template]
) -> Iterator[Record]:
    """Yield a repository's subject template; fills ``found``.

    ``use_default`` true is GitHub's default; false without keys of its own is the organization's template.
    """

    def template(body: dict[str, Any]) -> Iterator[Record]:
        own = _template(body)
        if body.get("use_default", True):
            read = Template(immutable=own.immutable)
        elif body.get("include_claim_keys"):
            read = own
        else:
            read = Template(claims=organization.claims if organization else _DEFAULT, immutable=own.immutable)
        found.append(read)
        if read.claims != _DEFAULT or read.immutable:
            yield control(
                repository.account_id,
                "oidc-subject-template",
                str(repository.number),
                stage="build",
                name="OIDC subject template",
                enforcement="documented" if read.claims == _DEFAULT else "enforced",
                target=repository.account_id,
                detail=f"Subject claims: {', '.join(read.claims)}; "
                f"{'with' if read.immutable else 'without'} immutable ids.",
            )

    yield from scope.object(
        "/repos/{org}/{repo}/actions/oidc/customization/sub",
        template,
        table="controls",
        kind="oidc-subject-template",
        needs="actions: read",
        account_id=repository.account_id,
        repo=repository.name,
    )
