"""Collects what parsers of definitions other than GitHub's find, and evaluates scripts, images and plain values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from collectors.definitions.definition import (
    Definition,
    Deploy,
    HardCoded,
    Job,
    Login,
    Problem,
    Reference,
    Unresolved,
    Use,
)
from collectors.definitions.images import image_pin
from collectors.definitions.shell.commands import deploy_targets, hard_coded, pipes_download_into_shell
from collectors.definitions.shell.dependency_sources import of_variable, unsafe_sources
from collectors.definitions.shell.stored_secrets import stored_secrets
from collectors.definitions.shell.variables import Shell, fill, service_of, variables_in
from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, mapping, scalars, text
from scanner.secrets.detectors import inspect, secret_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.definition import Format, Included, Scope
    from collectors.definitions.yaml_nodes import Node, YamlDocument
    from scanner.records import Severity
    from scanner.secrets.detectors import Fingerprint

T = TypeVar("T")
ROLE_ARN = re.compile(
    r"arn:aws[\w-]*:iam::(?:\d{12}|\$\{?\w+\}?|\$\(\w+\)):role/(?:[\w+=,.@/-]|\$\{?\w+\}?|\$\(\w+\))+"
)
_ROLE_OPTION = re.compile(
    r"(?:--role-arn[ =]|\bAWS_ROLE_ARN=)[\"']?(?P<role>\$\{?\w+\}?|\$\([\w.]+\))(?![\w:/])"
)
_ASSUMES = re.compile(r"\b(?:sts\s+assume-role|update-kubeconfig)\s[^\n]{0,2000}")
_CONTINUED = re.compile(r"\\\n\s*")
_ONE_VARIABLE = re.compile(r"\$\{?\w+\}?|\$\([\w.-]+\)")
_ECHO = re.compile(r"^\s*(?:-\s*)?(?:echo|printf|print|Write-Host|Write-Output)\b|\b(?:env|printenv)\s*$")
_HIDDEN = re.compile(r"[|>]")
_QUOTED = re.compile(r"'[^'\"]*'")
"""Quoted text in which a shell expands nothing; within double quotes a single quote has no meaning."""


UNSAFE_SOURCE_FIX = "Use one index that serves private and public packages, over TLS, and install from a lock file with hashes."


class DefinitionParts:
    """What every parser collects from a definition: lists that are filled while it is parsed."""

    def __init__(self, path: str, fingerprint: Fingerprint) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.secrets: list[Reference] = []
        self.variables: list[Reference] = []
        self.logins: list[Login] = []
        self.uses: list[Use] = []
        self.hard_coded: list[HardCoded] = []
        self.deploys: list[Deploy] = []
        self.unresolved: list[Unresolved] = []


class DefinitionBuilder(DefinitionParts):
    """Builds the definition of any format other than GitHub's."""

    def __init__(self, path: str, kind: Format, fingerprint: Fingerprint) -> None:
        super().__init__(path, fingerprint)
        self.kind = kind
        self.jobs: list[Job] = []
        self.problems: list[Problem] = []
        self.included: list[Included] = []
        self._secret: dict[tuple[str, str], bool] = {}
        self._examined: set[tuple[int, int, str]] = set()

    def definition(
        self,
        *,
        name: str | None = None,
        documents: list[YamlDocument] | None = None,
        triggers: dict[str, list[str]] | None = None,
        dangerous: list[str] | None = None,
        service_accounts: list[str] | None = None,
        low: bool = False,
    ) -> Definition:
        """Return the definition."""
        problems = [*self.problems, *_static(self.logins), *_duplicates(documents or [])]
        unique = {(p.code, p.line, p.job, p.detail): p for p in problems}
        # A value that several jobs inherit from one place is one copy.
        copies = {(h.line, h.column, h.seen.fingerprint): h for h in reversed(self.hard_coded)}
        return Definition(
            path=self.path,
            included=self.included,
            format=self.kind,
            name=name or self.path.rsplit("/", 1)[-1],
            triggers=triggers or {},
            jobs=_once(self.jobs),
            secrets=_once(self.secrets),
            variables=_once(self.variables),
            logins=_once(self.logins),
            uses=_once(self.uses),
            dangerous_triggers=dangerous or [],
            hard_coded=list(reversed(copies.values())),
            deploys=_once(self.deploys),
            problems=sorted(unique.values(), key=lambda p: (p.line, p.code, p.detail)),
            unresolved=list(dict.fromkeys(self.unresolved)),
            service_accounts=service_accounts or [],
            confidence="low" if low or any(document.repaired for document in documents or []) else "high",
        )

    def problem(
        self, code: str, line: int, detail: str, *, severity: Severity, fix: str, job: str | None = None
    ) -> None:
        """Record a problem."""
        self.problems.append(
            Problem(code=code, line=line, detail=detail, severity=severity, fix=fix, job=job)
        )

    def image(self, image: str | None, line: int, job: str | None, secrets: list[str] | None = None) -> None:
        """Record a container image and how it is pinned."""
        if not image or not image.strip() or re.fullmatch(r"\$\{?\w+\}?|\$\(\w+\)", image.strip()):
            return
        pin = image_pin(image)
        self.uses.append(
            Use(
                kind="image",
                name=image.split("@", 1)[0],
                ref=image.partition("@")[2] or None,
                pin=pin,
                third_party=True,
                secrets=secrets or [],
                line=line,
                job=job,
            )
        )
        if pin in {"none", "tag"}:
            self.problem(
                "unpinned-images",
                line,
                f"image {image} is not pinned to a digest: it can change without a change to this file",
                severity="medium" if pin == "none" else "low",
                fix="Name the image with @sha256:<digest>.",
                job=job,
            )

    def values(self, node: Node | None, job: str | None) -> dict[str, str]:
        """Evaluate plain variables, and return those that are texts, including GitLab's ``{value: ...}`` form."""
        found: dict[str, str] = {}
        for key, value in mapping(node).pairs:
            scalar = mapping(value).get("value") if isinstance(value, Mapping) else value
            if isinstance(scalar, Scalar):
                found[key.text] = scalar.text
                self.value(key.text, scalar, job)
                unsafe = of_variable(key.text, scalar.text)
                if unsafe is not None:
                    self.unsafe_source(scalar.line, unsafe, job)
            elif isinstance(scalar, Sequence):  # of a matrix
                for item in scalar.items:
                    if isinstance(item, Scalar):
                        self.value(key.text, item, job)
        return found

    def unsafe_source(self, line: int, what: str, job: str | None) -> None:
        """Record a way in which packages come unsafely."""
        self.problem(
            "unsafe-dependency-source", line, what, severity="medium", fix=UNSAFE_SOURCE_FIX, job=job
        )

    def shown(self, env: dict[str, str]) -> dict[str, str]:
        """Return variables with values that may be shown; those that are secrets are replaced by their own
        reference.
        """
        kept: dict[str, str] = {}
        for name, value in env.items():
            secret = self._secret.get((name, value))
            if secret is None:
                secret = self._secret[name, value] = inspect(name, value, self.fingerprint) is not None
            kept[name] = f"${name}" if secret else value
        return kept

    def value(self, name: str, scalar: Scalar, job: str | None) -> None:
        """Evaluate one plain value."""
        place = (scalar.line, scalar.column, name)
        if place in self._examined:
            return  # a template's value, which every job that extends it inherits
        self._examined.add(place)
        seen = inspect(name, scalar.text, self.fingerprint)
        if seen is not None:
            self.hard_coded.append(
                HardCoded(name=name, line=scalar.line, column=scalar.column, seen=seen, job=job)
            )

    def script(
        self,
        scalar: Scalar,
        *,
        job: str | None,
        shell: Shell,
        environment: str | None = None,
        scope: Scope = "job",
    ) -> None:
        """Record what a script deploys, reads, prints and contains. Variables that it sets are known to the next script
        of the shell.
        """
        start = scalar.line + (1 if scalar.style in {"|", ">"} else 0)
        script = scalar.text
        self.reads(scalar, job=job, shell=shell, environment=environment, scope=scope, sets_own=True)
        shell.run(script, start)
        for read in stored_secrets(script, lambda command: fill(command, shell.env)):
            self.secrets.append(
                Reference(
                    name=read.name, line=start + read.line, column=1, scope=scope, job=job, environment=environment, store=read.store,
                )
            )  # fmt: skip
        for command in _ASSUMES.finditer(_CONTINUED.sub(" ", script)):
            self.unresolved += [
                Unresolved(line=start, what=f"assumes the role {role} with the job's own identity")
                for role in roles_in(command.group(), shell.env)
            ]
        for target, line in deploy_targets(script, lambda command: fill(command, shell.env), shell.clusters):
            if "$" not in target:
                self.deploys.append(
                    Deploy(target=target, line=start + line, job=job, environment=environment)
                )
        for name, line, seen in hard_coded(script, inspect, self.fingerprint):
            self.hard_coded.append(HardCoded(name=name, line=start + line, column=1, seen=seen, job=job))
        for line in pipes_download_into_shell(script):
            self.problem(
                "unverified-script",
                start + line,
                "runs a downloaded script without verifying it",
                severity="low",
                fix="Download it, verify a checksum or signature, then run it.",
                job=job,
            )
        for source in unsafe_sources(script):
            self.unsafe_source(start + source.line, source.what, job)
        for number, line_text in enumerate(script.split("\n")):
            if not _ECHO.search(line_text) or _HIDDEN.search(line_text) or "issecret=true" in line_text:
                continue
            expanded = _QUOTED.sub("", line_text)
            printed = [name for name, _ in variables_in(expanded, macros=self.macros) if secret_name(name)]
            if printed:
                self.problem(
                    "secrets-in-output",
                    start + number,
                    f"prints {printed[0]} to the log, where only masking protects it",
                    severity="medium",
                    fix="Do not print it.",
                    job=job,
                )

    @property
    def macros(self) -> bool:
        """Whether ``$(name)`` is a variable of the format, not a command."""
        return self.kind == "azure-pipelines"

    def reads(
        self,
        scalar: Scalar,
        *,
        job: str | None,
        shell: Shell,
        environment: str | None = None,
        scope: Scope = "job",
        sets_own: bool = False,
        under: str = "",
    ) -> None:
        """Record the variables that a text reads and the file does not set, as secret or plain by name. ``under`` is
        the name that the text is assigned to: a variable assigned to ``DB_PASSWORD`` is a secret.
        """
        named = secret_name(under) or service_of(under)
        given = named is not None and _ONE_VARIABLE.fullmatch(scalar.text.strip()) is not None
        for name, offset in shell.outside(scalar.text, macros=self.macros, sets_own=sets_own):
            if is_platform_variable(name):
                continue
            breaks, start = scalar.line_breaks(offset)
            reference = Reference(
                name=name,
                line=scalar.line + breaks + (1 if scalar.style in {"|", ">"} else 0),
                column=offset - start + 1,
                scope=scope,
                job=job,
                environment=environment,
            )
            secret = given or secret_name(name) or service_of(name)
            (self.secrets if secret else self.variables).append(reference)

    def static_logins(
        self,
        shell: Shell,
        line: int,
        *,
        job: str | None,
        environment: str | None,
        stored: dict[str, str] | None = None,
    ) -> None:
        """Record sign-ins with stored credentials in the scripts of a shell. ``stored`` maps variables to the stored
        secrets that the file assigns to them.
        """
        stored = stored or {}
        services: dict[str, tuple[int, list[str]]] = {}
        for name in [*shell.read, *stored]:
            service = service_of(name)
            if service is not None:
                services.setdefault(service, (line, []))[1].append(stored.get(name, name))
        for service, names in shell.keyed.items():
            services.setdefault(service, (line, []))[1].extend(stored.get(name, name) for name in names)
        for found, at in shell.sign_ins:
            used = [name for name, _ in variables_in(found.secret, macros=self.macros)]
            outside = [n for n in used if n in stored or (n in shell.read and not is_platform_variable(n))]
            if used and not outside:
                continue  # set by the platform, or requested by a command of this script
            services.setdefault(found.service, (at, []))[1].extend(stored.get(name, name) for name in outside)
        for service, (at, held) in services.items():
            explicit = [
                login.secrets for login in self.logins if login.service == service and login.job == job
            ]
            names = [name for name in held if name and not any(name in known for known in explicit)]
            if explicit and not names:
                continue
            self.logins.append(
                Login(
                    service=service,
                    how="static",
                    secrets=list(dict.fromkeys(names)),
                    line=at,
                    job=job,
                    environment=environment,
                )
            )


