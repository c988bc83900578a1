"""The model of a GitHub organization that the sandbox serves over REST and GraphQL. Immutable facts, with GitHub's
names (https://docs.github.com/en/rest). Times are aware UTC datetimes; ``None`` is returned as ``null``.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime  # noqa: TC003  msgspec reads the annotations at run time
from threading import Lock
from typing import Literal, overload

import msgspec

Store = Literal["actions", "dependabot", "codespaces", "agents"]
Visibility = Literal["all", "private", "selected"]


class SshKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of a user, for pushing or for signing."""

    id: int
    title: str
    key: str
    created_at: datetime
    last_used: datetime | None = None


class GpgKey(msgspec.Struct, frozen=True, kw_only=True):
    """A user's GPG key."""

    id: int
    key_id: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked: bool = False


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person or a machine user: GitHub does not distinguish them."""

    id: int
    login: str
    created_at: datetime
    name: str | None = None
    role: Literal["admin", "member", "outside"] = "member"
    two_factor: bool = True
    keys: tuple[SshKey, ...] = ()
    signing_keys: tuple[SshKey, ...] = ()
    gpg_keys: tuple[GpgKey, ...] = ()


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """A team, its members and its repositories (name to role)."""

    id: int
    slug: str
    members: tuple[str, ...]
    maintainers: tuple[str, ...] = ()
    repositories: dict[str, str] = {}
    parent: str | None = None


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """A pending invitation to the organization."""

    id: int
    login: str | None
    email: str | None
    role: str
    inviter: str
    created_at: datetime


class GitHubSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret as GitHub shows it: a name and two dates, never a value, a creator or a last use."""

    name: str
    created_at: datetime
    updated_at: datetime
    store: Store = "actions"
    visibility: Visibility = "all"
    selected: tuple[str, ...] = ()
    """Repositories by name, for an organization secret with visibility ``selected``."""


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A variable, whose value GitHub returns in plain text."""

    name: str
    value: str
    created_at: datetime
    updated_at: datetime
    store: Store = "actions"
    visibility: Visibility = "all"
    selected: tuple[str, ...] = ()


class DeployKey(msgspec.Struct, frozen=True, kw_only=True):
    """An SSH key that belongs to one repository. It has no expiry."""

    id: int
    title: str
    created_at: datetime
    read_only: bool = True
    added_by: str | None = None
    last_used: datetime | None = None
    enabled: bool = True
    verified: bool = True


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook of the organization or of a repository."""

    id: int
    url: str
    created_at: datetime
    updated_at: datetime
    events: tuple[str, ...] = ("push",)
    insecure_ssl: bool = False
    secret: bool = True
    """Whether deliveries are signed."""
    active: bool = True
    content_type: str = "json"
    last_code: int | None = 200


