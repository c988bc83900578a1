"""The content of a pipeline definition in one provider-neutral form. A parser evaluates nothing: expressions stay text,
and it reads only the files that its caller passes. Templates, expressions and reusable workflows that could not be
resolved are listed in `Definition.unresolved`.

Line numbers of a definition of several files share one number space: file n starts at n times `FILE`. So a location in
a merged definition is a single number, and arithmetic on lines works; `Definition.where` returns file and line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from scanner.records import Reason

from scanner.records import Severity  # noqa: TC001  msgspec reads the annotations at run time
from scanner.secrets.detectors import Seen  # noqa: TC001  msgspec reads the annotations at run time

Format: TypeAlias = Literal[
    "github-workflow",
    "github-action",
    "gitlab-ci",
    "azure-pipelines",
    "bitbucket-pipelines",
    "cloudbuild",
    "buildspec",
    "jenkinsfile",
    "circleci",
    "buildkite",
    "drone",
    "woodpecker",
    "travis",
    "tekton",
    "argo-workflows",
]
Scope: TypeAlias = Literal["workflow", "job", "step"]
Pin: TypeAlias = Literal["sha", "digest", "tag", "branch", "none", "local", "expression"]
RunnerKind: TypeAlias = Literal["hosted", "self-hosted", "unknown"]

FILE = 1 << 25
"""Offset between the lines of one file and the next: more lines than the largest file has."""
NOWHERE = FILE >> 1
"""From this number on, the line within the file is unknown."""


class DefinitionError(Exception):
    """A file could not be parsed in its format: one `Gap`, for that file only."""

    def __init__(self, reason: Reason, detail: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {detail}" if line else detail)
        self.reason = reason
        self.line = line


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a secret or variable is read by name."""

    name: str
    """``*`` for all of them: ``toJSON(secrets)``, ``secrets: inherit``, a computed index."""
    line: int
    column: int
    scope: Scope
    job: str | None = None
    environment: str | None = None
    """The environment of the job, whose secrets take precedence."""
    store: str | None = None
    """Where it is stored, if the file says so: ``secrets-manager``, ``parameter-store``, ``secret-manager``,
    ``key-vault:NAME``, ``vault``, ``variable-group``, ``service-connection``, ``secure-file``,
    ``jenkins-credentials``, ``circleci-context``, ``buildkite-secrets``, ``kubernetes``."""
    via: str = "name"
    """``name``, ``toJSON``, ``inherit`` or ``index``."""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in to a cloud or registry."""

    service: str
    """``aws``, ``gcp``, ``azure``, ``vault``, ``pypi``, ``npm``, ``registry``, ``github-app``, ..."""
    how: Literal["oidc", "static"]
    targets: list[str] = []
    """The role ARNs, service accounts or client ids it requests; unresolved expressions stay text."""
    audience: str | None = None
    """The ``aud`` of the token it requests."""
    secrets: list[str] = []
    """Names of the stored secrets that it uses."""
    line: int
    job: str | None = None
    environment: str | None = None
    token_allowed: bool | None = None
    """Whether the job may request an identity token; None if the format has no such permission."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Third-party code that runs in the pipeline."""

    kind: Literal[
        "action", "reusable-workflow", "image", "include", "template", "pipe", "library", "component"
    ]
    name: str
    """Without the ref: ``actions/checkout``, ``docker.io/library/node``."""
    ref: str | None = None
    pin: Pin
    third_party: bool
    secrets: list[str] = []
    """Names of the secrets passed to it or in its job's environment; ``*`` for all."""
    line: int
    job: str | None = None


class HardCoded(msgspec.Struct, frozen=True, kw_only=True):
    """A secret value in the file."""

    name: str
    line: int
    column: int
    seen: Seen
    job: str | None = None


