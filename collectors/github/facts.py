"""Facts about the organization, a repository and its files that one listing finds and another needs. Facts are not
records and are not written to the snapshot. Listings return them, and the plan passes them on.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.records import repository_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.records import Power

DEFAULT_CLAIMS = ("repo", "context")
"""The claims of a token's subject by default."""


class SubjectTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """The claims that make up ``sub`` in a repository's workflow tokens."""

    claims: tuple[str, ...] = DEFAULT_CLAIMS
    """Claim names in order; ``repo, context`` is GitHub's default."""
    immutable: bool | None = None
    """True if ids follow the names: ``repo:acme@1/app@2:...``; None if unknown."""


class Identifier(msgspec.Struct, frozen=True, kw_only=True):
    """An organization variable whose value is an identifier (a role, a cluster), and which repositories get it."""

    name: str
    value: str
    visibility: str = "all"
    """``all``, ``private`` (and internal) repositories, or ``selected`` ones."""
    available_to: tuple[str, ...] = ()
    """`Account.id` of the selected repositories."""


class EnvironmentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment environment of a repository."""

    number: str
    """Its immutable id."""
    name: str
    protected: bool
    """Whether deployments need an approval or are limited to some branches."""
    custom_branches: bool
    """Whether it has its own list of branches that may deploy."""
    identifiers: dict[str, str] = {}
    """Identifiers among its variables: name to value."""


class DefinitionFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the default branch, with the id of its content."""

    path: str
    oid: str
    size: int
    """Bytes."""


class BranchRule(msgspec.Struct, frozen=True, kw_only=True):
    """One active rule of a ruleset on the default branch.

    https://docs.github.com/en/rest/repos/rules#get-rules-for-a-branch
    """

    type: str
    """``pull_request``, ``required_status_checks``, ..."""
    approvals: int | None = None
    """For ``pull_request``: how many approving reviews it requires. 0 is a value that GitHub documents."""
    approvals_end: bool | None = None
    """For ``pull_request``: whether a later push ends the approvals, or must be approved by somebody else."""


def branch_rule(kind: str, parameters: Mapping[str, Any]) -> BranchRule:
    """Return a rule from its type and its parameters in REST's spelling. Only a pull request's parameters are read.

    https://docs.github.com/en/graphql/reference/objects#pullrequestparameters
    """
    if kind != "pull_request":
        return BranchRule(type=kind)
    ends = parameters["dismiss_stale_reviews_on_push"] or parameters["require_last_push_approval"]
    return BranchRule(
        type=kind, approvals=int(parameters["required_approving_review_count"]), approvals_end=bool(ends)
    )


class RepositoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One repository, as GraphQL returns it. None in a field means that it could not be read."""

    number: int
    """Its immutable id."""
    name: str
    full_name: str
    archived: bool
    fork: bool
    visibility: str
    administered: bool
    """Whether the token administers it, so that a count of zero keys is reliable."""
    created_at: datetime | None
    pushed_at: datetime | None
    url: str | None
    branch: str | None
    """The default branch."""
    keys: int | None
    """Number of deploy keys."""
    environments: int | None
    """Number of environments."""
    protections: list[dict[str, Any]] | None
    """Branch protection rules, as GraphQL returned them."""
    more_protections: bool
    rulesets: list[dict[str, Any]] | None
    """Rulesets, as GraphQL returned them."""
    more_rulesets: bool
    rules: dict[int, list[BranchRule]] | None
    """By ruleset, its active rules on the default branch. None if the list is incomplete, or lacks their parameters."""
    collaborators: list[dict[str, Any]] | None
    """Direct collaborators, as GraphQL returned them."""
    more_collaborators: bool
    deployments: list[dict[str, Any]] | None
    """The latest deployments, as GraphQL returned them."""
    files: list[DefinitionFile] | None
    """The CI definitions."""
    unread: tuple[str, ...] = ()
    """Paths of definitions of systems that are not read."""
    owners: DefinitionFile | None
    """CODEOWNERS."""
    withheld: dict[str, str] = {}
    """GitHub's message for each field of the query that it refused."""
    digest: str
    """Changes when the repository must be read by REST again."""

    @property
    def account_id(self) -> str:
        """The repository's `Account.id`."""
        return repository_id(self.number)

    @property
    def workflows(self) -> bool:
        """Whether it has, or may have, workflows."""
        return self.files is None or any(file.path.startswith(".github/workflows/") for file in self.files)


class RepositorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """A repository's workflow settings, by REST. Carried forward together with the records read at the same time."""

    token: str | None = None
    """Default GITHUB_TOKEN permissions: ``read`` or ``write``."""
    template: SubjectTemplate | None = None
    environments: tuple[EnvironmentFacts, ...] = ()
    identifiers: dict[str, str] = {}
    """Identifiers among the repository's variables: name to value."""


class WorkflowRules(msgspec.Struct, frozen=True, kw_only=True):
    """The organization's workflow settings."""

    token: str | None = None
    """Default GITHUB_TOKEN permissions: ``read`` or ``write``."""
    allowed: str | None = None
    """Which actions workflows may run: ``all``, ``local_only`` or ``selected``."""
    repository_runners: bool = True
    """Whether repositories may register runners."""


class OrganizationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that apply to all repositories of the organization."""

    workflows: WorkflowRules = WorkflowRules()
    template: SubjectTemplate | None = None
    """None if the organization has no template, or it could not be read."""
    variables: tuple[Identifier, ...] = ()
    """Sorted by name."""
    roles: dict[str, list[Power]] = {}
    """What each custom repository role allows, by its name."""

    def identifiers(self, repository: RepositoryFacts) -> dict[str, str]:
        """Return the identifiers among the organization's variables that this repository gets: name to value."""
        return {
            variable.name: variable.value
            for variable in self.variables
            if variable.visibility == "all"
            or (variable.visibility == "private" and repository.visibility != "public")
            or repository.account_id in variable.available_to
        }
