"""Where Secrets come from: stores of clouds, Vault, sealed manifests, and certificate issuers.

https://external-secrets.io/latest/api/externalsecret/, https://secrets-store-csi-driver.sigs.k8s.io/,
https://github.com/bitnami-labs/sealed-secrets, https://cert-manager.io/docs/reference/api-docs/,
https://developer.hashicorp.com/vault/docs/platform/k8s/vso/api-reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from collectors.kubernetes.calls import CERT_MANAGER, EXTERNAL_SECRETS, SEALED, SECRETS_STORE, VAULT
from collectors.kubernetes.records import control
from scanner.collect.scope import utc_time
from scanner.records import Credential, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.kubernetes.known import SecretOrigins
    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Record

_WORDS = {
    "azurekv": "key-vault",
    "gcpsm": "gcp-secret-manager",
    "azure": "key-vault",
    "gcp": "gcp-secret-manager",
}
"""The names that other collectors use for the stores."""
_LARGEST = 100_000


def secret_origins(scope: KubeScope, origins: SecretOrigins) -> Iterator[Record]:
    """Read what writes Secrets into ``origins``; yield how stores and certificates stand."""
    stores: dict[tuple[str, str], str] = {}
    for name in ("secretstores", "clustersecretstores"):
        yield from scope.listed(
            EXTERNAL_SECRETS[name], lambda item, name=name: _store(scope, item, name, stores),  # type: ignore[misc]
            table="controls", kind="secret-store-namespaces", loses=("secrets/kubernetes-secret",),
        )  # fmt: skip
    for name in ("externalsecrets", "clusterexternalsecrets"):
        yield from scope.listed(
            EXTERNAL_SECRETS[name], lambda item: _external(item, stores, origins), table="secrets", kind="external-secret",
        )  # fmt: skip
    yield from scope.listed(
        SECRETS_STORE["secretproviderclasses"], lambda item: _provider_class(item, origins),
        table="secrets", kind="external-secret",
    )  # fmt: skip
    yield from scope.listed(
        SEALED["sealedsecrets"], lambda item: _sealed(item, origins), table="secrets", kind="external-secret",
    )  # fmt: skip
    for name in ("vaultstaticsecrets", "vaultdynamicsecrets"):
        yield from scope.listed(
            VAULT[name], lambda item: _vault(item, origins), table="secrets", kind="external-secret"
        )
    yield from scope.listed(
        CERT_MANAGER["certificates"], lambda item: _certificate(scope, item, origins),
        table="credentials", kind="certificate",
    )  # fmt: skip


def _key(item: Any) -> tuple[str, str]:
    metadata = item["metadata"]
    return str(metadata.get("namespace") or ""), str(metadata["name"])


def _store(scope: KubeScope, item: Any, plural: str, stores: dict[tuple[str, str], str]) -> Iterator[Record]:
    namespace, name = _key(item)
    spec = item["spec"]
    provider = spec.get("provider") or {}
    kind = next(iter(sorted(provider)), "")
    settings = provider.get(kind) or {}
    word = _WORDS.get(kind, kind)
    if kind == "aws":
        word = "ssm-parameter" if settings.get("service") == "ParameterStore" else "secrets-manager"
    stores[namespace, name] = word
    if plural != "clustersecretstores":
        return
    limited = bool(spec.get("conditions"))
    yield control(
        scope,
        "secret-store-namespaces",
        str(item["metadata"]["uid"]),
        name,
        enforcement="enforced" if limited else "absent",
        detail=f"Named namespaces alone may read {word} by it"
        if limited
        else f"Every namespace may read {word} by it",
    )


def _external(item: Any, stores: dict[tuple[str, str], str], origins: SecretOrigins) -> Iterator[Record]:
    namespace, name = _key(item)
    spec = item["spec"]
    inner = spec.get("externalSecretSpec") or spec
    target = (inner.get("target") or {}).get("name") or spec.get("externalSecretName") or name
    reference = inner.get("secretStoreRef") or {}
    place = "" if reference.get("kind") == "ClusterSecretStore" else namespace
    word = stores.get((place, str(reference.get("name") or "")), "external-secret")
    keys = [str((one.get("remoteRef") or {}).get("key") or "") for one in inner.get("data") or ()]
    keys += [str((one.get("extract") or {}).get("key") or "") for one in inner.get("dataFrom") or ()]
    key = next((one for one in sorted(keys) if one), "")
    places = [namespace] if namespace else [str(one) for one in spec.get("namespaces") or ()]
    for where in places:
        origins.secrets[where, str(target)] = f"{word}:{key}" if key else word
    yield from ()


def _provider_class(item: Any, origins: SecretOrigins) -> Iterator[Record]:
    namespace, name = _key(item)
    spec = item["spec"]
    provider = str(spec.get("provider") or "")
    parameters = spec.get("parameters") or {}
    word = _WORDS.get(provider, "secrets-manager" if provider == "aws" else provider or "secrets-store")
    vault = str(parameters.get("keyvaultName") or "")
    keys = _object_names(str(parameters.get("objects") or parameters.get("secrets") or ""))
    text = ":".join(part for part in (word, "/".join(part for part in (vault, *keys[:1]) if part)) if part)
    origins.classes[namespace, name] = text
    for one in spec.get("secretObjects") or ():
        if one.get("secretName"):
            origins.secrets[namespace, str(one["secretName"])] = text
    yield from ()


def _object_names(text: str) -> list[str]:
    """Return the names in ``objects``, a YAML text whose form depends on the provider; none if it cannot be read."""
    try:
        rows = yaml.safe_load(text) if len(text) < _LARGEST else None
        if isinstance(rows, dict):
            rows = [yaml.safe_load(str(one)) for one in rows.get("array") or ()]
    except (yaml.YAMLError, RecursionError, ValueError):
        return []
    found = []
    for row in rows if isinstance(rows, list) else []:
        name = (row.get("objectName") or row.get("resourceName")) if isinstance(row, dict) else None
        if name:
            found.append(str(name))
    return sorted(found)


def _sealed(item: Any, origins: SecretOrigins) -> Iterator[Record]:
    namespace, name = _key(item)
    template = (item["spec"].get("template") or {}).get("metadata") or {}
    origins.secrets[namespace, str(template.get("name") or name)] = "sealed-secret"
    yield from ()


def _vault(item: Any, origins: SecretOrigins) -> Iterator[Record]:
    namespace, _ = _key(item)
    spec = item["spec"]
    target = (spec.get("destination") or {}).get("name")
    if target:
        path = "/".join(str(part) for part in (spec.get("mount"), spec.get("path")) if part)
        origins.secrets[namespace, str(target)] = f"vault:{path}" if path else "vault"
    yield from ()


def _certificate(scope: KubeScope, item: Any, origins: SecretOrigins) -> Iterator[Record]:
    namespace, name = _key(item)
    spec, status = item["spec"], item.get("status") or {}
    target = str(spec.get("secretName") or name)
    issuer = str((spec.get("issuerRef") or {}).get("name") or "")
    origins.secrets[namespace, target] = f"cert-manager:{issuer}" if issuer else "cert-manager"
    cluster = scope.account_id.removeprefix("kubernetes:cluster:")
    ends = utc_time(status.get("notAfter"))
    yield Credential(
        id=record_id("kubernetes", "certificate", str(item["metadata"]["uid"])),
        **scope.own(),
        # What it proves are names of hosts; the Secret holds its key.
        identity_id=record_id("kubernetes", "secret", f"{cluster}/{namespace}/{target}"),
        kind="certificate",
        native_id=str(item["metadata"]["uid"]),
        name=f"{namespace}/{name}",
        lifetime="expiring",
        enabled=True,
        created_at=utc_time(item["metadata"].get("creationTimestamp")),
        rotated_at=utc_time(status.get("notBefore")),
        expires_at=ends,
        location=f"{namespace}/{target}",
    )
