"""Commands of a shell script that sign in with a password, key or token, and the argument that contains it.

https://docs.docker.com/reference/cli/docker/login/, https://learn.microsoft.com/cli/azure/authenticate-azure-cli-service-principal,
https://cloud.google.com/sdk/gcloud/reference/auth/activate-service-account, https://curl.se/docs/manpage.html#-u.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from collectors.definitions.shell.words import commands, is_computed, option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.shell.words import Command

_WANTED = re.compile(
    r"\blogin\b|\bauth\b|configure\s+set|set-credentials|\b(?:curl|wget|sshpass|mysql|mysqldump|mariadb|redis-cli|twine|poetry|uv|sonar-scanner|"
    r"mvn|mvnw|gradle|gradlew|ansible-playbook|terraform|dotnet|psql|pg_dump|mongo|mongosh|mongodump|snyk|doctl|ibmcloud|npm|yarn|pnpm|htpasswd|lftp|openssl|sqlcmd|sqlplus|helm)\b|from-literal|put-parameter|keyvault|extraheader|"
    r"ConvertTo-SecureString|\baz\s.*\s-p\s"
)
_REGISTRIES = frozenset(
    ("docker", "podman", "buildah", "skopeo", "nerdctl", "oras", "crane", "helm", "img", "regctl")
)
_GIVEN_BY_PLATFORM = re.compile(
    r"get-login-password|print-access-token|get-access-token|acr\s+login|\becr\b|expose-token"
)
_PROPERTY = re.compile(
    r"-D[\w.]*(?:sonar\.(?:login|token)|password|token|secret|passphrase|apiKey)=(?P<value>.+)", re.DOTALL
)
_PAIR = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)=(?P<value>.{3,})", re.DOTALL)
_HEADER = re.compile(
    r"(?i)(?:(?P<name>(?:proxy-)?authorization)\s*:\s*(?:(?P<scheme>basic|bearer|token|api-?token|api-?key|aws|apikey|splunk)\s+)?|"
    r"(?P<key>(?:[\w-]*-)?(?:api-?key|token|auth-?key|secret|apikey|access-?key))\s*:\s*)(?P<value>[^\s\"']{6,4000})\s*"
)
_USER = re.compile(r"(?P<user>[^:]*):(?P<secret>.*)", re.DOTALL)
_ORDINARY = re.compile(
    r"(?i)(?:pass|passwd|password|pwd|secret|token|test|user|username|guest|xxx+|yyy+|root|admin|key|api-?key|apikey|node|foo|bar)\d{0,3}"
)
"""Placeholder passwords in examples: ``curl -u user:pass``."""
_DATABASE_URL = re.compile(
    r"\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?)://(?P<user>[^\s/:@'\"<>]{0,100}):(?P<secret>[^\s/@'\"]{3,200})@(?P<host>[^\s/:'\"?]*)"
)
_LOCAL_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])")


class SignIn(NamedTuple):
    """A sign-in by a stored credential."""

    service: str
    """``registry``, ``aws``, ``azure``, ``gcp``, ``vault``, ``pypi``, ``npm``, ``kubernetes``, ``github``."""
    secret: str
    """The argument with the credential; empty if it comes from a file."""
    line: int
    """From 0."""


def sign_ins(script: str) -> Iterator[SignIn]:
    """Yield the sign-ins of a script. Short-lived passwords requested by a command on the same line do not count."""
    if not _WANTED.search(script):
        return
    for command in commands(script, _WANTED):
        for service, secret in _of(command):
            if secret is not None and not secret.startswith("$computed"):
                yield SignIn(service, secret, command.line)


def literals(script: str) -> Iterator[tuple[str, str, int]]:
    """Yield literal passwords and tokens in a script's commands: name, value, line (from 0)."""
    if not _WANTED.search(script):
        return
    for command in commands(script, _WANTED):
        for name, value in _credentials_in(command):
            if value and not is_computed(value) and not _ORDINARY.fullmatch(value.strip("<>[]{}")):
                yield name, value, command.line


