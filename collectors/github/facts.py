"""What one listing finds out and another needs to know: about the organization, a repository, its files.

Facts are not records: they are not written to the snapshot. Listings return them, and the plan hands them on.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from typing import Any

import msgspec

from collectors.github.records import repository_id

DEFAULT_CLAIMS = ("repo", "context")
"""What GitHub makes a token's subject of where nobody chose otherwise."""


class SubjectTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """What the ``sub`` of a repository's workflow tokens is made of."""

    claims: tuple[str, ...] = DEFAULT_CLAIMS
    """Claim names in order; ``repo, context`` is GitHub's default."""
    immutable: bool | None = None
    """True when ids stand beside the names: ``repo:acme@1/app@2:...``; None where that is not known."""


class Identifier(msgspec.Struct, frozen=True, kw_only=True):
    """A variable of the organization that names something (a role, a cluster), and which repositories get it."""

    name: str
    value: str
    visibility: str = "all"
    """``all``, ``private`` (and internal) repositories, or ``selected`` ones."""
    available_to: tuple[str, ...] = ()
    """`Account.id` of the repositories that were selected."""


class EnvironmentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment environment of a repository."""

    number: str
    """Its immutable id."""
    name: str
    protected: bool
    """Whether somebody must approve, or only some branches deploy."""
    custom_branches: bool
    """Whether the branches that deploy are a list of its own."""
    identifiers: dict[str, str] = {}
    """Its variables that name something: name to value."""


class DefinitionFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the default branch, by the id of its content."""

    path: str
    oid: str
    size: int
    """Bytes."""


class RepositoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One repository, as GraphQL shows it. None in a field means that it could not be seen."""

    number: int
    """Its immutable id."""
    name: str
    full_name: str
    archived: bool
    fork: bool
    visibility: str
    administered: bool
    """Whether the viewer administers it, so that a count of zero keys is a fact."""
    created_at: datetime | None
    pushed_at: datetime | None
    url: str | None
    branch: str | None
    """The default branch."""
    keys: int | None
    """How many deploy keys it has."""
    environments: int | None
    """How many environments it has."""
    protections: list[dict[str, Any]] | None
    """Branch protection rules, as GraphQL gave them."""
    more_protections: bool
    rulesets: list[dict[str, Any]] | None
    """As GraphQL gave them."""
    more_rulesets: bool
    rules: dict[int, list[str]] | None
    """By ruleset, what the active ones demand on the default branch: ``pull_request``. None when not all is shown."""
    collaborators: list[dict[str, Any]] | None
    """Direct collaborators, as GraphQL gave them."""
    more_collaborators: bool
    deployments: list[dict[str, Any]] | None
    """The last ones, as GraphQL gave them."""
    files: list[DefinitionFile] | None
    """The CI definitions."""
    owners: DefinitionFile | None
    """CODEOWNERS."""
    withheld: dict[str, str] = {}
    """GitHub's words for each field of the query that it does not show."""
    digest: str
    """Changes when something changes that REST must be asked about again."""

    @property
    def account_id(self) -> str:
        """The repository's `Account.id`."""
        return repository_id(self.number)

    @property
    def workflows(self) -> bool:
        """Whether it has, or may have, workflows."""
        return self.files is None or any(file.path.startswith(".github/workflows/") for file in self.files)


class RepositorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What REST says about a repository's workflows. Carried forward together with the records of the same reading."""

    token: str | None = None
    """Default GITHUB_TOKEN permissions: ``read`` or ``write``."""
    template: SubjectTemplate | None = None
    environments: tuple[EnvironmentFacts, ...] = ()
    identifiers: dict[str, str] = {}
    """The repository's variables that name something: name to value."""


class WorkflowRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the organization's settings say about workflows."""

    token: str | None = None
    """Default GITHUB_TOKEN permissions: ``read`` or ``write``."""
    allowed: str | None = None
    """Which actions workflows may run: ``all``, ``local_only`` or ``selected``."""
    repository_runners: bool = True
    """Whether repositories may register runners."""


class OrganizationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all repositories of the organization."""

    workflows: WorkflowRules = WorkflowRules()
    template: SubjectTemplate | None = None
    """None where the organization has none, or it is not shown."""
    variables: tuple[Identifier, ...] = ()
    """Sorted by name."""
    roles: dict[str, str] = {}
    """Custom repository roles, each with the base role that it extends."""

    def identifiers(self, repository: RepositoryFacts) -> dict[str, str]:
        """Return the organization's variables that this repository gets: name to value."""
        return {
            variable.name: variable.value
            for variable in self.variables
            if variable.visibility == "all"
            or (variable.visibility == "private" and repository.visibility != "public")
            or repository.account_id in variable.available_to
        }
