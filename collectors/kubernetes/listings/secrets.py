"""Secrets, without a value: as tables if that is opted into, otherwise by what refers to them.

https://kubernetes.io/docs/concepts/configuration/secret/#secret-types,
https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#auto-generated-legacy-serviceaccount-token-clean-up
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from collectors.kubernetes.calls import CORE
from collectors.kubernetes.scope import PROVIDER
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Credential, Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from collectors.kubernetes.estate import ClusterWorkloads
    from collectors.kubernetes.known import KnownAccounts, Namespaces
    from collectors.kubernetes.scope import KubeScope
    from scanner.collect.answers import AnswerObject
    from scanner.records import Record

TOKEN = "kubernetes.io/service-account-token"  # noqa: S105  a type
ACCOUNT = "kubernetes.io/service-account.name"
LAST_USED = "kubernetes.io/legacy-token-last-used"
INVALID = "kubernetes.io/legacy-token-invalid-since"
_LOOKS = {
    TOKEN: "kubernetes-token",
    "kubernetes.io/dockerconfigjson": "registry-credential",
    "kubernetes.io/dockercfg": "registry-credential",
    "kubernetes.io/basic-auth": "password",
    "kubernetes.io/ssh-auth": "private-key",
    "kubernetes.io/tls": "private-key",
    "bootstrap.kubernetes.io/token": "bootstrap-token",
}
"""What the types of Secrets hold."""
_ARGO = "argocd.argoproj.io/secret-type"
"""https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/"""
_HELM = "helm.sh/release.v1"
"""What Helm remembers of a release; no credential by itself."""


def secrets(
    scope: KubeScope,
    held: Namespaces,
    known: KnownAccounts,
    estate: ClusterWorkloads,
    origins: Mapping[tuple[str, str], str],
) -> Iterator[Record]:
    """Yield the Secrets of a cluster. ``origins`` tell by namespace and name what writes a Secret."""
    if not scope.config.secrets:
        yield from _referenced(scope, held, known, estate, origins)
        return
    resource = CORE["secrets"]

    def read() -> Iterator[Record]:
        path = scope.where(resource)
        if path is not None:
            for cells, metadata in scope.client.table(path):
                yield from _row(scope, held, known, cells=cells, metadata=metadata, origins=origins)

    request = scope.request(
        "secrets", f"GET {resource.path()}", kind="kubernetes-secret", needs="list secrets"
    )
    yield from with_coverage(read(), request, fills=("credentials/service-account-token",))


def _row(
    scope: KubeScope,
    held: Namespaces,
    known: KnownAccounts,
    *,
    cells: Mapping[str, Any],
    metadata: AnswerObject,
    origins: Mapping[tuple[str, str], str],
) -> Iterator[Record]:
    namespace, name, kind = str(metadata["namespace"]), str(metadata["name"]), str(cells.get("Type") or "")
    labels = {str(key): str(value) for key, value in (metadata.get("labels") or {}).items()}
    created = utc_time(metadata.get("creationTimestamp"))
    number = f"{_cluster(scope)}/{namespace}/{name}"
    owner, _ = held.owner(namespace, labels)
    credential = None
    if kind == TOKEN:
        account = str((metadata.get("annotations") or {}).get(ACCOUNT) or "")
        credential = record_id(PROVIDER, "service-account-token", str(metadata["uid"]))
        yield _token(
            scope,
            known.of(scope, namespace, account),
            credential,
            name=f"{namespace}/{name}",
            labels=labels,
            created=created,
        )
    argo = labels.get(_ARGO)
    yield Secret(
        id=record_id(PROVIDER, "secret", number),
        **scope.own(),
        store="kubernetes-secret",
        name=f"{namespace}/{name}",
        environment=held.environment(namespace, labels),
        readable=False,
        looks_like=_LOOKS.get(kind)
        or (f"argocd-{argo}" if argo in {"repository", "repo-creds", "cluster"} else None),
        recognized_by="provider" if kind in _LOOKS or argo else None,
        credential_id=credential,
        managed_by=origins.get((namespace, name)),
        created_at=created,
        owner=owner,
        location=f"{namespace}/{name}",
        tags={"type": kind, **({"helm": "yes"} if kind == _HELM else {})},
    )


def _token(
    scope: KubeScope,
    account: str,
    number: str,
    *,
    name: str,
    labels: Mapping[str, str],
    created: datetime | None,
) -> Credential:
    return Credential(
        id=number,
        **scope.own(),
        identity_id=account,
        kind="service-account-token",
        native_id=number.rpartition(":")[2],
        name=name,
        lifetime="static",
        enabled=INVALID not in labels,
        created_at=created,
        last_used_at=utc_time(labels.get(LAST_USED)) if _is_date(labels.get(LAST_USED)) else None,
        never_expires=True,
        location=name,
    )


def _is_date(text: str | None) -> bool:
    try:
        date.fromisoformat(text or "")
    except ValueError:
        return False
    return True


def _referenced(
    scope: KubeScope,
    held: Namespaces,
    known: KnownAccounts,
    estate: ClusterWorkloads,
    origins: Mapping[tuple[str, str], str],
) -> Iterator[Record]:
    """Yield the Secrets that pods and service accounts refer to. Their type and age are not known."""
    pulls = {
        (namespace, name)
        for (namespace, account), number in known.ids.items()
        for name in known.pull_secrets.get(number, ())
        if account
    }
    uses = {(use.namespace, use.name): use.how for use in sorted(estate.references, key=repr)}
    for namespace, name in sorted({*uses, *pulls, *origins}):
        pull = (namespace, name) in pulls or uses.get((namespace, name)) == "pull-secret"
        yield Secret(
            id=record_id(PROVIDER, "secret", f"{_cluster(scope)}/{namespace}/{name}"),
            **scope.own(),
            store="kubernetes-secret",
            name=f"{namespace}/{name}",
            environment=held.environment(namespace),
            readable=False,
            looks_like="registry-credential" if pull else None,
            recognized_by="provider" if pull else None,
            managed_by=origins.get((namespace, name)),
            location=f"{namespace}/{name}",
            tags={"known": "by reference"},
        )
    yield scope.unseen(
        "credentials",
        "service-account-token",
        f"GET {CORE['secrets'].path()}",
        "Secrets are not listed unless `secrets: true` is set, so tokens stored as Secrets are not known",
        needs="list secrets",
    )
    yield scope.unseen(
        "secrets",
        "kubernetes-secret",
        f"GET {CORE['secrets'].path()}",
        "Secrets are not listed unless `secrets: true` is set; those are known that something refers to",
        needs="list secrets",
    )


def _cluster(scope: KubeScope) -> str:
    return scope.account_id.removeprefix("kubernetes:cluster:")
