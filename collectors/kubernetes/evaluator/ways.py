"""What rules of roles give: ``data/rbac_powers.yaml``, read once."""

from __future__ import annotations

from datetime import date  # noqa: TC003  msgspec reads the annotations at run time
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import yaml

from scanner.records import Power  # noqa: TC001

Becomes: TypeAlias = Literal["accounts", "running", "tokens", "named", "anyone"]


class RbacWay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of ``rbac_powers.yaml``, where its keys are described."""

    id: str
    power: Power
    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    becomes: Becomes | None = None
    cluster: bool = False
    also: tuple[str, ...] = ()
    source: str


class PlatformNames(msgspec.Struct, frozen=True, kw_only=True):
    """Patterns of the names of the platform's own subjects and namespaces."""

    users: tuple[str, ...]
    groups: tuple[str, ...]
    namespaces: tuple[str, ...]


class RbacPowers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    as_of: date
    good_practices: str
    ways: tuple[RbacWay, ...]
    cluster_resources: tuple[str, ...]
    harmless: frozenset[str]
    platform: PlatformNames


@cache
def rbac_powers() -> RbacPowers:
    """Return the file's content."""
    path = Path(__file__).parents[1] / "data" / "rbac_powers.yaml"
    return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), RbacPowers)


@cache
def is_platform_namespace(name: str) -> bool:
    """Return whether a namespace is the platform's own, by its name."""
    return any(fnmatchcase(name, pattern) for pattern in rbac_powers().platform.namespaces)


@cache
def is_platform_subject(kind: str, name: str) -> bool:
    """Return whether a user or group is the platform's own, by its name.

    Groups that everybody or every service account is in are not: a binding to them is a binding to all.
    """
    if name in {"system:anonymous", "system:unauthenticated", "system:authenticated"}:
        return False
    if name == "system:serviceaccounts" or name.startswith(
        ("system:serviceaccounts:", "system:serviceaccount:")
    ):
        return False
    known = rbac_powers().platform
    patterns = known.users if kind == "User" else known.groups
    return any(fnmatchcase(name, pattern) for pattern in patterns)