class Deploy(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that a job deploys."""

    target: str
    """An ARN, or ``aws:ecs-service-name:CLUSTER/NAME``, ``aws:lambda-function-name:NAME``, ``kubernetes:...``."""
    line: int
    job: str | None = None
    environment: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A weakness visible in the file itself."""

    code: str
    """``unpinned-uses``, ``template-injection``, ``dangerous-triggers``, ...: see `collectors.definitions`."""
    line: int
    detail: str
    severity: Severity
    fix: str
    job: str | None = None


class Unresolved(msgspec.Struct, frozen=True, kw_only=True):
    """A reference that could not be resolved: a template, a computed name, a called workflow."""

    line: int
    what: str
    """A clause: "the template build.yml"."""


class JobRunner(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job runs."""

    kind: RunnerKind
    labels: list[str] = []
    group: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job, or the format's equivalent: a step, a build."""

    name: str
    line: int
    runner: JobRunner | None = None
    environment: str | None = None
    """``*`` if it is computed."""
    permissions: dict[str, str] | None = None
    """Effective token permissions; None if the platform's default applies. ``{"*": "write"}`` is write-all."""
    identity_token: bool | None = None
    """Whether it can request an OIDC token; None if the file does not say."""
    refs: list[str] = []
    """Git refs on which it runs, in which ``*`` matches any text; empty if unknown or any. ``refs/heads/main``."""
    calls: str | None = None
    """The reusable workflow that it calls, with its ref."""
    followed: bool = False
    """Whether the jobs of the workflow that it calls are listed too."""
    workflow: str | None = None
    """The called workflow that it belongs to; None for a job of the definition itself."""


class Included(msgspec.Struct, frozen=True, kw_only=True):
    """A file included in the definition."""

    path: str
    """Its name in records: ``ci/build.yml``, ``deploy.yml@lantern/templates``, ``https://example.org/ci.yml``."""
    line: int | None = None
    """Used for every line of the file, if only the including statement is known."""
    called_at: int | None = None
    """The line that calls the file, if it is known; of the first call, if several calls share the file's lines."""


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """One definition: a file, with its includes as far as they were read."""

    path: str
    included: list[Included] = []
    """The included files, in the order of their line numbers."""
    format: Format
    name: str
    line: int = 1
    triggers: dict[str, list[str]] = {}
    """Event to the git refs on which it starts the pipeline (``refs/heads/main``); empty list for any."""
    jobs: list[Job] = []
    permissions: dict[str, str] | None = None
    """Token permissions for all jobs; None if the platform's default applies."""
    secrets: list[Reference] = []
    variables: list[Reference] = []
    logins: list[Login] = []
    uses: list[Use] = []
    dangerous_triggers: list[str] = []
    """Triggers by which untrusted users run this pipeline with its own rights."""
    untrusted_checkout: bool = False
    """Whether it checks out untrusted code under one of them."""
    hard_coded: list[HardCoded] = []
    deploys: list[Deploy] = []
    problems: list[Problem] = []
    unresolved: list[Unresolved] = []
    """What could not be resolved."""
    job_token: bool = False
    """Whether jobs get a token of the platform, with default rights unless the file sets them."""
    service_accounts: list[str] = []
    """The service account that it runs as, if the file names one (Cloud Build)."""
    confidence: Literal["high", "low"] = "high"
    """Low for formats that are programs (Jenkinsfile) and for files that had to be repaired (tabs)."""

    def audience(self, job: Job) -> str:
        """Return the audience of a job's identity token; ``*`` if it may request any.

        Any step of a job that may request a token may request any audience; the logins show which it requests.
        """
        found = {
            login.audience
            for login in self.logins
            if login.how == "oidc"
            and login.job == job.name
            and login.audience
            and "${{" not in login.audience
        }
        return found.pop() if len(found) == 1 else "*"

    def file_of(self, line: int) -> str:
        """Return the path of the file that a line of this definition belongs to."""
        number = line // FILE
        return self.included[number - 1].path if number else self.path

    def line_in_file(self, line: int) -> int | None:
        """Return the line within its file; None if unknown."""
        number, within = divmod(line, FILE)
        if within < NOWHERE:
            return within
        return self.included[number - 1].line if number else None

    def callers(self, line: int) -> list[str]:
        """Return where the file of a line is called, innermost first: ``path:line``."""
        found: list[str] = []
        number = line // FILE
        while number and len(found) < len(self.included):
            at = self.included[number - 1].called_at
            if at is None:
                break
            found.append(self.where(at))
            number = at // FILE
        return found

    def where(self, line: int) -> str:
        """Return ``path:line``; the path alone if the line is unknown."""
        path, known = self.file_of(line), self.line_in_file(line)
        return path if known is None else f"{path}:{known}"
