"""What one listing learns and others need: labels of namespaces, service accounts, subjects of bindings, origins of Secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.kubernetes.evaluator.bindings import BoundSubject, account_id, subject_id
from collectors.kubernetes.records import environment_of, owner_of

if TYPE_CHECKING:
    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Policy


class Namespaces(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of each namespace."""

    labels: dict[str, dict[str, str]]

    def environment(self, name: str, *labels: dict[str, str] | None) -> str | None:
        """Return the environment of something in a namespace."""
        return environment_of(*labels, self.labels.get(name))

    def owner(self, name: str, *labels: dict[str, str] | None) -> tuple[str | None, str | None]:
        """Return the owner of something in a namespace, and where it comes from."""
        return owner_of(*labels, self.labels.get(name))


class KnownAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """The service accounts of a cluster."""

    ids: dict[tuple[str, str], str] = {}
    """`Identity.id` by namespace and name."""
    automount: dict[str, bool] = {}
    """Whether pods get a token of an account, by id, where it says so."""
    pull_secrets: dict[str, list[str]] = {}
    """Names of pull secrets by id."""
    cloud: dict[str, dict[str, str]] = {}
    """The identities of clouds that an account names, by id."""

    def of(self, scope: KubeScope, namespace: str, name: str) -> str:
        """Return the id of an account, listed or not."""
        return account_id(scope.account_id, namespace, name)


class BoundSubjects:
    """Whom bindings name."""

    def __init__(self) -> None:
        self.foreign: set[BoundSubject] = set()
        """Those that a binding names which the API server did not make."""
        self.every: dict[BoundSubject, None] = {}
        self.policies: list[Policy] = []
        self.complete = True
        """Whether all four lists were read."""
        self.named = True
        """Whether both lists of bindings were read."""


class SecretOrigins(msgspec.Struct, kw_only=True):
    """What writes Secrets, by namespace and name: ``secrets-manager:prod/db``."""

    secrets: dict[tuple[str, str], str] = msgspec.field(default_factory=dict)
    classes: dict[tuple[str, str], str] = msgspec.field(default_factory=dict)
    """What a SecretProviderClass mounts."""


def group_id(scope: KubeScope, name: str) -> str:
    """Return the id of a group."""
    return subject_id(scope.account_id, BoundSubject("Group", name))