class Reviewer(msgspec.Struct, frozen=True, kw_only=True):
    """A user (login) or team (slug) that must approve a deployment."""

    type: Literal["User", "Team"]
    name: str


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment environment with its protections, secrets and variables."""

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    reviewers: tuple[Reviewer, ...] = ()
    prevent_self_review: bool = False
    can_admins_bypass: bool = True
    wait_minutes: int = 0
    branches: Literal["any", "protected", "custom"] = "any"
    patterns: tuple[str, ...] = ()
    secrets: tuple[GitHubSecret, ...] = ()
    variables: tuple[Variable, ...] = ()
    gate_app: str | None = None
    """Slug of the App of a custom deployment protection rule."""


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """Classic protection of the branches that match a pattern."""

    id: int
    pattern: str = "main"
    approvals: int = 1
    enforce_admins: bool = True
    code_owners: bool = False
    dismiss_stale: bool = True
    status_checks: tuple[str, ...] = ()
    allow_force_pushes: bool = False
    allow_deletions: bool = False
    signatures: bool = False
    bypass_users: tuple[str, ...] = ()
    bypass_apps: tuple[str, ...] = ()
    push_users: tuple[str, ...] | None = None
    """The only users who may push, or None if pushes are not restricted."""


class Bypass(msgspec.Struct, frozen=True, kw_only=True):
    """An actor who may bypass a ruleset."""

    actor_id: int | None
    actor_type: Literal["Integration", "OrganizationAdmin", "RepositoryRole", "Team", "DeployKey", "User"]
    mode: Literal["always", "pull_request", "exempt"] = "always"


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """A ruleset of a repository, or of the organization over many of them."""

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    enforcement: Literal["active", "evaluate", "disabled"] = "active"
    target: Literal["branch", "tag"] = "branch"
    refs: tuple[str, ...] = ("~DEFAULT_BRANCH",)
    repositories: tuple[str, ...] = ("~ALL",)
    """Repository name patterns; only for a ruleset of the organization."""
    approvals: int | None = 1
    """Required approvals, or None if the ruleset has no pull request rule."""
    dismiss_stale: bool = True
    status_checks: tuple[str, ...] = ()
    rules: tuple[str, ...] = ("deletion", "non_fast_forward")
    bypass: tuple[Bypass, ...] = ()


class Runner(msgspec.Struct, frozen=True, kw_only=True):
    """A self-hosted runner. GitHub does not show when it was last busy."""

    id: int
    name: str
    group_id: int = 1
    os: str = "linux"
    status: Literal["online", "offline"] = "online"
    busy: bool = False
    ephemeral: bool = False
    labels: tuple[str, ...] = ("self-hosted", "linux", "x64")


class RunnerGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of the organization's runners, and the repositories that may use them."""

    id: int
    name: str
    visibility: Visibility = "all"
    selected: tuple[str, ...] = ()
    default: bool = False
    allows_public_repositories: bool = False
    restricted_to_workflows: bool = False
    selected_workflows: tuple[str, ...] = ()
    runners: tuple[Runner, ...] = ()
    hosted: bool = False
    """Whether it contains GitHub-hosted larger runners."""


class HostedRunner(msgspec.Struct, frozen=True, kw_only=True):
    """A larger runner hosted by GitHub; this kind has a last activity."""

    id: int
    name: str
    group_id: int
    last_active_on: datetime | None = None


class GitHubDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment and its result."""

    id: int
    environment: str
    sha: str
    ref: str
    creator: str
    created_at: datetime
    state: Literal["success", "failure", "inactive", "in_progress"] = "success"
    by_app: bool = True
    """Whether GitHub Actions created it."""


class Actions(msgspec.Struct, frozen=True, kw_only=True):
    """Actions settings of the organization or of a repository."""

    enabled: bool = True
    allowed: Literal["all", "local_only", "selected"] = "selected"
    sha_pinning: bool = False
    github_owned: bool = True
    verified: bool = False
    patterns: tuple[str, ...] = ()
    token: Literal["read", "write"] = "read"
    approves_pull_requests: bool = False
    access: Literal["none", "user", "organization", "enterprise"] = "none"
    fork_approval: Literal[
        "first_time_contributors_new_to_github", "first_time_contributors", "all_external_contributors"
    ] = "first_time_contributors"
    private_forks: tuple[str, ...] = ()
    """What holds for pull requests from forks of private repositories: ``run``, ``approve``, ``write``, ``secrets``."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """How the ``sub`` claim of a repository's OIDC tokens is built."""

    use_default: bool = True
    claims: tuple[str, ...] = ()
    immutable: bool = False
    """True for ``repo:OWNER@OWNER-ID/NAME@ID:...``."""
    opted_in: bool | None = None
    """The value of ``use_immutable_subject``, if different from ``immutable``: new repositories have ids without it."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A secret scanning alert."""

    number: int
    secret_type: str
    display_name: str
    secret: str
    created_at: datetime
    state: Literal["open", "resolved"] = "open"
    validity: Literal["active", "inactive", "unknown"] = "unknown"
    path: str = "README.md"
    push_protection_bypassed: bool = False
    publicly_leaked: bool = False
    multi_repo: bool = False