def _static(logins: list[Login]) -> Iterator[Problem]:
    for login in logins:
        if login.how == "static" and login.service in {"aws", "gcp", "azure"}:
            yield Problem(
                code="static-cloud-login",
                line=login.line,
                job=login.job,
                severity="high",
                detail=f"signs in to {login.service} with the stored credential {', '.join(login.secrets) or 'in the file'}",
                fix=f"Let {login.service} trust this pipeline's OIDC tokens and delete the stored credential.",
            )


def _once(found: list[T]) -> list[T]:
    """Return the distinct items, in order: a job read under several conditions yields most items several times."""
    return list({repr(one): one for one in found}.values())


def _duplicates(documents: list[YamlDocument]) -> Iterator[Problem]:
    for key in [key for document in documents for key in document.duplicates]:
        yield Problem(
            code="duplicate-key",
            line=key.line,
            severity="low",
            detail=f"the key `{key.text[:80]}` is defined twice; the last definition silently wins",
            fix="Remove one of the two.",
        )


def roles_in(script: str, env: dict[str, str]) -> list[str]:
    """Return the role ARNs in a text, and ``--role-arn`` options that are still variables."""
    filled = fill(script, env)
    found = dict.fromkeys(match.group().rstrip(".,") for match in ROLE_ARN.finditer(filled))
    for match in _ROLE_OPTION.finditer(filled):
        found[match["role"]] = None
    return list(found)


