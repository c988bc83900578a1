"""Commands of a shell script that read a secret from a store.

https://docs.aws.amazon.com/cli/latest/reference/secretsmanager/get-secret-value.html,
https://docs.aws.amazon.com/cli/latest/reference/ssm/get-parameter.html,
https://cloud.google.com/sdk/gcloud/reference/secrets/versions/access,
https://learn.microsoft.com/cli/azure/keyvault/secret, https://developer.hashicorp.com/vault/docs/commands/kv/get.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from collectors.definitions.shell.words import commands, option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WANTED = re.compile(
    r"get-secret-value|get-parameters?\b|\bsecrets\s+versions\s+access|keyvault\s+secret\s+(?:show|download)|\bvault\s+(?:kv\s+get|read)\b"
)


class StoredSecret(NamedTuple):
    """A secret that a script reads."""

    name: str
    store: str
    """``secrets-manager``, ``parameter-store``, ``secret-manager``, ``key-vault:NAME``, ``vault``."""
    line: int
    """From 0."""


def stored_secrets(script: str, resolve: Callable[[str], str]) -> Iterator[StoredSecret]:
    """Yield the secrets that a script reads by name. ``resolve`` substitutes known variables."""
    if not _WANTED.search(script):
        return
    for command in commands(script, _WANTED, resolve):
        words = command.words
        for name, store in _named(words[0].rsplit("/", 1)[-1], words):
            if name:
                yield StoredSecret(name, store, command.line)


def _named(program: str, words: list[str]) -> Iterator[tuple[str | None, str]]:
    if program == "aws" and "get-secret-value" in words:
        yield option(words, "--secret-id"), "secrets-manager"
    elif program == "aws" and "ssm" in words and "--with-decryption" in words:
        at = next((at for at, word in enumerate(words) if word in {"--name", "--names"}), len(words))
        for word in words[at + 1 :]:
            if word.startswith("--"):
                break
            yield word, "parameter-store"
    elif program == "gcloud" and words[1:4] == ["secrets", "versions", "access"]:
        yield option(words, "--secret"), "secret-manager"
    elif program == "az" and words[1:3] == ["keyvault", "secret"]:
        yield option(words, "--name", "-n"), f"key-vault:{option(words, '--vault-name') or '?'}"
    elif program == "vault":
        after = words[words.index("get") + 1 if "get" in words else 2 :]
        mount = option(words, "-mount")
        path = next((word for word in after if not word.startswith("-") and word != mount), None)
        yield f"{mount}/{path}" if mount and path else path, "vault"
