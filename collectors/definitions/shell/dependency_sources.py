"""Commands and variables by which a build takes packages from where anyone may put one, or without checking them.

pip takes the best version of all indexes, without an order
(https://pip.pypa.io/en/stable/cli/pip_install/#cmdoption-extra-index-url); uv stops at the first index that has the package,
unless told otherwise (https://docs.astral.sh/uv/concepts/indexes/#searching-across-multiple-indexes); Go compares modules with
a public log of checksums (https://go.dev/ref/mod#checksum-database).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from collectors.definitions.shell.words import MAX_SCRIPT, commands, option

if TYPE_CHECKING:
    from collections.abc import Iterator

_WANTED = re.compile(
    r"extra-index-url|index-strategy|trusted-host|strict-ssl|allow-unauthenticated|--registry|--index-url|http://|trusted=yes"
)
_INSTALLERS = frozenset(("pip", "pip3", "uv", "pipx", "python", "python3"))
_VARIABLE = re.compile(
    r"(?<![\w-])(?P<name>PIP_EXTRA_INDEX_URL|PIP_TRUSTED_HOST|PIP_INDEX_URL|UV_INDEX_STRATEGY|UV_DEFAULT_INDEX|GOSUMDB|GOINSECURE|GOPROXY"
    r"|NODE_TLS_REJECT_UNAUTHORIZED|NPM_CONFIG_REGISTRY|npm_config_registry)=[\"']?(?P<value>[^\s\"';&|]{1,500})"
)


class UnsafeSource(NamedTuple):
    """One way in which packages come unsafely."""

    line: int
    """From 0."""
    what: str


def unsafe_sources(script: str) -> Iterator[UnsafeSource]:
    """Yield the commands of a script that take packages unsafely, and the variables that make later ones do so."""
    script = script[:MAX_SCRIPT]
    if _WANTED.search(script):
        for command in commands(script, _WANTED):
            what = _command(command.words)
            if what is not None:
                yield UnsafeSource(command.line, what)
    if "=" not in script or not _VARIABLE.search(script):
        return
    for number, line in enumerate(script.split("\n")):
        match = _VARIABLE.search(line[:5_000]) if "=" in line and not line.lstrip().startswith("#") else None
        found = of_variable(match["name"], match["value"]) if match is not None else None
        if found is not None:
            yield UnsafeSource(number, found)


def of_variable(name: str, value: str) -> str | None:
    """Return what a variable of the environment makes unsafe; None if nothing."""
    if not value:
        return None
    match name:
        case "PIP_EXTRA_INDEX_URL":
            return _EXTRA
        case "PIP_TRUSTED_HOST":
            return "pip does not check the certificate of its index"
        case "UV_INDEX_STRATEGY":
            return _STRATEGY if value.startswith("unsafe") else None
        case "GOSUMDB":
            return "Go compares modules with no log of checksums" if value == "off" else None
        case "GOINSECURE":
            return "Go fetches modules without checking certificates"
        case "NODE_TLS_REJECT_UNAUTHORIZED":
            return "Node checks no certificate" if value == "0" else None
        case "PIP_INDEX_URL" | "NPM_CONFIG_REGISTRY" | "npm_config_registry" | "UV_DEFAULT_INDEX" | "GOPROXY":
            return _cleartext(value)
        case _:
            return None


_EXTRA = "pip takes the newest version of all its indexes, so a public package can replace a private one of the same name"
_STRATEGY = "uv takes a version of any index, so a public package can replace a private one of the same name"


def _cleartext(url: str) -> str | None:
    if not url.startswith("http://") or re.match(r"http://(?:localhost|127\.|\[::1\])", url):
        return None
    return f"packages come from {url.split('/')[2].rpartition('@')[2][:100]} without encryption"


def _command(words: list[str]) -> str | None:
    program = words[0].rsplit("/", 1)[-1]
    named = {word.partition("=")[0] for word in words}
    # With --require-hashes only the named files are accepted; uv takes the first index that has the package.
    if "--extra-index-url" in named and program in _INSTALLERS - {"uv"} and "--require-hashes" not in named:
        return _EXTRA
    if (option(words, "--index-strategy") or "").startswith("unsafe"):
        return _STRATEGY
    if program in _INSTALLERS and option(words, "--trusted-host"):
        return "pip does not check the certificate of its index"
    if program in {"apt-get", "apt"} and "--allow-unauthenticated" in words:
        return "apt installs packages without a signature"
    if "trusted=yes" in " ".join(words):
        return "apt trusts a source without a signature"
    if program in {"npm", "yarn", "pnpm"} and "strict-ssl" in words and "false" in words:
        return f"{program} checks no certificate"
    return _cleartext(option(words, "--registry", "--index-url", "-i") or "")
