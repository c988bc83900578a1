"""What the caller knows about a definition's repository, and the kinds of its platform's pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collectors.definitions.definition import Format


class PipelineKind(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of a pipeline's identity."""

    id_kind: str
    """The second part of `Identity.id`: ``workflow``."""
    kind: str
    """`Identity.kind`: ``github-workflow``."""


OTHER_PIPELINES = PipelineKind(id_kind="ci-pipeline", kind="ci-pipeline")


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller knows about a definition's repository."""

    provider: str
    """The calling collector: ``github``, ``gitlab``, ``definitions``."""
    account_id: str
    """The repository's `Account.id`."""
    repository: str
    """Full name: ``lanternpay/payments-api``, ``lantern/risk-engine``."""
    repository_id: str | None = None
    """The provider's immutable id; None for a local checkout."""
    owner_id: str | None = None
    """The immutable id of the owner (GitHub) or of the namespace (GitLab)."""
    default_branch: str | None = None
    """``main``; None when unknown."""
    visibility: str | None = None
    """``public``, ``internal`` or ``private``."""
    issuer: str | None = None
    """Issuer of the platform's tokens; None for the platform's public service. GHES: ``https://HOST/_services/token``."""
    immutable_subject: bool | None = False
    """True if subjects are ``repo:OWNER@ID/REPO@ID:...``; None if unknown, so that both forms count."""
    claim_keys: list[str] | None = None
    """The claims of a customized subject: GitHub's ``include_claim_keys``, GitLab's
    ``ci_id_token_sub_claim_components``; None for the default."""
    maybe_keys: list[str] | None = None
    """Another template that may apply, if the repository's own settings could not be read."""
    pipelines: dict[str, PipelineKind] = {}
    """The kind of a definition's identity, by format; `OTHER_PIPELINES` for other formats."""
    one_per_repository: bool = False
    """True if a repository has exactly one pipeline, whose identity is derived from the repository."""
    variables: dict[str, str] = {}
    """Values of variables that are not secret, used only to resolve role ARNs and names of workloads; never stored."""
    environment_variables: dict[str, dict[str, str]] = {}
    """The same for each environment: an environment's variables take precedence over the repository's."""
    secret_values: dict[str, str] = {}
    """Like `variables`, for secrets whose value is known to be only an identifier."""
    archived: bool | None = None
    """True if the repository is archived, so that nothing runs."""
    url: str | None = None
    """The file's web page."""

    def pipeline(self, kind: Format) -> PipelineKind:
        """Return the kind of the identity of a definition of this format."""
        return self.pipelines.get(kind, OTHER_PIPELINES)

    def values(self, environment: str | None) -> dict[str, str]:
        """Return the known plain variables of a job in an environment."""
        return self.variables | self.environment_variables.get(environment or "", {})
