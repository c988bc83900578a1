"""The security namespaces: which permission is worth what, and which object a token names.

The list is data: ``data/permissions.yaml``.
https://learn.microsoft.com/azure/devops/organizations/security/namespace-reference
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from scanner.records import POWERS, Power
from scanner.yaml_data import read_yaml

GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
GIT = "2e9eb7ed-3c0a-47d4-87c1-0ffdd275fd87"
ENDPOINTS = "49b48001-ca20-4adc-8111-5b60c903a50c"
BUILD = "33344d9c-fc72-4d6f-aba5-fa317101a7e9"
RELEASE = "c788c23e-1b46-4162-8f5e-d7585343b5de"


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One bit of a namespace."""

    bit: int
    name: str
    """As the namespace writes it: ``GenericContribute``."""
    label: str
    """As the web portal shows it, or the role that has it: ``Contribute``, ``Administrator``."""
    powers: list[Power]


class SecuredPlace(msgspec.Struct, frozen=True, kw_only=True):
    """What a token names."""

    project: str | None = None
    """The GUID of the project; None for the organization."""
    kind: str = ""
    """``repository``, ``pipeline``, ``connection``, ...; empty for everything in the project or organization."""
    id: str = ""
    """The object's number or GUID."""
    rest: str = ""
    """A part of the object, or a folder: a branch, a stage."""


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """One security namespace."""

    id: str
    name: str
    objects: str
    """What a token without an object stands for: ``all repositories``."""
    tokens: str
    permissions: list[Permission]
    separator: str = "/"

    @property
    def mask(self) -> int:
        """The bits of all permissions that are evaluated."""
        return sum(one.bit for one in self.permissions)

    def bits(self, *names: str) -> int:
        """Return the mask of some permissions by their names."""
        return sum(one.bit for one in self.permissions if one.name in names)

    def of(self, bits: int) -> list[Permission]:
        """Return the permissions of a mask."""
        return [one for one in self.permissions if one.bit & bits]

    def powers(self, bits: int) -> list[Power]:
        """Return the powers of a mask, strongest first."""
        have = {power for one in self.of(bits) for power in one.powers}
        return [power for power in POWERS if power in have]

    def place(self, token: str) -> SecuredPlace | None:
        """Return what a token names; None for a form that is not known. Tokens are compared without regard to case."""
        match = _pattern(self.tokens).match(token)
        if match is None:
            return None
        found = {name: value for name, value in match.groupdict().items() if value}
        project, rest = found.pop("project", None), found.pop("rest", "") + found.pop("stage", "")
        kind, number = next(iter(found.items()), ("", ""))
        return SecuredPlace(project=project, kind=kind.replace("_", " "), id=number, rest=rest)

    def above(self, token: str) -> list[str]:
        """Return the token and those whose lists it inherits, the nearest first."""
        found = [token]
        while self.separator in token:
            token = token.rpartition(self.separator)[0]
            found.append(token)
        return found


@cache
def _pattern(tokens: str) -> re.Pattern[str]:
    return re.compile(tokens.replace("GUID", GUID))


@cache
def namespaces() -> tuple[Namespace, ...]:
    """Return the namespaces that are read."""
    listed = read_yaml(Path(__file__).resolve().parent / "data" / "permissions.yaml")["namespaces"]
    return tuple(msgspec.convert(listed, list[Namespace]))


def as_listed(namespace: Namespace, actions: dict[str, int]) -> Namespace:
    """Return a namespace with the bits that the organization lists for its permissions (name -> bit).

    A permission that the organization does not list keeps its bit unless another has it there.
    """
    taken = set(actions.values())
    return msgspec.structs.replace(
        namespace,
        permissions=[
            msgspec.structs.replace(one, bit=actions.get(one.name, one.bit))
            for one in namespace.permissions
            if one.name in actions or one.bit not in taken
        ],
    )


def branch_token(project: str, repository: str, ref: str) -> str:
    """Return the token of a branch: each part of its name behind ``refs/heads`` is UTF-16LE in hex.

    https://devblogs.microsoft.com/devops/git-repo-tokens-for-the-security-service
    """
    parts = ref.split("/")
    encoded = [*parts[:2], *(part.encode("utf-16-le").hex() for part in parts[2:])]
    return "/".join(("repov2", project, repository, *encoded)).lower()


def connection_token(project: str, number: str) -> str:
    """Return the token of a service connection in a project."""
    return f"endpoints/{project}/{number}".lower()
