"""The state of a shell while a job's scripts run in it one after another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.shell.sign_ins import SignIn, sign_ins
from collectors.definitions.shell.words import assigned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_VARIABLE = re.compile(
    r"\$\{(?P<braced>[A-Za-z_]\w*)[^}]{0,300}\}|\$\((?P<round>[A-Za-z_][\w.-]*)\)|\$env:(?P<power>[A-Za-z_]\w*)|\$(?P<bare>[A-Za-z_]\w*)"
    r"|%(?P<batch>[A-Z][A-Z0-9_]{2,})%"
)
_COMMENT = re.compile(r"(?m)^[ \t]*(?:#(?!#vso)|REM[ \t]|::).*$")
_COMMANDS = frozenset(("pwd", "date", "whoami", "nproc", "hostname", "ls", "uname", "id", "arch", "tty"))
_LONGEST = 200_000
_LONGEST_COMMAND = 400_000
_LONGEST_VALUE = 300
"""Longer values are not substituted into commands: no name or ARN is this long."""
_SERVICES = (
    ("aws", re.compile(r"\w*AWS\w*SECRET\w*KEY\w*|\w*AWS_(?:\w+_)?ACCESS_KEY(?:_ID)?(?:_\w+)?")),
    ("gcp", re.compile(r"(?:\w+_)?(?:GCP|GCLOUD|GOOGLE|GKE)_(?:\w+_)?(?:KEY|KEYFILE|KEY_FILE|CREDENTIALS?|SA_JSON|KEY_JSON)(?:_\w+)?|GOOGLE_CREDENTIALS")),
    ("azure", re.compile(r"(?:\w+_)?(?:ARM|AZURE|AZ)_(?:\w+_)?(?:SECRET|PASSWORD|CREDENTIALS|ACCESS_KEY)(?:_\w+)?")),
    ("npm", re.compile(r"NPM_TOKEN|NODE_AUTH_TOKEN|NPM_AUTH_TOKEN")),
    ("pypi", re.compile(r"TWINE_PASSWORD|PYPI_(?:API_)?TOKEN|UV_PUBLISH_TOKEN|POETRY_PYPI_TOKEN_\w+")),
    ("registry", re.compile(r"DOCKER_?(?:HUB)?_?(?:PASSWORD|TOKEN)|REGISTRY_PASSWORD")),
    ("kubernetes", re.compile(r"KUBECONFIG_(?:DATA|CONTENT|BASE64)|KUBE_?CONFIG|KUBE_TOKEN")),
    ("vault", re.compile(r"VAULT_TOKEN")),
)  # fmt: skip
_LONGEST_NAME = 255
"""Characters of a name: as many as GitLab allows (https://docs.gitlab.com/ci/variables/)."""
_LIKELY = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CRED|CONFIG|_SA_")


def service_of(name: str) -> str | None:
    """Return the service whose tools read a credential from a variable of this name."""
    if len(name) > _LONGEST_NAME or not _LIKELY.search(name):
        return None
    return next((service for service, pattern in _SERVICES if pattern.fullmatch(name)), None)


def variables_in(script: str, *, macros: bool = True) -> Iterator[tuple[str, int]]:
    """Yield the variables that a shell or pipeline text reads, with their offset.

    ``macros``: whether ``$(name)`` is a variable; in a shell it is a command.
    """
    for match in _VARIABLE.finditer(script[:_LONGEST]):
        name = match["braced"] or match["power"] or match["bare"] or match["batch"]
        if name is None:
            name = match["round"]
            if not macros or name in _COMMANDS:
                continue
        yield name, match.start()


def fill(script: str, env: dict[str, str], depth: int = 0) -> str:
    """Return a text with known variables substituted; a variable that is empty in ``env`` is set, but unknown."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["round"] or match["power"] or match["bare"] or match["batch"]
        known = env.get(name, "")
        return known if known and len(known) <= _LONGEST_VALUE else match.group()

    filled = _VARIABLE.sub(value, script)
    if filled == script or len(filled) > _LONGEST_COMMAND:
        return script
    return fill(filled, env, depth + 1) if depth < 3 else filled


class Shell:
    """Variables, the current cluster, and the reads and sign-ins of the scripts so far."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = dict(env)
        """Values of the variables that the file sets; empty if a value is computed or set by the platform."""
        self.clusters: dict[str, str] = {}
        self.read: dict[str, None] = {}
        """Names that were read before the file set them, and so come from outside."""
        self.sign_ins: list[tuple[SignIn, int]] = []
        """Each with its line in the file."""
        self.keyed: dict[str, list[str]] = {}
        """Service to the variables passed on under a name that its tools read."""

    def outside(self, script: str, *, macros: bool, sets_own: bool) -> list[tuple[str, int]]:
        """Return the variables that a script reads from outside, with their offset, and remember those that it sets.
        ``sets_own``: whether it is a script, not the value of a variable.
        """
        if sets_own:
            script = _COMMENT.sub(lambda match: " " * len(match.group()), script)
        sets: dict[str, tuple[str, int]] = {}
        for name, value, offset in assigned(script) if sets_own else ():
            known = sets.get(name)
            sets[name] = (value if known is None else "", offset if known is None else min(offset, known[1]))
        found: list[tuple[str, int]] = []
        for name, offset in variables_in(script, macros=macros):
            if name in self.env or (name in sets and offset >= sets[name][1]):
                continue
            found.append((name, offset))
            self.read[name] = None
        for name, (value, _) in sets.items():
            if name not in self.read:
                self.env[name] = value
        return found

    def run(self, script: str, start: int) -> None:
        """Record the sign-ins of a script that starts at a line."""
        for found in sign_ins(script):
            self.sign_ins.append((found, start + found.line))

    def assign(self, pairs: Iterable[tuple[str, str]], *, macros: bool) -> None:
        """Record variables whose value is another variable: ``AWS_SECRET_ACCESS_KEY: $PROD_SECRET``."""
        for key, value in pairs:
            service = service_of(key)
            if service is not None:
                names = [name for name, _ in variables_in(value, macros=macros)]
                if names:
                    self.keyed.setdefault(service, []).extend(names)
