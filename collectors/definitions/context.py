"""What the caller knows of the repository in which a definition stands, and how its platform calls pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.definitions.definition import Job  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collectors.definitions.definition import Format


class PipelineKind(msgspec.Struct, frozen=True, kw_only=True):
    """How the identity of a pipeline is called."""

    id_kind: str
    """The second part of `Identity.id`: ``workflow``."""
    kind: str
    """`Identity.kind`: ``github-workflow``."""


OTHER_PIPELINES = PipelineKind(id_kind="ci-pipeline", kind="ci-pipeline")


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller knows of the repository in which a definition stands."""

    provider: str
    """The collector that asks: ``github``, ``gitlab``, ``definitions``."""
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
    """True when subjects are ``repo:OWNER@ID/REPO@ID:...``; None when that is not known, so that both forms count."""
    claim_keys: list[str] | None = None
    """What a customized subject is made of: GitHub's ``include_claim_keys``, GitLab's
    ``ci_id_token_sub_claim_components``; None for the default one."""
    maybe_keys: list[str] | None = None
    """Another template that may be in force, where the repository's own settings could not be read."""
    pipelines: dict[str, PipelineKind] = {}
    """How the identity of a definition is called, by its format; `OTHER_PIPELINES` where a format is not named."""
    one_per_repository: bool = False
    """True where a repository has one pipeline, whatever file it stands in: its identity is the repository's."""
    called: dict[str, list[Job]] = {}
    """Jobs of the repository's own reusable workflows, by path: their environments are in the tokens of who calls."""
    variables: dict[str, str] = {}
    """Values of plain, unsecret variables: used to resolve role ARNs and names of workloads; never written down
    otherwise."""
    environment_variables: dict[str, dict[str, str]] = {}
    """The same of single environments: a job sees its environment's before the repository's."""
    secret_values: dict[str, str] = {}
    """Names of secrets whose value is known to be an identifier; as for `variables`."""
    archived: bool | None = None
    """True when the repository is archived, so that nothing runs."""
    url: str | None = None
    """Where a person looks at the file."""

    def pipeline(self, kind: Format) -> PipelineKind:
        """Return how the identity of a definition of this format is called."""
        return self.pipelines.get(kind, OTHER_PIPELINES)

    def values(self, environment: str | None) -> dict[str, str]:
        """Return the plain variables that a job of an environment sees, as far as they are known."""
        return self.variables | self.environment_variables.get(environment or "", {})