class GitHubRepository(msgspec.Struct, frozen=True, kw_only=True):
    """A repository with everything that a scanner can read."""

    id: int
    name: str
    created_at: datetime
    pushed_at: datetime
    visibility: Literal["public", "private", "internal"] = "private"
    default_branch: str = "main"
    archived: bool = False
    fork: bool = False
    description: str | None = None
    language: str | None = None
    topics: tuple[str, ...] = ()
    properties: dict[str, str] = {}
    files: dict[str, str] = {}
    """Path to text, on the default branch."""
    secrets: tuple[GitHubSecret, ...] = ()
    variables: tuple[Variable, ...] = ()
    environments: tuple[Environment, ...] = ()
    deploy_keys: tuple[DeployKey, ...] = ()
    hooks: tuple[Hook, ...] = ()
    actions: Actions = Actions()
    subject: Subject = Subject()
    runners: tuple[Runner, ...] = ()
    protections: tuple[Protection, ...] = ()
    rulesets: tuple[Ruleset, ...] = ()
    deployments: tuple[GitHubDeployment, ...] = ()
    collaborators: dict[str, str] = {}
    """Login to role, for those added to this repository by name."""
    attested: tuple[str, ...] = ()
    """Digests of artifacts with attestations."""
    alerts: tuple[Alert, ...] = ()
    disabled_workflows: tuple[str, ...] = ()
    secret_scanning: bool = True
    push_protection: bool = True

    @property
    def private(self) -> bool:
        return self.visibility != "public"


class Repositories(Sequence[GitHubRepository]):
    """Repositories in order of id, by position, name and id, created on demand; the last few hundred are cached.
    ``make`` returns the repository at a position, ``position`` the position of a name, or None.
    """

    KEPT = 256

    def __init__(
        self, count: int, make: Callable[[int], GitHubRepository], position: Callable[[str], int | None]
    ) -> None:
        self._count = count
        self._make = make
        self._position = position
        self._kept: OrderedDict[int, GitHubRepository] = OrderedDict()
        self._lock = Lock()

    @classmethod
    def of(cls, repositories: Sequence[GitHubRepository]) -> Repositories:
        """Wrap existing repositories."""
        positions = {repository.name: index for index, repository in enumerate(repositories)}
        return cls(len(repositories), repositories.__getitem__, positions.get)

    def named(self, name: str) -> GitHubRepository | None:
        """Return the repository of that name."""
        position = self._position(name)
        return None if position is None else self[position]

    def numbered(self, number: int) -> GitHubRepository | None:
        """Return the repository of that id."""
        position = bisect_left(self, number, key=lambda one: one.id)
        return self[position] if position < self._count and self[position].id == number else None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[GitHubRepository]:
        return (self[index] for index in range(self._count))

    @overload
    def __getitem__(self, index: int) -> GitHubRepository: ...
    @overload
    def __getitem__(self, index: slice) -> list[GitHubRepository]: ...
    def __getitem__(self, index: int | slice) -> GitHubRepository | list[GitHubRepository]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        index %= self._count
        with self._lock:
            known = self._kept.get(index)
            if known is not None:
                self._kept.move_to_end(index)
                return known
        made = self._make(index)
        with self._lock:
            self._kept[index] = made
            if len(self._kept) > self.KEPT:
                self._kept.popitem(last=False)
        return made


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """A GitHub App installed on the organization."""

    id: int
    app_id: int
    slug: str
    client_id: str
    permissions: dict[str, str]
    created_at: datetime
    updated_at: datetime
    repository_selection: Literal["all", "selected"] = "all"
    selected: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    suspended_at: datetime | None = None
    suspended_by: str | None = None
    user: str | None = None
    """The user that it is installed on, if not the organization."""


class FineGrainedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A member's fine-grained personal access token that the organization approved (or was asked to)."""

    id: int
    token_id: int
    name: str
    owner: str
    granted_at: datetime
    permissions: dict[str, dict[str, str]]
    selection: Literal["none", "all", "subset"] = "subset"
    selected: tuple[str, ...] = ()
    expires_at: datetime | None = None
    expired: bool = False
    last_used_at: datetime | None = None
    pending: bool = False
    reason: str | None = None


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """A credential that a member authorized for single sign-on: a classic token, an SSH key, an OAuth token."""

    id: int
    login: str
    type: Literal["personal access token", "SSH key", "OAuth app token", "GitHub app token"]
    authorized_at: datetime
    accessed_at: datetime | None = None
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    last_eight: str | None = None
    fingerprint: str | None = None
    title: str | None = None


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """An organization role or a custom repository role, and its holders."""

    id: int
    name: str
    permissions: tuple[str, ...]
    created_at: datetime
    base: Literal["read", "triage", "write", "maintain", "admin"] | None = None
    users: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    predefined: bool = False


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit log."""

    id: str
    action: str
    actor: str
    at: datetime
    repository: str | None = None
    name: str | None = None


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization: the root of everything that the sandbox serves."""

    id: int
    login: str
    name: str
    created_at: datetime
    updated_at: datetime
    repositories: Repositories
    """In order of id."""
    users: tuple[User, ...]
    teams: tuple[Team, ...] = ()
    invitations: tuple[Invitation, ...] = ()
    secrets: tuple[GitHubSecret, ...] = ()
    variables: tuple[Variable, ...] = ()
    hooks: tuple[Hook, ...] = ()
    actions: Actions = Actions()
    subject: Subject = Subject()
    runner_groups: tuple[RunnerGroup, ...] = ()
    hosted_runners: tuple[HostedRunner, ...] = ()
    rulesets: tuple[Ruleset, ...] = ()
    installations: tuple[Installation, ...] = ()
    personal_installations: tuple[Installation, ...] = ()
    """Installations of the scanner's own App on users."""
    tokens: tuple[FineGrainedToken, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    organization_roles: tuple[Role, ...] = ()
    repository_roles: tuple[Role, ...] = ()
    audit_log: tuple[AuditEvent, ...] = ()
    """Newest first."""
    two_factor_required: bool = True
    default_repository_permission: Literal["read", "write", "admin", "none"] = "read"
    members_can_create_repositories: bool = False
    deploy_keys_enabled: bool = True


def blob_sha(text: str) -> str:
    """Return git's object id of a file."""
    data = text.encode()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class TreeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a git tree."""

    name: str
    path: str
    type: Literal["blob", "tree"]
    sha: str
    size: int | None = None

    @property
    def mode(self) -> str:
        return "100644" if self.type == "blob" else "040000"


def tree(files: dict[str, str], folder: str = "") -> tuple[str, list[TreeEntry]] | None:
    """Return git's id and the entries of a folder of ``files``, or None if there is no such folder.

    Ids follow https://git-scm.com/book/en/v2/Git-Internals-Git-Objects, so that a client that computes them
    itself gets the same.
    """
    prefix = f"{folder}/" if folder else ""
    children: dict[str, bool] = {}
    for path in files:
        if path.startswith(prefix):
            name, _, rest = path[len(prefix) :].partition("/")
            children[name] = bool(rest)
    if not children and folder:
        return None
    entries: list[TreeEntry] = []
    for name, is_folder in sorted(children.items(), key=lambda child: child[0] + "/" * child[1]):
        path = prefix + name
        below = tree(files, path) if is_folder else None
        if below is None:
            text = files[path]
            entries.append(
                TreeEntry(name=name, path=path, type="blob", sha=blob_sha(text), size=len(text.encode()))
            )
        else:
            entries.append(TreeEntry(name=name, path=path, type="tree", sha=below[0]))
    content = b"".join(
        entry.mode.lstrip("0").encode() + b" " + entry.name.encode() + b"\0" + bytes.fromhex(entry.sha)
        for entry in entries
    )
    sha = hashlib.sha1(b"tree %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return sha, entries


def head(repository: GitHubRepository) -> str:
    """Return the commit id of the default branch: derived from the tree and the push, so that it changes with them."""
    below = tree(repository.files)
    seed = f"{repository.id}:{below[0] if below else ''}:{repository.pushed_at.isoformat()}"
    return hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()