def _of(command: Command) -> Iterator[tuple[str, str | None]]:
    words = command.words
    program = words[0].rsplit("/", 1)[-1]
    if program in _REGISTRIES and "login" in words[1:4]:
        yield "registry", _registry(command)
    elif program == "az" and words[1:2] == ["login"]:
        if option(words, "--federated-token") is None and not {"--identity", "-i", "--federated-token"} & set(
            words
        ):
            yield "azure", option(words, "-p", "--password", "--certificate")
    elif program == "az" and words[1:3] == ["acr", "login"]:
        yield "registry", option(words, "-p", "--password")
    elif program == "gcloud" and "activate-service-account" in words:
        yield "gcp", option(words, "--key-file") or ""
    elif program == "aws" and words[1:3] == ["configure", "set"]:
        at = next((at for at, word in enumerate(words) if word.endswith("aws_secret_access_key")), None)
        if at is not None:
            yield "aws", words[at + 1] if at + 1 < len(words) else ""
    elif program == "twine" and "upload" in words:
        yield "pypi", option(words, "-p", "--password")
    elif program in {"poetry", "uv"} and "publish" in words:
        yield "pypi", option(words, "-p", "--password", "--token", "-t")
    elif program == "poetry" and "config" in words:
        at = next((at for at, word in enumerate(words) if word.startswith("pypi-token.")), None)
        yield "pypi", words[at + 1] if at is not None and at + 1 < len(words) else None
    elif program in {"npm", "yarn", "pnpm"} and "config" in words and "set" in words:
        yield "npm", _auth_token(words)
    elif program == "vault":
        yield "vault", _vault(words)
    elif program in {"kubectl", "oc"} and ("set-credentials" in words or "login" in words):
        yield "kubernetes", option(words, "--token", "-p", "--password")
    elif program == "gh" and words[1:3] == ["auth", "login"] and command.piped:
        yield "github", _printed(command.piped)


def _registry(command: Command) -> str | None:
    words = command.words
    given = option(words, "-p", "--password")
    if given is None:
        given = next(
            (word[2:] for word in words if re.fullmatch(r"-p[^-\s].+", word) and word != "-password"), None
        )
    if given is not None:
        return None if _GIVEN_BY_PLATFORM.search(given) else given
    if "--password-stdin" not in words:
        return None
    here = next((at for at, word in enumerate(words) if word == "<<<"), None)
    if here is not None and here + 1 < len(words):
        return words[here + 1]
    if command.piped is None:
        return "" if "<" in words else None
    return _printed(command.piped)


def _printed(words: list[str]) -> str | None:
    """Return the text that a command prints into a pipe; None if it requests it from the platform, empty if it reads a
    file.
    """
    line = " ".join(words)
    if _GIVEN_BY_PLATFORM.search(line):
        return None
    program = words[0].rsplit("/", 1)[-1] if words else ""
    if program in {"echo", "printf", "print"}:
        given = [word for word in words[1:] if not re.fullmatch(r"-\w|%s(?:\\n)?", word)]
        return given[-1] if given else None
    return "" if program == "cat" else None


def _vault(words: list[str]) -> str | None:
    if "login" in words[1:2]:
        method = option(words, "-method", "--method")
        if method in {None, "token"}:
            last = words[-1]
            return last.removeprefix("token=") if not last.startswith("-") and last != "login" else None
        return next((word.partition("=")[2] for word in words if word.startswith("password=")), None)
    if any(re.match(r"auth/[\w/-]*login", word) for word in words):
        return next(
            (word.partition("=")[2] for word in words if re.match(r"(?:secret_id|password)=", word)), None
        )
    return None


def _auth_token(words: list[str]) -> str | None:
    at = next((at for at, word in enumerate(words) if re.search(r"_authToken|npmAuthToken", word)), None)
    if at is None:
        return None
    named = words[at].partition("=")[2]
    return named or (words[at + 1] if at + 1 < len(words) else None)


