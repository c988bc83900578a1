"""What parsers of definitions other than GitHub's gather, and how they judge scripts, images and plain values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from collectors.ci_files.definition import (
    Definition,
    Deploy,
    HardCoded,
    Job,
    Login,
    Problem,
    Reference,
    Use,
)
from collectors.ci_files.github_steps import image_pin
from collectors.ci_files.shell_commands import deploy_targets, hard_coded, pipes_download_into_shell
from collectors.ci_files.yaml_nodes import Mapping, Scalar, mapping, scalars, text
from scanner.detectors import inspect, secret_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collectors.ci_files.definition import Format, Included, Scope, Severity
    from collectors.ci_files.yaml_nodes import Document, Node
    from scanner.detectors import Fingerprint

T = TypeVar("T")
ROLE_ARN = re.compile(
    r"arn:aws[\w-]*:iam::(?:\d{12}|\$\{?\w+\}?|\$\(\w+\)):role/(?:[\w+=,.@/-]|\$\{?\w+\}?|\$\(\w+\))+"
)
_ROLE_OPTION = re.compile(r"--role-arn[ =][\"']?(?P<role>[^\s\"']+)")
_VARIABLE = re.compile(
    r"\$\{(?P<braced>[A-Za-z_]\w*)[^}]*\}|\$\((?P<round>[A-Za-z_][\w.]*)\)|\$(?P<bare>[A-Za-z_]\w*)"
)
_CLI_LOGIN = re.compile(
    r"aws\s+configure\s+set\s+(?P<aws>aws_secret_access_key)|az\s+login\b[^\n]*(?P<azure>--password|\s-p\s)|"
    r"gcloud\s+auth\s+(?P<gcp>activate-service-account)"
)
_STATIC = {
    "AWS_SECRET_ACCESS_KEY": "aws",
    "AWS_ACCESS_KEY_ID": "aws",
    "GOOGLE_CREDENTIALS": "gcp",
    "GCP_SA_KEY": "gcp",
    "GCLOUD_SERVICE_KEY": "gcp",
    "ARM_CLIENT_SECRET": "azure",
    "AZURE_CLIENT_SECRET": "azure",
    "AZURE_PASSWORD": "azure",
    "NPM_TOKEN": "npm",
    "NODE_AUTH_TOKEN": "npm",
    "TWINE_PASSWORD": "pypi",
    "DOCKER_PASSWORD": "docker",
    "KUBECONFIG_DATA": "kubernetes",
    "VAULT_TOKEN": "vault",
}
_LONGEST_COMMAND = 400_000
_LONGEST_VALUE = 300
"""Longer values are not filled into commands: no name or ARN is as long."""
_ECHO = re.compile(r"^\s*(?:-\s*)?(?:echo|printf|print|Write-Host|Write-Output)\b|\b(?:env|printenv)\s*$")
_HIDDEN = re.compile(r"[|>]")


class Gathered:
    """Lists that fill while a definition is read."""

    def __init__(self, path: str, kind: Format, fingerprint: Fingerprint) -> None:
        self.path = path
        self.kind = kind
        self.fingerprint = fingerprint
        self.jobs: list[Job] = []
        self.secrets: list[Reference] = []
        self.variables: list[Reference] = []
        self.logins: list[Login] = []
        self.uses: list[Use] = []
        self.hard_coded: list[HardCoded] = []
        self.deploys: list[Deploy] = []
        self.problems: list[Problem] = []
        self.indirect: list[str] = []
        self.included: list[Included] = []
        self._secret: dict[tuple[str, str], bool] = {}

    def definition(
        self,
        *,
        name: str | None = None,
        documents: Sequence[Document] = (),
        triggers: dict[str, list[str]] | None = None,
        dangerous: list[str] | None = None,
        service_accounts: list[str] | None = None,
        low: bool = False,
    ) -> Definition:
        """Return what was gathered."""
        problems = [*self.problems, *_static(self.logins), *_duplicates(documents)]
        unique = {(p.code, p.line, p.job, p.detail): p for p in problems}
        # A value that several jobs take over from one place is one copy.
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
            indirect=list(dict.fromkeys(self.indirect)),
            service_accounts=service_accounts or [],
            confidence="low" if low or any(document.repaired for document in documents) else "high",
        )

    def problem(
        self, code: str, line: int, detail: str, *, severity: Severity, fix: str, job: str | None = None
    ) -> None:
        """Note a problem."""
        self.problems.append(
            Problem(code=code, line=line, detail=detail, severity=severity, fix=fix, job=job)
        )

    def image(self, image: str | None, line: int, job: str | None, secrets: list[str] | None = None) -> None:
        """Note a container image and how it is pinned."""
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
                f"image {image} is not pinned to a digest: what runs can change without a change here",
                severity="medium" if pin == "none" else "low",
                fix="Name the image with @sha256:<digest>.",
                job=job,
            )

    def values(self, node: Node | None, job: str | None) -> dict[str, str]:
        """Judge plain variables, and return those that are texts. GitLab's ``{value: ...}`` form counts, too."""
        found: dict[str, str] = {}
        for key, value in mapping(node).pairs:
            scalar = mapping(value).get("value") if isinstance(value, Mapping) else value
            if isinstance(scalar, Scalar):
                found[key.text] = scalar.text
                self.value(key.text, scalar, job)
        return found

    def shown(self, env: dict[str, str]) -> dict[str, str]:
        """Return variables of which the values may be shown: those that are secrets stand for themselves."""
        kept: dict[str, str] = {}
        for name, value in env.items():
            secret = self._secret.get((name, value))
            if secret is None:
                secret = self._secret[name, value] = inspect(name, value, self.fingerprint) is not None
            kept[name] = f"${name}" if secret else value
        return kept

    def value(self, name: str, scalar: Scalar, job: str | None) -> None:
        """Judge one plain value."""
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
        env: dict[str, str],
        environment: str | None = None,
        scope: Scope = "job",
    ) -> None:
        """Note what a script deploys, reads, prints and holds."""
        start = scalar.line + (1 if scalar.style in {"|", ">"} else 0)
        script = scalar.text
        for target, line in deploy_targets(script, lambda command: fill(command, env)):
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
                "runs a download without checking it",
                severity="low",
                fix="Download, verify a checksum or signature, then run.",
                job=job,
            )
        self.reads(scalar, job=job, env=env, environment=environment, scope=scope)
        for number, line_text in enumerate(script.split("\n")):
            if not _ECHO.search(line_text) or _HIDDEN.search(line_text):
                continue
            printed = [name for name, _ in variables_in(line_text) if secret_name(name)]
            if printed and "'" not in line_text:
                self.problem(
                    "secrets-in-output",
                    start + number,
                    f"prints {printed[0]} to the log, where masking is the only guard",
                    severity="medium",
                    fix="Do not print it.",
                    job=job,
                )

    def reads(
        self,
        scalar: Scalar,
        *,
        job: str | None,
        env: dict[str, str],
        environment: str | None = None,
        scope: Scope = "job",
    ) -> None:
        """Note the variables that a text reads and the file does not set: by name, secret or plain."""
        for name, offset in variables_in(scalar.text):
            if name in env or is_platform_variable(name):
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
            (self.secrets if secret_name(name) or name in _STATIC else self.variables).append(reference)

    def static_logins(
        self, text_of_job: str, line: int, *, job: str | None, environment: str | None, env: dict[str, str]
    ) -> None:
        """Note sign-ins with stored credentials that a job's scripts show."""
        services: dict[str, list[str]] = {}
        for name, _ in variables_in(text_of_job):
            if name in _STATIC and name not in env:
                services.setdefault(_STATIC[name], []).append(name)
        for match in _CLI_LOGIN.finditer(text_of_job[:200_000]):
            if match.lastgroup:
                services.setdefault(match.lastgroup, [])
        for service, names in services.items():
            self.logins.append(
                Login(
                    service=service,
                    how="static",
                    secrets=list(dict.fromkeys(names)),
                    line=line,
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
    """Return what differs, in order: a job that is read under several conditions says most things again."""
    return list({repr(one): one for one in found}.values())


def _duplicates(documents: Sequence[Document]) -> Iterator[Problem]:
    for key in [key for document in documents for key in document.duplicates]:
        yield Problem(
            code="duplicate-key",
            line=key.line,
            severity="low",
            detail=f"the key `{key.text[:80]}` stands twice: the last one wins, silently",
            fix="Keep one of the two.",
        )


def roles_in(script: str, env: dict[str, str]) -> list[str]:
    """Return the role ARNs that a text names, and the ``--role-arn`` options that are still variables."""
    filled = fill(script, env)
    found = dict.fromkeys(match.group().rstrip(".,") for match in ROLE_ARN.finditer(filled))
    for match in _ROLE_OPTION.finditer(filled):
        if match["role"].startswith("$"):
            found[match["role"]] = None
    return list(found)


def variables_in(script: str) -> Iterator[tuple[str, int]]:
    """Yield the variables that a shell or pipeline text reads, with their offset."""
    for match in _VARIABLE.finditer(script[:200_000]):
        name = match["braced"] or match["round"] or match["bare"]
        yield name, match.start()


_PLATFORM = re.compile(
    r"(?:CI|GITLAB|BITBUCKET|BUILD|CODEBUILD|TRIGGER|FF|RUNNER|SYSTEM|AGENT|Build|System|Agent|Pipeline|Environment|HOME|PATH|PWD|USER|SHELL|TMPDIR|"
    r"PROJECT_ID|PROJECT_NUMBER|COMMIT_SHA|SHORT_SHA|REVISION_ID|REPO_NAME|BRANCH_NAME|TAG_NAME|LOCATION|RANDOM|OLDPWD|HOSTNAME|IFS|LANG|UID|EUID)"
    r"(?:[_.].*)?|[a-z_]{1,3}|_+"
)


def is_platform_variable(name: str) -> bool:
    """Tell whether a variable comes from the platform or the shell itself."""
    return _PLATFORM.fullmatch(name) is not None and name not in {"System.AccessToken", "SYSTEM_ACCESSTOKEN"}


def fill(script: str, env: dict[str, str], depth: int = 0) -> str:
    """Return a text with the variables filled in that the file sets."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["round"] or match["bare"]
        known = env.get(name, "")
        return known if name in env and len(known) <= _LONGEST_VALUE else match.group()

    filled = _VARIABLE.sub(value, script)
    if filled == script or len(filled) > _LONGEST_COMMAND:
        return script
    return fill(filled, env, depth + 1) if depth < 3 else filled


def joined(node: Node | None) -> str:
    """Return every text below a node, a line each."""
    return "\n".join(scalar.text for _, scalar in scalars(node))


def text_at(node: Node | None, *keys: str) -> str | None:
    """Return the text under a path of keys, or None."""
    current: Node | None = node
    for key in keys:
        current = mapping(current).get(key)
    return text(current)
