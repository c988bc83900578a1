"""What a pipeline's definition file says, in one provider-neutral shape.

A parser evaluates nothing: expressions stay text, and it reads no file but those that its caller hands it. What hides
behind a template, an expression or a reusable workflow is named in `Definition.unresolved`.

Lines of a definition of several files share one number space: file n starts at n times `FILE`. So what is read out of a
merged definition keeps one number for where it stands, and arithmetic on lines stays what it is; `Definition.where`
tells file and line.
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
]
Scope: TypeAlias = Literal["workflow", "job", "step"]
Pin: TypeAlias = Literal["sha", "digest", "tag", "branch", "none", "local", "expression"]
RunnerKind: TypeAlias = Literal["hosted", "self-hosted", "unknown"]

FILE = 1 << 25
"""Between the lines of one file and the next: more lines than a file of the largest size has."""
NOWHERE = FILE >> 1
"""From here on, the line within a file is not known."""


class DefinitionError(Exception):
    """A file could not be read as what its name promises: one `Gap` for that file, and no more."""

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
    """The environment of the job, whose secrets come first."""
    store: str | None = None
    """Where it is kept, when the file says so: ``secrets-manager``, ``parameter-store``, ``secret-manager``, ``key-vault:NAME``,
    ``vault``, ``variable-group``, ``service-connection``, ``secure-file``, ``jenkins-credentials``."""
    via: str = "name"
    """``name``, ``toJSON``, ``inherit`` or ``index``."""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in to a cloud or registry."""

    service: str
    """``aws``, ``gcp``, ``azure``, ``vault``, ``pypi``, ``npm``, ``registry``, ``github-app``, ..."""
    how: Literal["oidc", "static"]
    targets: list[str] = []
    """The role ARNs, service accounts or client ids it asks for; expressions that could not be resolved stay text."""
    audience: str | None = None
    """The ``aud`` of the token it asks for."""
    secrets: list[str] = []
    """Names of the stored secrets that it uses."""
    line: int
    job: str | None = None
    environment: str | None = None
    token_allowed: bool | None = None
    """Whether the job may ask for an identity token; None where the format has no such permission."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Foreign code that runs in the pipeline."""

    kind: Literal[
        "action", "reusable-workflow", "image", "include", "template", "pipe", "library", "component"
    ]
    name: str
    """Without the ref: ``actions/checkout``, ``docker.io/library/node``."""
    ref: str | None = None
    pin: Pin
    third_party: bool
    secrets: list[str] = []
    """Names of the secrets that are handed to it, or that its job's environment holds; ``*`` for all."""
    line: int
    job: str | None = None


class HardCoded(msgspec.Struct, frozen=True, kw_only=True):
    """A secret value that stands in the file."""

    name: str
    line: int
    column: int
    seen: Seen
    job: str | None = None


class Deploy(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that a job visibly deploys."""

    target: str
    """An ARN, or ``aws:ecs-service-name:CLUSTER/NAME``, ``aws:lambda-function-name:NAME``, ``kubernetes:...``."""
    line: int
    job: str | None = None
    environment: str | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A weakness that the file shows by itself."""

    code: str
    """``unpinned-uses``, ``template-injection``, ``dangerous-triggers``, ...: see docs of `collectors.definitions`."""
    line: int
    detail: str
    severity: Severity
    fix: str
    job: str | None = None


class Unresolved(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the file refers to and does not show: a template, a computed name, a called workflow."""

    line: int
    what: str
    """A clause: "the template build.yml"."""


class JobRunner(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job runs."""

    kind: RunnerKind
    labels: list[str] = []
    group: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job, or what the format has in its place: a stage's step, a build."""

    name: str
    line: int
    runner: JobRunner | None = None
    environment: str | None = None
    """``*`` when it is computed."""
    permissions: dict[str, str] | None = None
    """Effective token permissions; None when the platform's default decides. ``{"*": "write"}`` is write-all."""
    identity_token: bool | None = None
    """Whether it can ask for an OIDC token; None when the file does not tell."""
    refs: list[str] = []
    """Git refs on which it runs, ``*`` in them for any text; empty when unknown or any. ``refs/heads/main``."""
    calls: str | None = None
    """The reusable workflow that it is, with its ref."""


class Included(msgspec.Struct, frozen=True, kw_only=True):
    """A file besides the definition's own that it consists of."""

    path: str
    """As records name it: ``ci/build.yml``, ``deploy.yml@lantern/templates``, ``https://example.org/ci.yml``."""
    line: int | None = None
    """Stands for every line of it, where only the statement is known that brings it in."""


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """One definition: a file, with what it includes as far as that was read."""

    path: str
    included: list[Included] = []
    """The other files, in the order of their lines."""
    format: Format
    name: str
    line: int = 1
    triggers: dict[str, list[str]] = {}
    """Event to the git refs on which it starts the pipeline (``refs/heads/main``); empty list for any."""
    jobs: list[Job] = []
    permissions: dict[str, str] | None = None
    """Token permissions for all jobs; None when the platform's default decides."""
    secrets: list[Reference] = []
    variables: list[Reference] = []
    logins: list[Login] = []
    uses: list[Use] = []
    dangerous_triggers: list[str] = []
    """Triggers by which strangers run this pipeline with its own rights."""
    untrusted_checkout: bool = False
    """Whether it checks out a stranger's code under one of them."""
    hard_coded: list[HardCoded] = []
    deploys: list[Deploy] = []
    problems: list[Problem] = []
    unresolved: list[Unresolved] = []
    """What could not be resolved."""
    job_token: bool = False
    """Whether jobs get a token of the platform, whose rights are its default where the file does not say."""
    service_accounts: list[str] = []
    """The platform account that it runs as, where the file names one (Cloud Build)."""
    confidence: Literal["high", "low"] = "high"
    """low for formats that are programs (Jenkinsfile), and for files that had to be repaired (tabs)."""

    def audience(self, job: Job) -> str:
        """Return the audience of a job's identity token; ``*`` where it may ask for any.

        Any step of a job that may ask for a token may ask for any audience; the logins say which it asks for.
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
        """Return the line within its file; None where that is not known."""
        number, within = divmod(line, FILE)
        if within < NOWHERE:
            return within
        return self.included[number - 1].line if number else None

    def where(self, line: int) -> str:
        """Return ``path:line``; the path alone where the line is not known."""
        path, known = self.file_of(line), self.line_in_file(line)
        return path if known is None else f"{path}:{known}"