def _credentials_in(command: Command) -> Iterator[tuple[str, str]]:
    """Yield the passwords and tokens in a command's arguments, with a name for each."""
    words = command.words
    program = words[0].rsplit("/", 1)[-1]
    for _, secret in _of(command):
        if secret:
            yield "password", secret
    if program in {"curl", "wget"}:
        yield from _requested(words)
    elif program == "sshpass":
        yield (
            "password",
            next((w[2:] for w in words if re.fullmatch(r"-p.+", w)), None) or option(words, "-p") or "",
        )
    elif program in {"mysql", "mysqldump", "mariadb", "mysqladmin"}:
        yield "password", next((w[2:] for w in words if re.fullmatch(r"-p[^=].*", w)), "")
    elif program == "redis-cli":
        yield "password", option(words, "-a", "--pass") or ""
    elif program in {"aws", "az"}:
        yield "password", _stored_value(words)
    elif program == "htpasswd":
        yield (
            "password",
            words[-1] if len(words) > 3 and any(re.fullmatch(r"-\w*b\w*", w) for w in words) else "",
        )
    elif program == "lftp":
        yield "password", (option(words, "-u", "--user") or "").partition(",")[2]
    elif program == "openssl":
        yield (
            "password",
            option(words, "-k")
            or (option(words, "-pass", "-passin", "-passout") or "").removeprefix("pass:"),
        )
    elif program == "sqlcmd":
        yield "password", option(words, "-P") or ""
    elif program == "sqlplus":
        found = next(
            (re.fullmatch(r"[\w.]+/(?P<secret>[^@/]{3,})@.*", word) for word in words[1:] if "@" in word),
            None,
        )
        yield "password", found["secret"] if found else ""
    elif program == "git" and any("extraheader" in word for word in words):
        header = _HEADER.fullmatch(words[-1].strip())
        yield "token", header["value"] if header else ""
    elif program == "ConvertTo-SecureString" and len(words) > 1:
        yield (
            "password",
            next((w for w in (option(words, "-String"), words[1]) if w and not w.startswith("-")), ""),
        )
    elif program == "snyk" and words[1:2] == ["auth"] and len(words) > 2:
        yield "token", words[2]
    elif program == "doctl" and "init" in words:
        yield "token", option(words, "-t", "--access-token") or ""
    for at, word in enumerate(words):
        found = _PROPERTY.fullmatch(word)
        if found is not None:
            yield "password", found["value"]
        pair = None
        if word.startswith("--from-literal"):
            pair = _PAIR.fullmatch(word.partition("=")[2] or (words[at + 1] if at + 1 < len(words) else ""))
        elif word in {"-e", "--extra-vars", "-var", "--var"} and at + 1 < len(words):
            pair = _PAIR.fullmatch(words[at + 1])
        elif word in {"--set", "--set-string"} and at + 1 < len(words):
            for part in words[at + 1].split(","):
                name, _, value = part.partition("=")
                yield name.replace(".", "_"), value
        elif word.startswith(("-var=", "--var=", "--extra-vars=")):
            pair = _PAIR.fullmatch(word.partition("=")[2])
        if pair is not None:
            yield pair["name"], pair["value"]
        url = _DATABASE_URL.search(word)
        if url is not None and url["secret"] != url["user"] and not _LOCAL_HOST.match(url["host"]):
            yield "password", url["secret"]


def _stored_value(words: list[str]) -> str:
    """Return the value that a command writes to a store, or the password of an administrator that it creates."""
    if "SecureString" in words or ("keyvault" in words and "secret" in words and "set" in words):
        return option(words, "--value") or ""
    return option(words, "-p") or "" if words[0].endswith("az") and option(words, "-u") else ""


def _requested(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the passwords and tokens of an HTTP request: ``--user``, ``--header``."""
    for at, word in enumerate(words):
        name, found, value = word.partition("=")
        following = words[at + 1] if at + 1 < len(words) else ""
        if name in {"-u", "--user", "--proxy-user", "-U"}:
            user = _USER.fullmatch(value if found else following)
            if user is not None and not is_computed(user["secret"]):
                yield "password", user["secret"] or user["user"]
        elif word in {"-H", "--header"} or (found and name == "--header"):
            header = _HEADER.fullmatch((value if found else following).strip())
            if header is not None:
                yield "token", header["value"]