_PLATFORM = re.compile(
    r"(?:CI|GITLAB|BITBUCKET|BUILD|CODEBUILD|TRIGGER|FF|RUNNER|SYSTEM|AGENT|Build|System|Agent|Pipeline|Environment|HOME|PATH|PWD|USER|SHELL|TMPDIR|"
    r"PROJECT_ID|PROJECT_NUMBER|COMMIT_SHA|SHORT_SHA|REVISION_ID|REPO_NAME|BRANCH_NAME|TAG_NAME|LOCATION|RANDOM|OLDPWD|HOSTNAME|IFS|LANG|UID|EUID)"
    r"(?:[_.].*)?|[a-z_]{1,3}|_+"
)
_PLATFORM_SECRETS = frozenset(
    ("CI_JOB_TOKEN", "CI_JOB_JWT", "CI_JOB_JWT_V1", "CI_JOB_JWT_V2", "CI_REGISTRY_PASSWORD", "CI_DEPENDENCY_PROXY_PASSWORD",
     "CI_DEPLOY_PASSWORD", "CI_RUNNER_SHORT_TOKEN", "CI_TRIGGER_SHORT_TOKEN", "CI_SERVER_TLS_KEY_FILE", "BITBUCKET_STEP_OIDC_TOKEN", "idToken")
)  # fmt: skip


def is_platform_variable(name: str) -> bool:
    """Return whether a variable comes from the platform or the shell itself.

    ``GITLAB_TOKEN`` and ``CI_PUSH_TOKEN`` only look like it: they are stored secrets.
    """
    if name in _PLATFORM_SECRETS:
        return True
    return _PLATFORM.fullmatch(name) is not None and (len(name) < 4 or secret_name(name) is None)


def joined(node: Node | None) -> str:
    """Return every text below a node, one per line."""
    return "\n".join(scalar.text for _, scalar in scalars(node))


def text_at(node: Node | None, *keys: str) -> str | None:
    """Return the text under a path of keys, or None."""
    current: Node | None = node
    for key in keys:
        current = mapping(current).get(key)
    return text(current)
